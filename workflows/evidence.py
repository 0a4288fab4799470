"""Evidence of a deletion that was skipped: a short run of its own, since the change's has long closed."""

from collections.abc import Mapping
from datetime import timedelta

from temporalio import workflow

from workflows import ids, policies
from workflows.display import utc
from workflows.messages import EvidenceOrder, EvidenceOutcome, EvidenceResult, RecordEvidence
from workflows.ports import EvidenceActivities

_ATTEMPT = timedelta(minutes=2)
_REFUSED: Mapping[EvidenceOutcome, str] = {
    EvidenceOutcome.RECORDED_BEFORE: "It was recorded before.",
    EvidenceOutcome.UNKNOWN: "No committed change gave this server up.",
    EvidenceOutcome.NOT_OVER: "Its destruction is not over: give it with the update `skip` of `{run}`.",
    EvidenceOutcome.REMAINS: "The host still has the server: delete it there, then give the evidence again.",
    EvidenceOutcome.NOTHING_HELD: "Its address is not kept back.",
    EvidenceOutcome.MISSING: "No evidence was given.",
}
"""Why nothing was changed, and what to do then."""


@workflow.defn
class Evidence:
    """Its workflow id is `evidence/<server id>`. A refusal is a result: a failed run would be a defect."""

    @workflow.run
    async def run(self, order: EvidenceOrder) -> EvidenceResult:
        """Record that the server is gone, and free the address that was kept back for it."""
        result = await workflow.execute_activity_method(
            EvidenceActivities.record_evidence,
            RecordEvidence(order=order, at=workflow.now()),
            start_to_close_timeout=_ATTEMPT,
            heartbeat_timeout=policies.HEARTBEAT,
            retry_policy=policies.PATIENT_RETRY,
            summary="Record the evidence and free the address",
        )
        workflow.set_current_details(_details(order, result))
        return result


def _details(order: EvidenceOrder, result: EvidenceResult) -> str:
    """Return what operators read of it in the Temporal UI (Markdown)."""
    heading = f"server `{order.server_id}`: **{result.outcome}**, by {order.actor}"
    if result.free_from is not None:
        freed = f"Its address `{result.address}` is in quarantine until {utc(result.free_from)}."
        return f"{heading}\n\n{freed}"
    why = _REFUSED[result.outcome].format(run=ids.teardown_workflow_id(order.server_id))
    return f"{heading}\n\n{why} Nothing was changed."
