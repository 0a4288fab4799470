"""Evidence of a deletion that an operator skipped: the address that was kept back goes into quarantine."""

from dataclasses import replace
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity

from activities.clock import ServerClock
from activities.failures import classified
from activities.heartbeats import heartbeating
from activities.state import locked_change
from activities.words import actor, plain
from changeover.domain.lifecycle import COMMITTED
from changeover.hosts import Host, HostError
from changeover.storage import addresses, changes, tasks
from changeover.storage.changes import Event
from changeover.storage.database import Database
from workflows.messages import EvidenceOutcome, EvidenceResult, HostWork, RecordEvidence
from workflows.operators import MOST_TEXT
from workflows.ports import EvidenceActivities


class EvidenceRecorder(EvidenceActivities):
    """Anyone in the Temporal UI can start this, so everything is read from the database and checked again."""

    def __init__(self, database: Database, host: Host, quarantine: timedelta) -> None:
        self._database = database
        self._host = host
        self._quarantine = quarantine

    @activity.defn
    @classified
    async def record_evidence(self, order: RecordEvidence) -> EvidenceResult:
        if not plain(order.order.evidence, MOST_TEXT):
            return _refused(order, EvidenceOutcome.MISSING)
        order = replace(order, at=ServerClock().believed(order.at))
        async with heartbeating() as say:
            say("asks the host")
            seen = await self._seen_on_host(order.order.server_id)
            say("records")
            return await self._database.write(lambda connection: self._record(connection, order, seen=seen))

    async def _seen_on_host(self, server_id: str) -> bool | None:
        """Say whether the host still has the server; None for no answer: a burnt machine never gives one."""
        try:
            return await self._host.find(server_id) is not None
        except HostError:
            return None

    async def _record(
        self, connection: AsyncConnection, order: RecordEvidence, *, seen: bool | None
    ) -> EvidenceResult:
        server_id = order.order.server_id
        found = await tasks.teardown_of(connection, server_id)
        if found is None:
            return _refused(order, EvidenceOutcome.UNKNOWN)
        change = await locked_change(connection, found.change_id)
        task = await tasks.teardown_of(connection, server_id)
        assert task is not None, "tasks are never deleted"
        if change.stage not in COMMITTED or task.state != "done":
            return _refused(order, EvidenceOutcome.NOT_OVER)
        if not task.address_held:
            before = await changes.has_event(connection, change.id, "evidence_recorded", server_id)
            outcome = EvidenceOutcome.RECORDED_BEFORE if before else EvidenceOutcome.NOTHING_HELD
            return _refused(order, outcome)
        if seen:
            return _refused(order, EvidenceOutcome.REMAINS)
        free_from = order.at + self._quarantine
        if not await addresses.free_held(connection, task.address, server_id, free_from):
            return _refused(order, EvidenceOutcome.NOTHING_HELD)
        await tasks.alter(
            connection, change.id, HostWork.TEARDOWN, server_id, was=("done",), address_held=False
        )
        event = Event(
            event="evidence_recorded",
            stage=change.stage,
            at=order.at,
            actor=actor(order.order.actor),
            data={
                "server_id": server_id,
                "evidence": plain(order.order.evidence, MOST_TEXT),
                "host": "no answer" if seen is None else "gone",
                "address": task.address,
                "free_from": free_from.isoformat(),
            },
        )
        await changes.record(connection, change, [event])
        return EvidenceResult(
            server_id=server_id,
            outcome=EvidenceOutcome.RECORDED,
            address=task.address,
            free_from=free_from,
        )


def _refused(order: RecordEvidence, outcome: EvidenceOutcome) -> EvidenceResult:
    return EvidenceResult(server_id=order.order.server_id, outcome=outcome)
