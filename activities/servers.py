"""Work on hosts: create, apply limits, destroy step by step.

An order holds ids and nothing else. Before anything is touched the database is asked whether a committed
change names the server; afterwards a receipt is written with the evidence. A repeated call goes on from the
first step without a receipt.
"""

import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity

from activities.clock import ServerClock
from activities.failures import Unauthorised, classified
from activities.heartbeats import heartbeating
from activities.state import events_after, locked_change
from activities.teardown_steps import TeardownSteps
from changeover.domain.lifecycle import COMMITTED, Stage
from changeover.domain.masking import for_operators
from changeover.domain.teardown import STEPS, Step
from changeover.failpoints import reach
from changeover.hosts import Host, HostError, HostRefused, HostUnavailable, Limits, ServerSpec
from changeover.storage import addresses, changes, services, tasks
from changeover.storage.catalogue import CatalogueReader
from changeover.storage.changes import Change, Event, Took
from changeover.storage.database import Database
from changeover.storage.tasks import Task
from workflows.messages import HostOrder, HostWork, TeardownOrder, TeardownResult
from workflows.ports import ServerActivities


class ServerWork(ServerActivities):
    """The `servers` activities."""

    def __init__(
        self, database: Database, catalogue: CatalogueReader, host: Host, quarantine: timedelta
    ) -> None:
        self._database = database
        self._catalogue = catalogue
        self._host = host
        self._quarantine = quarantine
        self._steps = TeardownSteps(host, self._kept)

    @activity.defn
    @classified
    async def create_servers(self, order: HostOrder) -> None:
        async with self._database.read() as connection:
            catalogue = await self._catalogue.current(connection)

        async def create(task: Task) -> None:
            spec = ServerSpec(
                server_id=task.server_id,
                name=task.server_name,
                address=task.address,
                game=catalogue[task.offer].game,
                slots=task.slots,
                options=task.options,
            )
            await self._host.create(spec)

        await self._for_each(order, HostWork.CREATE, "server_created", create)

    @activity.defn
    @classified
    async def apply_limits(self, order: HostOrder) -> None:
        async def apply(task: Task) -> None:
            await self._host.apply_limits(task.server_id, Limits(slots=task.slots, options=task.options))

        await self._for_each(order, HostWork.LIMITS, "limits_applied", apply, self._apply_present)

    async def _apply_present(self, task: Task) -> None:
        """Apply what the service rents now: who froze may have undone the limits of a later change."""
        applied: Limits | None = None
        while (present := await self._present_limits(task.server_id)) != applied and present is not None:
            await self._host.apply_limits(task.server_id, present)
            applied = present

    async def _present_limits(self, server_id: str) -> Limits | None:
        """Return what a server that its service keeps is to have; None for one given up."""
        async with self._database.read() as connection:
            rented = await services.configuration_for(connection, server_id)
        return None if rented is None else Limits(slots=rented.slots, options=rented.options)

    async def _for_each(
        self,
        order: HostOrder,
        work: HostWork,
        event: str,
        do: Callable[[Task], Awaitable[None]],
        mend: Callable[[Task], Awaitable[None]] | None = None,
    ) -> None:
        """Do the work for every server that still needs it; the first failure is raised after the others.

        Where another worker was faster, `mend` has the last word.
        """
        clock = ServerClock()
        failure: HostError | None = None
        async with self._database.read() as connection:
            todo = await tasks.of_change(connection, order.change_id, work)
            change = None if todo else await changes.find(connection, order.change_id)
        stage = todo[0].change_stage if todo else change and change.stage
        if stage not in COMMITTED:
            raise Unauthorised(f"{order.change_id} is not committed")
        async with heartbeating() as say:
            for task in todo:
                if task.state in {"done", "skipped"}:
                    continue
                say(f"{work} {for_operators(task.server_name)}")
                try:
                    await do(task)
                except HostError as error:
                    failure = failure or error
                    continue
                reach("work.done")
                if not await self._record_done(task, event, clock) and mend is not None:
                    await mend(task)
        if failure is not None:
            raise failure

    async def _record_done(self, task: Task, event: str, clock: ServerClock) -> bool:
        """Record it; say False when somebody else had done so."""

        async def work(connection: AsyncConnection) -> bool:
            change = await locked_change(connection, task.change_id)
            if not await tasks.finish(connection, task, clock.now()):
                return False
            if task.kind == HostWork.CREATE:
                await tasks.activate_created(connection, task.change_id, task.server_id)
            await _append(connection, change, event, task, clock)
            return True

        return await self._database.write(work)

    # Destroying.

    @activity.defn
    @classified
    async def tear_down(self, order: TeardownOrder) -> TeardownResult:
        clock = ServerClock()
        async with self._database.read() as connection:
            task, done = await _authorised(connection, order)
        ended = STEPS[-1] in done
        async with heartbeating() as say:
            for step in STEPS:
                if task is None:
                    return TeardownResult(server_id=order.server_id, outcome="refused")
                if step in done:
                    continue
                say(step)
                began = time.monotonic()
                evidence = await self._take(step, task)
                reach(f"teardown.{step}")
                took = Took(step, time.monotonic() - began)
                task, done = await self._record_step(order, took, evidence, clock)
        if ended:
            await self._end_skipped(order, clock)
        return TeardownResult(server_id=order.server_id, outcome="destroyed")

    async def _take(self, step: Step, task: Task) -> dict[str, Any]:
        """Take one step. What was skipped doesn't happen by itself: an operator is asked at once."""
        try:
            return await self._steps.take(step, task)
        except HostUnavailable as error:
            if step is not Step.VERIFY_GONE or not await self._skipped_a_step(task):
                raise
            raise HostRefused(
                error.code,
                f"{error}, and a step was skipped. To do: delete it on the host, then retry; or skip this "
                "step too.",
            ) from None

    async def _kept(self, service_id: str) -> set[str]:
        async with self._database.read() as connection:
            return await services.held_ids(connection, service_id)

    async def _skipped_a_step(self, task: Task) -> bool:
        async with self._database.read() as connection:
            found = await tasks.receipts_of(connection, task.change_id)
        return any(row.server_id == task.server_id and row.evidence.get("skipped") for row in found)

    async def _record_step(
        self, order: TeardownOrder, took: Took, evidence: dict[str, Any], clock: ServerClock
    ) -> tuple[Task | None, set[str]]:
        """Write the receipt, and return what the next step may begin with (see `_authorised`).

        With the last one the address is given back and the server is gone.
        """
        step = took.step

        async def work(connection: AsyncConnection) -> tuple[Task | None, set[str]]:
            change = await locked_change(connection, order.change_id)
            task, done = await _authorised(connection, order)
            if task is None or step in done:
                return task, done  # another worker was faster
            proof = dict(evidence)
            if step is Step.RELEASE_ADDRESS:
                proof |= await self._release(connection, task, clock)
            await tasks.add_receipt(connection, task.change_id, task.server_id, step, clock.now(), proof)
            if step is STEPS[-1]:
                await self._end(connection, change, task, clock, took)
            else:
                await _append(connection, change, f"teardown_{step}", task, clock, took)
            return task, done | {step}

        return await self._database.write(work)

    async def _end_skipped(self, order: TeardownOrder, clock: ServerClock) -> None:
        """End a teardown whose last step was skipped, and was thus not ended with its receipt."""

        async def work(connection: AsyncConnection) -> None:
            change = await locked_change(connection, order.change_id)
            task = await tasks.find(connection, order.change_id, HostWork.TEARDOWN, order.server_id)
            if task is not None and await self._end(connection, change, task, clock):
                await self._release(connection, task, clock)

        await self._database.write(work)

    async def _end(
        self,
        connection: AsyncConnection,
        change: Change,
        task: Task,
        clock: ServerClock,
        took: Took | None = None,
    ) -> bool:
        """Say once that the server is gone; False when that was said before."""
        now = clock.now()
        ended = await tasks.finish(connection, task, now)
        if ended:
            await tasks.mark_destroyed(connection, task.server_id, now)
            await _append(connection, change, "server_destroyed", task, clock, took)
        return ended

    async def _release(self, connection: AsyncConnection, task: Task, clock: ServerClock) -> dict[str, Any]:
        if task.address_held:
            return {"released": False, "why": "a deletion was skipped without evidence"}
        free_from = clock.now() + self._quarantine
        released = await addresses.give_back(connection, task.address, task.server_id, free_from)
        return {"released": released, "free_from": free_from.isoformat()}


async def _authorised(connection: AsyncConnection, order: TeardownOrder) -> tuple[Task | None, set[str]]:
    """Return the task if a committed change names the server, and the steps that have their receipt."""
    task, done = await tasks.teardown(connection, order.change_id, order.server_id)
    return (task, done) if task is not None and task.change_stage in COMMITTED else (None, set())


async def _append(  # noqa: PLR0917 - an entry is these
    connection: AsyncConnection,
    change: Change,
    name: str,
    task: Task,
    clock: ServerClock,
    took: Took | None = None,
) -> None:
    stage = Stage.APPLYING if change.stage is Stage.COMMITTED else change.stage
    data = {"server_id": task.server_id}  # no name that a customer chose: the trail is kept for good
    event = Event(event=name, stage=stage, at=clock.now(), data=data, took=took)
    await changes.alter(connection, change, events_after(change, event))
