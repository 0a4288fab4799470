"""Short transactions as workflows run them: in the workflow task, or patiently when the database is away."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.exceptions import TimeoutError as GivenUp

from workflows import policies

Order = TypeVar("Order")
Result = TypeVar("Result")


async def transaction(
    activity: Callable[[Any, Order], Awaitable[Result]], order: Order, summary: str
) -> Result:
    """Run a method of `DatabaseActivities`. Raises `FailureError` only for what no retry mends."""
    try:
        return await workflow.execute_local_activity_method(
            activity,
            order,
            schedule_to_close_timeout=policies.LOCAL_TRANSACTION,
            retry_policy=policies.LOCAL_RETRY,
            summary=summary,
        )
    except ApplicationError as error:  # what a local activity raises comes as it is, not in an ActivityError
        if error.non_retryable:
            raise
    except (ActivityError, GivenUp) as error:  # replayed, the give-up comes without its ActivityError
        workflow.logger.warning("%s: no answer in time: %s", summary, error.cause)
    return await workflow.execute_activity_method(
        activity,
        order,
        start_to_close_timeout=policies.TRANSACTION,
        retry_policy=policies.PATIENT_RETRY,
        summary=f"{summary} (the database was away)",
    )
