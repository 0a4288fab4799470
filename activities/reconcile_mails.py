"""Closed changes whose customer was not told, since the run that would have told was ended by somebody."""

from typing import TYPE_CHECKING

from sqlalchemy import Row, exists, select
from temporalio.client import WorkflowExecutionStatus

from activities.email import OUTCOME_MAILED
from activities.reconcile_runs import PAGE, YOUNG, Runs, Seen
from changeover.domain.lifecycle import Stage
from changeover.storage.database import Database
from changeover.storage.tables import plan_changes, trail
from workflows import fairness, ids, policies
from workflows.messages import SendOutcome
from workflows.outcome_mail import OutcomeMail
from workflows.plan_change import TOLD
from workflows.reconciling import CheckOrder

if TYPE_CHECKING:
    from typing import Any

    from activities.reconcile import Tell


class OutcomeMailCheck:
    """Only of changes closed within the patience of an outcome mail: later ones are news of yesterday."""

    kinds = ("outcome-mail-without-run",)

    def __init__(self, database: Database, runs: Runs) -> None:
        self._database = database
        self._runs = runs

    async def look(self, order: CheckOrder, tell: "Tell") -> None:
        after = ""
        while page := await self._page(after, order):
            after = page[-1].id
            wanted = [ids.outcome_mail_workflow_id(row.id) for row in page]
            changes = [ids.plan_change_workflow_id(row.service_id) for row in page]
            seen = await self._runs.see_all([*wanted, *changes])
            for row, mail, change in zip(page, wanted, changes, strict=True):
                if not _is_sending(row, seen[change]) and not _is_over(seen[mail]):
                    await self._tell(row, seen[mail], tell)

    async def _page(self, after: str, order: CheckOrder) -> "list[Row[Any]]":
        was_told = exists().where(trail.c.change_id == plan_changes.c.id, trail.c.event == OUTCOME_MAILED)
        is_told = (plan_changes.c.stage == Stage.COMPLETED.value) | plan_changes.c.reason.in_(TOLD)
        query = (
            select(plan_changes.c.id, plan_changes.c.service_id, plan_changes.c.closed_at)
            .where(
                plan_changes.c.closed_at > order.at - policies.OUTCOME_MAIL_PATIENCE,
                plan_changes.c.closed_at <= order.at - YOUNG,
                plan_changes.c.stage.in_((Stage.COMPLETED.value, Stage.ABANDONED.value)),
                is_told,
                ~was_told,
                plan_changes.c.id > after,
            )
            .order_by(plan_changes.c.id)
            .limit(PAGE)
        )
        async with self._database.read() as connection:
            return list(await connection.execute(query))

    async def _tell(self, row: "Row[Any]", run: Seen, tell: "Tell") -> None:
        async def heal() -> bool:
            # No lock is needed: the mail is sent once, whoever asks for it, and the trail says so.
            await self._runs.start(
                OutcomeMail.run,
                SendOutcome(change_id=row.id),
                ids.outcome_mail_workflow_id(row.id),
                summary="Outcome mail (taken up again)",
                priority=fairness.LATER,
            )
            return True

        detail = f"closed, its outcome not mailed, and {run.told}: the mail is tried again"
        await tell("outcome-mail-without-run", row.id, detail, heal)


def _is_sending(row: "Row[Any]", change: Seen) -> bool:
    """Say whether the change's own run is still at it; one that began later is the service's next."""
    return change.running and change.started_at is not None and bool(change.started_at <= row.closed_at)


def _is_over(mail: Seen) -> bool:
    """Say whether the mail's run goes on, or has given up after its day: then it isn't tried again."""
    return mail.running or mail.status is WorkflowExecutionStatus.COMPLETED
