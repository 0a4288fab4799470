"""An outcome mail that could not be sent at once: tried for a day, then given up; it changes nothing."""

from collections.abc import Sequence
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.exceptions import TimeoutError as GivenUp

from workflows import ids, policies
from workflows.display import outcome_mail_details
from workflows.messages import SendOutcome
from workflows.ports import MailActivities


@workflow.defn
class OutcomeMail:
    """Outlives its change, so that a mail server's trouble never holds up the service's next change."""

    @workflow.run
    async def run(self, order: SendOutcome) -> bool:
        """Send the mail; return whether it was handed over."""
        until = workflow.info().start_time + policies.OUTCOME_MAIL_PATIENCE

        def show(handed_over: bool | None = None) -> None:
            workflow.set_current_details(
                outcome_mail_details(order.title, order.change_id, until, handed_over)
            )

        show()
        if order.after is not None and order.after > workflow.now():
            await workflow.sleep(order.after - workflow.now(), summary="Until the attempt under way is over")
        try:
            await workflow.execute_activity_method(
                MailActivities.send_outcome,
                order,
                task_queue=ids.mail_queue(workflow.info().task_queue),
                schedule_to_close_timeout=policies.OUTCOME_MAIL_PATIENCE,
                start_to_close_timeout=policies.MAIL_ATTEMPT,
                heartbeat_timeout=policies.HEARTBEAT,
                retry_policy=policies.MAIL_RETRY,
                summary="Mail the outcome",
            )
        except ActivityError as error:
            workflow.logger.warning("an outcome mail was given up: %s", error.cause)
            show(handed_over=False)
            return False
        show(handed_over=True)
        return True


def left_behind(error: ActivityError) -> Sequence[Any]:
    """Return what the last attempt of a mail left for whoever goes on.

    It stands in the attempt's failure, if it ended, and in its last heartbeat, if it was given up.
    """
    cause = error.cause
    heartbeat = cause.last_heartbeat_details if isinstance(cause, GivenUp) else ()
    failed = cause.cause if isinstance(cause, GivenUp) else cause
    return heartbeat or (failed.details if isinstance(failed, ApplicationError) else ())


def was_taken(known: Sequence[Any]) -> bool | None:
    """Return what a mail server said to an attempt that left this behind, if it had said anything."""
    match known:
        case [_, bool(taken)]:
            return taken
    return None
