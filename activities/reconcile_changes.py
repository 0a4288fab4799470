"""Open changes whose run is gone or never heard of its commit, and teardowns that nobody carries out."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.clock import MOST_AHEAD
from activities.reconcile_runs import PAGE, YOUNG, Runs, Seen
from activities.state import abandon, describe, locked_change
from changeover.domain.lifecycle import CLOSED, COMMITTED, AbandonReason, Stage
from changeover.domain.masking import for_operators
from changeover.storage import changes, tasks
from changeover.storage.changes import Change, Event, to_change
from changeover.storage.database import Database
from changeover.storage.findings import BY_RECONCILER
from changeover.storage.sqlite import elsewhere
from changeover.storage.tables import is_open, plan_changes
from changeover.storage.tasks import Task
from workflows import fairness, ids, policies, search_attributes
from workflows.messages import ChangeRequest, HostWork, TeardownOrder
from workflows.plan_change import PlanChange
from workflows.reconciling import CheckOrder
from workflows.server_teardown import ServerTeardown

if TYPE_CHECKING:
    from activities.reconcile import Tell


class OpenChangeCheck:
    """The row is the truth: what awaited its code is given up, what was committed is taken up again."""

    kinds = ("change-without-run", "commit-unheard", "teardown-without-run")

    def __init__(self, database: Database, runs: Runs) -> None:
        self._database = database
        self._runs = runs

    async def look(self, order: CheckOrder, tell: "Tell") -> None:
        after = ""
        while page := await self._page(after):
            after = page[-1].service_id
            old = [change for change in page if _is_old(change, order)]
            seen = await self._runs.see_all(map(_workflow_id, old))
            for change in old:
                run = seen[_workflow_id(change)]
                if not run.running:
                    await self._tell_change(change, run, order, tell)
                elif change.stage is Stage.COMMITTED:
                    await self._tell_of_commit(change, tell)
            await self._look_at_teardowns([it for it in old if seen[_workflow_id(it)].running], order, tell)

    async def _page(self, after: str) -> list[Change]:
        query = (
            select(plan_changes)
            .where(is_open, plan_changes.c.service_id > after)
            .order_by(plan_changes.c.service_id)
            .limit(PAGE)
        )
        async with self._database.read() as connection:
            return [to_change(row) for row in await connection.execute(query)]

    async def _runs_now(self, workflow_id: str) -> bool:
        """Ask Temporal under the row's lock."""
        return (await elsewhere(lambda: self._runs.see(workflow_id))).running

    # Changes.

    async def _tell_change(self, change: Change, run: Seen, order: CheckOrder, tell: "Tell") -> None:
        what = "taken up again" if change.stage in COMMITTED else "abandoned"
        await tell(
            "change-without-run",
            change.id,
            f"{change.stage}, and {run.told}: it is {what}",
            partial(self._settle, change, order),
        )

    async def _tell_of_commit(self, change: Change, tell: "Tell") -> None:
        """Nothing of it is done yet: perhaps its run waits for the code still (decision 17)."""
        await tell(
            "commit-unheard",
            change.id,
            "committed, and nothing of it is done: its run is told to look at its row",
            partial(self._runs.remind, _workflow_id(change), change.id),
        )

    async def _settle(self, change: Change, order: CheckOrder) -> bool:
        """Check again under the row's lock: a run that begins later waits for it, and finds what we wrote."""

        async def work(connection: AsyncConnection) -> Change | None:
            present = await locked_change(connection, change.id)
            if present.stage in CLOSED or await self._runs_now(_workflow_id(change)):
                return None
            if present.stage is Stage.AWAITING_CODE:
                reason = AbandonReason.INTERRUPTED
                return await abandon(connection, present, reason, order.at, actor=BY_RECONCILER)
            resumed = Event(event="resumed", stage=present.stage, at=order.at, actor=BY_RECONCILER)
            return await changes.alter(connection, present, [resumed])

        settled = await self._database.write(work)
        if settled is None:
            return False
        if settled.stage not in CLOSED:
            await self._take_up(settled)
        return True

    async def _take_up(self, change: Change) -> None:
        """Start a run for the committed row; it takes everything from there."""
        request = ChangeRequest(
            change_id=change.id,
            account_id=change.account_id,
            service_id=change.service_id,
            fingerprint=change.fingerprint,
            configuration=change.configuration_after,
            digest="",
            no_refund=True,
            destroys=tuple(server["id"] for server in change.destroys),
        )
        before, after = describe(change.configuration_before), describe(change.configuration_after)
        destroys = f", destroys {len(change.destroys)}" if change.destroys else ""
        await self._runs.start(
            PlanChange.run,
            request,
            _workflow_id(change),
            summary=f"Taken up again: {before} -> {after}{destroys}",
            priority=fairness.of_account(change.account_id),
            attributes=search_attributes.at_start(change.service_id, change.account_id, Stage.REQUESTED),
        )

    # Teardowns, of changes whose own run goes on: it restarts a child that it waits for, but not one that it
    # only watches.

    async def _look_at_teardowns(self, running: Sequence[Change], order: CheckOrder, tell: "Tell") -> None:
        todo: dict[str, tuple[Change, Task]] = {}
        for change in running:
            if change.stage in COMMITTED:
                async with self._database.read() as connection:
                    found = await tasks.of_change(connection, change.id, HostWork.TEARDOWN)
                todo |= {it.server_id: (change, it) for it in found if it.state != "done"}
        seen = await self._runs.see_all(map(ids.teardown_workflow_id, todo))
        for server_id, (change, task) in todo.items():
            run = seen[ids.teardown_workflow_id(server_id)]
            if not run.running and not _is_left_to_its_change(run, order):
                await self._tell_teardown(change, task, run, order, tell)

    async def _tell_teardown(
        self, change: Change, task: Task, run: Seen, order: CheckOrder, tell: "Tell"
    ) -> None:
        await tell(
            "teardown-without-run",
            task.server_id,
            f"given up by {change.id}, and {run.told}: its teardown is started again",
            partial(self._tear_down, change, task, order),
        )

    async def _tear_down(self, change: Change, task: Task, order: CheckOrder) -> bool:
        workflow_id = ids.teardown_workflow_id(task.server_id)

        async def work(connection: AsyncConnection) -> bool:
            present = await locked_change(connection, change.id)
            found = await tasks.find(connection, change.id, HostWork.TEARDOWN, task.server_id)
            done = found is None or found.state == "done"
            if done or present.stage in CLOSED or await self._runs_now(workflow_id):
                return False
            data = {"server_id": task.server_id}
            resumed = Event(event="resumed", stage=present.stage, at=order.at, actor=BY_RECONCILER, data=data)
            await changes.record(connection, present, [resumed])
            return True

        if not await self._database.write(work):
            return False
        await self._runs.start(
            ServerTeardown.run,
            TeardownOrder(change_id=change.id, server_id=task.server_id),
            workflow_id,
            summary=f"Destroy {for_operators(task.server_name)} (taken up again)",
            priority=fairness.LATER,
            attributes=search_attributes.at_start(change.service_id, change.account_id, Stage.APPLYING),
        )
        return True


def _workflow_id(change: Change) -> str:
    return ids.plan_change_workflow_id(change.service_id)


def _is_old(change: Change, order: CheckOrder) -> bool:
    """Say whether its run must be at work by now; a change from a time to come never had an honest one."""
    last_moved = change.committed_at or change.as_of
    return not order.at - YOUNG < last_moved <= order.at + MOST_AHEAD


def _is_left_to_its_change(run: Seen, order: CheckOrder) -> bool:
    """Say whether the change's own run is about to start it again."""
    return run.ended_at is not None and run.ended_at > order.at - 2 * policies.CHILD_RESTART
