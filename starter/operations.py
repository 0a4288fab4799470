"""`Operations`: what operators see and repair, over all accounts.

Looking reads the database and works with no Temporal. Repairs are updates of the run that waits: `retry` and
`skip` go to the change for work on new and kept servers, to `teardown/<server_id>` for a destruction.
"""

from datetime import datetime, timedelta
from itertools import chain
from typing import Any, Self
from unicodedata import category

from sqlalchemy import exists, select
from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from changeover.domain import problems
from changeover.domain.lifecycle import COMMITTED
from changeover.settings import Settings, load
from changeover.storage import tasks as stored_tasks
from changeover.storage.database import Database
from changeover.storage.tables import accounts, findings, plan_changes, services, tasks
from changeover.storage.tables import is_open as is_open_change
from starter import agreement, reads
from starter.engine import connect_to_temporal
from starter.engine_calls import EngineCalls, RunIsGone
from starter.operator_refusals import NothingWaits, RunGone
from starter.operator_views import Decided, FindingView, ListedChange, ShownChange, link, listed, task_view
from starter.short_runs import ShortRuns
from starter.views import ChangeView
from workflows import ids, search_attributes
from workflows.evidence import Evidence
from workflows.forget_account import ForgetAccount
from workflows.messages import (
    CancelChange,
    EvidenceOrder,
    EvidenceResult,
    Forget,
    Forgotten,
    HostWork,
    Retry,
    Skip,
)
from workflows.operators import ADDRESS, MOST_ACTOR, MOST_TEXT, RESERVED
from workflows.plan_change import PlanChange
from workflows.reconciler import Reconcile
from workflows.reconciling import ReconcileOrder, ReconcileReport
from workflows.server_teardown import ServerTeardown

_LOOK = timedelta(minutes=10)


class Operations:
    """Make one with `connect`, and `close` it."""

    def __init__(self, settings: Settings, client: Client) -> None:
        self._settings = settings
        self._database = Database(settings.database_url, pool_size=settings.database_pool)
        timeout = timedelta(seconds=settings.engine_timeout_seconds)
        self._client = client
        self._engine = EngineCalls(client, settings.task_queue, timeout)
        self._short_runs = ShortRuns(client, self._engine, settings.task_queue, timeout)
        self._timeout = timeout

    @classmethod
    async def connect(cls, settings: Settings | None = None) -> Self:
        """Connect as the settings say (the environment's by default); Temporal at the first need of it."""
        settings = settings or load(Settings)
        return cls(settings, await connect_to_temporal(settings, lazy=True))

    async def close(self) -> None:
        await self._database.close()

    # Looking.

    async def list(
        self,
        stage: str | None = None,
        *,
        service: str | None = None,
        account: str | None = None,
        is_open: bool = False,
        needs_attention: bool = False,
        limit: int = 50,
    ) -> tuple[ListedChange, ...]:
        """Return changes, newest first: those that fit all that is asked for; services, accounts by id."""
        waits = (tasks.c.change_id == plan_changes.c.id) & (tasks.c.state == "attention")
        query = select(plan_changes, services.c.name).join(
            services, services.c.id == plan_changes.c.service_id
        )
        if stage is not None:
            query = query.where(plan_changes.c.stage == stage)
        if service is not None:
            query = query.where(plan_changes.c.service_id == service)
        if account is not None:
            query = query.where(plan_changes.c.account_id == account)
        if is_open:
            query = query.where(is_open_change)
        if needs_attention:
            query = query.where(exists().where(waits))
        query = query.order_by(plan_changes.c.as_of.desc(), plan_changes.c.id).limit(limit)
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
            waiting: dict[str, list[datetime]] = {}
            troubled = select(tasks.c.change_id, tasks.c.problem_since).where(
                tasks.c.state == "attention", tasks.c.change_id.in_([row.id for row in rows])
            )
            for row in await connection.execute(troubled):
                waiting.setdefault(row.change_id, []).append(row.problem_since)
        return tuple(listed(row, waiting.get(row.id, [])) for row in rows)

    async def find(self, id_or_prefix: str) -> tuple[str, ...]:
        """Return the ids of changes that begin so, three at most; enough to say whether it is one."""
        begins = plan_changes.c.id.startswith(id_or_prefix, autoescape=True)
        async with self._database.read() as connection:
            found = await connection.execute(select(plan_changes.c.id).where(begins).limit(3))
            return tuple(found.scalars())

    async def find_given_up(self, id_or_prefix: str) -> tuple[str, ...]:
        """Return the ids of servers that begin so and that a change destroyed or destroys, three at most."""
        begins = tasks.c.server_id.startswith(id_or_prefix, autoescape=True)
        query = select(tasks.c.server_id).where(begins, tasks.c.kind == HostWork.TEARDOWN.value).limit(3)
        async with self._database.read() as connection:
            return tuple((await connection.execute(query)).scalars())

    async def show(self, change_id: str) -> ShownChange:
        """Return all that is known of a change. Raises `NotFound`."""
        async with self._database.read() as connection:
            found = await reads.change_of(connection, None, change_id)
            timeline = await reads.timeline_of(connection, change_id)
            receipts = await reads.receipts_of(connection, change_id)
            todo = await stored_tasks.of_change(connection, change_id)
            name = select(services.c.name).where(services.c.id == found.change.service_id)
            service = (await connection.execute(name)).scalar_one()
        done: dict[str, set[str]] = {}
        for receipt in receipts:
            done.setdefault(receipt.server_id, set()).add(receipt.step)
        views = tuple(task_view(task, done.get(task.server_id, set())) for task in todo)
        runs = dict.fromkeys(
            (ids.plan_change_workflow_id(found.change.service_id), *(view.workflow_id for view in views))
        )
        return ShownChange(
            account_id=found.change.account_id,
            service=service,
            change=found.view(self._settings.code_policy, timeline, receipts),
            tasks=views,
            workflows=tuple(link(workflow_id) for workflow_id in runs),
        )

    async def without_run(self, *wanted: ListedChange | ShownChange) -> tuple[str, ...] | None:
        """Return the workflows that should run, by what the database says, and don't; None: no answer.

        One that is to begin at this very moment is among them.
        """
        return await agreement.without_run(self._client, chain.from_iterable(it.should_run for it in wanted))

    # Repairing.

    async def retry(self, change_id: str, server_id: str | None = None, *, actor: str) -> tuple[Decided, ...]:
        """Have what waits for an operator tried again: all of it, or what concerns one server.

        Work on new and kept servers is decided together: it is one step of the change's run. Raises
        `NotFound`, `NothingWaits`, `RunGone` or `EngineUnavailable`.
        """
        order = Retry(change_id=change_id, actor=_actor(actor))
        return await self._decide(change_id, server_id, order, PlanChange.retry, ServerTeardown.retry)

    async def skip(
        self,
        change_id: str,
        reason: str,
        evidence: str | None = None,
        server_id: str | None = None,
        *,
        actor: str,
    ) -> tuple[Decided, ...]:
        """Go on without the step that keeps failing. Raises as `retry` does.

        Without `evidence` that what a deletion deletes is gone, the server's address is kept
        back until evidence is given (`evidence`).
        """
        order = Skip(
            reason=_plain("reason", reason, MOST_TEXT),
            evidence=None if evidence is None else _plain("evidence", evidence, MOST_TEXT),
            change_id=change_id,
            actor=_actor(actor),
        )
        return await self._decide(change_id, server_id, order, PlanChange.skip, ServerTeardown.skip)

    async def cancel(self, change_id: str, *, actor: str) -> ChangeView:
        """Give up a change that awaits its code; also the second time. Raises `ChangeClosed` otherwise."""
        name = _actor(actor)
        change = (await self.show(change_id)).change
        if change.reason != "cancelled":
            _must_await_code(change)
            order = CancelChange(change_id=change_id, actor=name)
            workflow_id = ids.plan_change_workflow_id(change.service_id)
            await self._send(workflow_id, PlanChange.cancel, order, ids.cancel_update_id(change_id))
            change = (await self.show(change_id)).change
            if change.reason != "cancelled":
                _must_await_code(change)
        return change

    async def evidence(self, server_id: str, evidence: str, *, actor: str) -> EvidenceResult:
        """Record that a server whose deletion was skipped is gone: its address goes into quarantine.

        Also long after its change has ended; again, it changes nothing. A refusal is the result's outcome.
        Raises `EngineUnavailable`, after which the same may be tried again.
        """
        order = EvidenceOrder(
            server_id=server_id, evidence=_plain("evidence", evidence, MOST_TEXT), actor=_actor(actor)
        )
        result: EvidenceResult = await self._short_runs.run(
            Evidence.run,
            order,
            workflow_id=ids.evidence_workflow_id(server_id),
            summary=f"Evidence that {server_id} is gone",
            patience=self._timeout,
        )
        return result

    async def forget(self, account: str, *, actor: str) -> Forgotten:
        """Remove the data of the person behind an account, by its id or e-mail address; also the second time.

        What still needs it is in the result. Raises `NotFound`, `RequestInvalid` or `EngineUnavailable`.
        """
        order = Forget(account_id=await self.account_id(account), actor=_actor(actor))
        result: Forgotten = await self._short_runs.run(
            ForgetAccount.run,
            order,
            workflow_id=ids.forget_workflow_id(order.account_id),
            summary=f"Forget account {order.account_id}, asked for by {order.actor}",
            patience=self._timeout,
            search_attributes=search_attributes.of_account(order.account_id),
        )
        if not result.found:
            raise problems.NotFound(what="account")
        return result

    async def account_id(self, id_or_email: str) -> str:
        """Return the id of an account, a forgotten one's too. Raises as `reads.account` does."""
        async with self._database.read() as connection:
            query = select(accounts.c.id).where(accounts.c.id == id_or_email)
            found = (await connection.execute(query)).scalar_one_or_none()
            return found or (await reads.account(connection, id_or_email)).id

    async def reconcile(self, *, dry_run: bool) -> ReconcileReport:
        """Look now for what should never be, and heal what is certain, as the schedule does.

        Raises `EngineUnavailable` when the look isn't over in ten minutes; the same call then joins it.
        """
        report: ReconcileReport = await self._short_runs.run(
            Reconcile.run,
            ReconcileOrder(dry_run=dry_run),
            workflow_id=ids.reconcile_workflow_id(dry_run=dry_run),
            summary="A dry run" if dry_run else "A look that an operator asked for",
            patience=_LOOK,
        )
        return report

    async def findings(self) -> tuple[FindingView, ...]:
        """Return what the reconciler's looks have found that still needs attention, the oldest first."""
        query = select(findings).where(findings.c.healed_at.is_(None)).order_by(findings.c.first_seen)
        async with self._database.read() as connection:
            rows = await connection.execute(query)
            return tuple(
                FindingView(
                    kind=row.kind,
                    subject=row.subject,
                    detail=row.detail,
                    first_seen=row.first_seen,
                    last_seen=row.last_seen,
                )
                for row in rows
            )

    async def _decide(
        self, change_id: str, server_id: str | None, order: Retry | Skip, of_change: Any, of_teardown: Any
    ) -> tuple[Decided, ...]:
        shown = await self.show(change_id)
        waiting: dict[str, Any] = {}
        for task in shown.tasks:
            if task.state == "attention" and server_id in {None, task.server_id}:
                waiting[task.workflow_id] = of_teardown if task.kind == HostWork.TEARDOWN else of_change
        if not waiting:
            raise NothingWaits(change_id)
        decided = [
            Decided(workflow_id=workflow_id, work=tuple(await self._send(workflow_id, update, order)))
            for workflow_id, update in waiting.items()
        ]
        return tuple(decided)

    async def _send(self, workflow_id: str, update: Any, order: Any, update_id: str | None = None) -> Any:
        try:
            return await self._engine.update(workflow_id, update, order, update_id=update_id)
        except RunIsGone:
            raise RunGone(workflow_id) from None
        except WorkflowUpdateFailedError as failure:
            if isinstance(failure.cause, ApplicationError) and failure.cause.type == NothingWaits.code:
                raise NothingWaits(workflow_id) from None
            raise


def _must_await_code(change: ChangeView) -> None:
    if change.stage in COMMITTED or change.outcome is not None:
        raise problems.ChangeClosed(outcome=change.outcome or change.stage, reason=change.reason)


def _actor(name: str) -> str:
    """Return the operator's name. Raises `RequestInvalid` for one the trail can't keep or would mistake."""
    actor = _plain("actor", name, MOST_ACTOR)
    if actor.lower() in RESERVED:
        raise problems.RequestInvalid(field="actor", detail=f"{actor} is no operator's name")
    return actor


def _plain(field: str, text: str, most: int) -> str:
    """Return a text that every database keeps: one to `most` characters, no controls, no broken Unicode."""
    plain = " ".join(text.split())
    if not 1 <= len(plain) <= most:
        raise problems.RequestInvalid(field=field, detail=f"1 to {most} characters")
    if any(category(character) in {"Cc", "Cs"} for character in plain):
        raise problems.RequestInvalid(field=field, detail="no control characters")
    if ADDRESS.search(plain):  # it goes into Temporal's history and the trail, where nothing is ever removed
        raise problems.RequestInvalid(field=field, detail="no e-mail address: it is kept for good")
    return plain
