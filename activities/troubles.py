"""What is recorded when work on hosts keeps failing, and when an operator has decided about it."""

from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity

from activities.failures import classified
from activities.state import events_after, locked_change
from changeover.domain.lifecycle import Stage
from changeover.domain.teardown import PROVES_DELETION, STEPS, Step
from changeover.storage import addresses, changes, tasks
from changeover.storage.changes import Event
from changeover.storage.database import Database
from workflows.messages import HostWork, Raised, Settled, Skip, StepDone, TeardownOrder, Trouble
from workflows.ports import TroubleActivities

_NEEDS_EVIDENCE = PROVES_DELETION | {Step.RELEASE_ADDRESS}
"""Skipped without evidence, these keep the address back: the server, or the host's hold on it, may remain."""


class TroubleTransactions(TroubleActivities):
    """Each can be run again: what was recorded the first time stays as it is."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @activity.defn
    @classified
    async def raise_trouble(self, order: Trouble) -> Raised:
        async def work(connection: AsyncConnection) -> Raised:
            change = await locked_change(connection, order.change_id)
            raised = await tasks.alter(
                connection,
                change.id,
                order.work,
                order.server_id,
                was=("pending",),
                state="attention",
                problem=order.problem,
                problem_since=order.at,
            )
            if raised:
                data = {"work": order.work, "server_id": order.server_id, "problem": order.problem}
                event = Event(event="needs_attention", stage=Stage.NEEDS_ATTENTION, at=order.at, data=data)
                await changes.alter(connection, change, events_after(change, event))
            if order.server_id is None:
                return Raised()
            return Raised(steps=await _steps_done(connection, change.id, order.server_id))

        return await self._database.write(work)

    @activity.defn
    @classified
    async def settle_trouble(self, order: Settled) -> bool:
        again = order.skip is None or order.work is HostWork.TEARDOWN

        async def work(connection: AsyncConnection) -> None:
            change = await locked_change(connection, order.change_id)
            settled = await tasks.alter(
                connection,
                change.id,
                order.work,
                order.server_id,
                was=("attention",),
                raised_by=order.at,  # an attempt that comes late decides nothing about what was raised since
                state="pending" if again else "skipped",
                problem=None,
                problem_since=None,
                done_at=None if again else order.at,
            )
            if not settled:
                return
            data: dict[str, object] = {"work": order.work, "server_id": order.server_id}
            if order.skip is not None:
                data |= {"reason": order.skip.reason, "evidence": order.skip.evidence}
                if order.work is HostWork.TEARDOWN:
                    data["step"] = await _skip_step(connection, order, order.skip)
                if order.work is HostWork.CREATE:
                    await tasks.activate_created(connection, change.id)
            waiting = await tasks.unfinished(connection, change.id)
            stage = Stage.NEEDS_ATTENTION if "attention" in waiting else Stage.APPLYING
            name = "retried" if order.skip is None else "skipped"
            event = Event(event=name, stage=stage, at=order.at, actor=order.actor, data=data)
            await changes.alter(connection, change, [event])

        await self._database.write(work)
        return again

    @activity.defn
    @classified
    async def teardown_is_done(self, order: TeardownOrder) -> bool:
        async with self._database.read() as connection:
            task = await tasks.find(connection, order.change_id, HostWork.TEARDOWN, order.server_id)
        return task is None or task.state == "done"


async def _steps_done(connection: AsyncConnection, change_id: str, server_id: str) -> tuple[StepDone, ...]:
    """Return the steps of a teardown that have their receipt, in their order."""
    receipts = {
        row.step: StepDone(step=row.step, at=row.at, skipped=bool(row.evidence.get("skipped")))
        for row in await tasks.receipts_of(connection, change_id)
        if row.server_id == server_id
    }
    return tuple(receipts[step] for step in STEPS if step in receipts)


async def _skip_step(connection: AsyncConnection, order: Settled, skip: Skip) -> str | None:
    """Give the step that keeps failing a receipt that says it was skipped; keep the address back unproved."""
    assert order.server_id is not None, "a teardown has its server"
    task, done = await tasks.teardown(connection, order.change_id, order.server_id)
    assert task is not None, "it was found in need of attention"
    step = next((step for step in STEPS if step not in done), None)
    if step is None:
        return None
    evidence = {"skipped": True, "reason": skip.reason, "evidence": skip.evidence, "by": skip.actor}
    await tasks.add_receipt(connection, order.change_id, order.server_id, step, order.at, evidence)
    if step in _NEEDS_EVIDENCE and not skip.evidence:
        await addresses.hold(connection, task.address, order.server_id)
        await tasks.alter(
            connection,
            order.change_id,
            HostWork.TEARDOWN,
            order.server_id,
            was=("pending",),
            address_held=True,
        )
    return step
