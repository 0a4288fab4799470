"""Evidence of a deletion that was skipped: a short run of its own, since the change's has long closed."""

from datetime import timedelta

from temporalio import workflow

from workflows import policies
from workflows.messages import EvidenceOrder, EvidenceResult, RecordEvidence
from workflows.ports import EvidenceActivities

_ATTEMPT = timedelta(minutes=2)


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
        workflow.set_current_details(f"server `{order.server_id}`: **{result.outcome}**, by {order.actor}")
        return result
