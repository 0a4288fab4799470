"""What Temporal says of runs, asked by workflow id: only `describe` is certain, a list lags behind."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import Select, exists, or_, select
from temporalio import activity
from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import Priority, TypedSearchAttributes, WorkflowIDConflictPolicy
from temporalio.service import RPCError, RPCStatusCode

from changeover.domain.lifecycle import Stage
from changeover.storage.database import Database
from changeover.storage.findings import BY_RECONCILER
from changeover.storage.tables import is_open, plan_changes, servers
from workflows import ids
from workflows.messages import CancelChange
from workflows.plan_change import PlanChange
from workflows.reconciling import CheckOrder

if TYPE_CHECKING:
    from activities.reconcile import Tell

YOUNG = timedelta(minutes=1)
"""What is younger may be a request in flight: it is left alone."""
LATE = timedelta(minutes=10)
"""A run that has nothing to do any more ends sooner than this."""
_ANSWER = timedelta(seconds=3)
_AT_ONCE = 20
PAGE = 50
"""Runs and changes that a check looks at together. What they take, the worker keeps: 10 MB with pages of 200
(docs/benchmarks.md)."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The newest run of a workflow id. `status` is None when Temporal knows none (any more)."""

    status: WorkflowExecutionStatus | None
    run_id: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def running(self) -> bool:
        return self.run_id is not None and self.ended_at is None

    @property
    def told(self) -> str:
        return "no run is known" if self.status is None else f"its run is {self.status.name.lower()}"


class Runs:
    """Temporal's side. Whatever it doesn't answer raises `RPCError`: nothing is then taken for gone."""

    def __init__(self, client: Client, task_queue: str) -> None:
        self._client = client
        self._task_queue = task_queue

    @classmethod
    def of_this_activity(cls) -> "Runs":
        return cls(activity.client(), activity.info().task_queue)

    async def see(self, workflow_id: str) -> Seen:
        try:
            found = await self._client.get_workflow_handle(workflow_id).describe(rpc_timeout=_ANSWER)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return Seen(status=None)
        return Seen(
            status=found.status,
            run_id=found.run_id,
            started_at=found.start_time,
            ended_at=found.close_time,
        )

    async def see_all(self, workflow_ids: Iterable[str]) -> Mapping[str, Seen]:
        """See many, some at once."""
        wanted = list(dict.fromkeys(workflow_ids))
        seen: dict[str, Seen] = {}
        for begin in range(0, len(wanted), _AT_ONCE):
            part = wanted[begin : begin + _AT_ONCE]
            seen |= zip(part, await asyncio.gather(*map(self.see, part)), strict=True)
        return seen

    async def start(
        self,
        workflow: Any,
        order: object,
        workflow_id: str,
        *,
        summary: str,
        priority: Priority,
        attributes: TypedSearchAttributes | None = None,
    ) -> None:
        """Start a run, unless one with this id runs already: then that one does the work."""
        await self._client.start_workflow(
            workflow,
            order,
            id=workflow_id,
            task_queue=self._task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            search_attributes=attributes,
            static_summary=summary,
            priority=priority,
        )

    async def remind(self, workflow_id: str, change_id: str) -> bool:
        """Have a run look at its row, which awaits no code any more; False when it knows, or is silent."""
        order = CancelChange(change_id=change_id, actor=BY_RECONCILER)
        look: Any = PlanChange.cancel  # an update with a description has lost its type
        handle = self._client.get_workflow_handle(workflow_id)
        try:
            await handle.execute_update(look, order, rpc_timeout=_ANSWER)
        except (WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError):
            return False
        return True

    async def listed(self, workflow_type: str) -> AsyncIterator[list[str]]:
        """Give the ids of running workflows, in batches. The list lags: what it says is to be checked."""
        query = (
            f"WorkflowType = '{workflow_type}' AND ExecutionStatus = 'Running' "
            f"AND TaskQueue = '{self._task_queue}'"
        )
        batch: list[str] = []
        async for run in self._client.list_workflows(query, page_size=PAGE):
            batch.append(run.id)
            if len(batch) == PAGE:
                yield batch
                batch = []
        yield batch


class RunCheck:
    """Runs that go on although the database has nothing open for them.

    One that did not hear of its change's end is told to look; people look at others. None is ended by force.
    """

    kinds = ("end-unheard", "run-without-open-change", "teardown-without-task")

    def __init__(self, database: Database, runs: Runs) -> None:
        self._database = database
        self._runs = runs

    async def look(self, order: CheckOrder, tell: "Tell") -> None:
        """Tell runs whose change is closed, or was never written, for longer than a run takes to end."""
        async for batch in self._runs.listed("PlanChange"):
            await self._tell_of_ends({_subject(it, ids.service_id_from): it for it in batch}, order, tell)
        for kind, workflow_type, subject_of, at_work, wrong in (
            ("run-without-open-change", "PlanChange", ids.service_id_from, _services_at_work, "open change"),
            ("teardown-without-task", "ServerTeardown", ids.server_id_from, _servers_at_work, "teardown"),
        ):
            async for batch in self._runs.listed(workflow_type):
                subjects = {_subject(it, subject_of): it for it in batch}
                async with self._database.read() as connection:
                    busy = set((await connection.execute(at_work(subjects, order.at - LATE))).scalars())
                for subject in sorted(subjects.keys() - busy):
                    if await self._runs_late(subjects[subject], order):
                        await tell(
                            kind, subject, f"{subjects[subject]} runs, and the database has no {wrong}"
                        )

    async def _tell_of_ends(self, workflow_ids: Mapping[str, str], order: CheckOrder, tell: "Tell") -> None:
        """Tell runs that had begun when their change ended, and go on (decision 17)."""
        async with self._database.read() as connection:
            ended = (await connection.execute(_ended_last(workflow_ids, order.at - YOUNG))).all()
        for change in ended:
            workflow_id = workflow_ids[change.service_id]
            run = await self._runs.see(workflow_id)
            if run.running and run.started_at is not None and run.started_at < change.closed_at:
                await tell(
                    "end-unheard",
                    change.id,
                    f"{change.stage}, and its run goes on: it is told to look at its row",
                    partial(self._runs.remind, workflow_id, change.id),
                )

    async def _runs_late(self, workflow_id: str, order: CheckOrder) -> bool:
        seen = await self._runs.see(workflow_id)
        return seen.running and seen.started_at is not None and seen.started_at <= order.at - LATE


def _subject(workflow_id: str, read: Callable[[str], str]) -> str:
    """Return what the run is about; the id itself when somebody made it up."""
    try:
        return read(workflow_id)
    except ValueError:
        return workflow_id


def _ended_last(services: Iterable[str], until: datetime) -> Select[Any]:
    """Select the last change of each service that was abandoned or completed, and is followed by none."""
    later = plan_changes.alias("later")
    followed = exists().where(
        later.c.service_id == plan_changes.c.service_id,
        later.c.closed_at.is_(None) | (later.c.closed_at > plan_changes.c.closed_at),
    )
    columns = plan_changes.c.id, plan_changes.c.service_id, plan_changes.c.stage, plan_changes.c.closed_at
    return select(*columns).where(
        plan_changes.c.service_id.in_(services),
        plan_changes.c.stage.in_([Stage.ABANDONED, Stage.COMPLETED]),
        plan_changes.c.closed_at <= until,
        ~followed,
    )


def _services_at_work(services: Iterable[str], since: datetime) -> Select[Any]:
    """Select the services with an open change, or one that was closed just now."""
    at_work = or_(is_open, plan_changes.c.closed_at > since)
    return select(plan_changes.c.service_id).where(plan_changes.c.service_id.in_(services), at_work)


def _servers_at_work(given_up: Iterable[str], since: datetime) -> Select[Any]:
    """Select the servers that are being destroyed, or were just now."""
    at_work = (servers.c.state == "destroying") | (servers.c.destroyed_at > since)
    return select(servers.c.id).where(servers.c.id.in_(given_up), at_work)
