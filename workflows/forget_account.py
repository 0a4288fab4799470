"""Forgetting a person: short, but in the Temporal UI with who asked for it, and done with no one waiting."""

from temporalio import workflow

from workflows import policies
from workflows.display import as_list, utc
from workflows.messages import Forget, ForgetAt, Forgotten
from workflows.ports import PrivacyActivities


@workflow.defn
class ForgetAccount:
    """Removes a person's data from the database, or completes with what still needs it."""

    @workflow.run
    async def run(self, order: Forget) -> Forgotten:
        result = await workflow.execute_activity_method(
            PrivacyActivities.forget_account,
            ForgetAt(account_id=order.account_id, actor=order.actor, at=workflow.now()),
            start_to_close_timeout=policies.TRANSACTION,
            retry_policy=policies.PATIENT_RETRY,
            summary="Remove the person's data",
        )
        workflow.set_current_details(_details(result))
        return result


def _details(result: Forgotten) -> str:
    """Return what operators read of it in the Temporal UI (Markdown)."""
    if not result.found:
        return f"there is no account `{result.account_id}`"
    account = f"account `{result.account_id}`"
    if result.at is not None:
        said = f"{account}: **forgotten** since {utc(result.at)}, by {result.actor}"
        left = result.servers_left
        return f"{said}; its {left} server(s) still stand on their host" if left else said
    needed = [f"service `{it}` has not expired" for it in result.unexpired]
    needed += [f"change `{it}` is open" for it in result.open_changes]
    return as_list([f"{account}: **not forgotten**, ask again when this is over", *needed])
