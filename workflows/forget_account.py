"""Forgetting a person: short, but in the Temporal UI with who asked for it, and done with no one waiting."""

from temporalio import workflow

from workflows import policies
from workflows.messages import Forget, ForgetAt, Forgotten
from workflows.ports import PrivacyActivities


@workflow.defn
class ForgetAccount:
    """Removes a person's data from the database, or completes with what still needs it."""

    @workflow.run
    async def run(self, order: Forget) -> Forgotten:
        return await workflow.execute_activity_method(
            PrivacyActivities.forget_account,
            ForgetAt(account_id=order.account_id, actor=order.actor, at=workflow.now()),
            start_to_close_timeout=policies.TRANSACTION,
            retry_policy=policies.PATIENT_RETRY,
            summary="Remove the person's data",
        )
