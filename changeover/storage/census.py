"""How the database stands, in a few counts that stay cheap: over what is open, never over what is closed."""

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Select, and_, case, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from changeover.domain.lifecycle import OPEN, Stage
from changeover.storage import findings
from changeover.storage.tables import addresses, is_open, plan_changes, receipts, tasks

_FREE, _QUARANTINED, _HELD, _ASSIGNED = "free", "quarantined", "held", "assigned"


@dataclass(frozen=True, kw_only=True)
class Census:
    """What was counted. Moments are None where there is nothing."""

    open_changes: dict[str, int] = field(default_factory=dict)
    overdue: int = 0
    """Changes that await a code although their window is over: nobody has closed them."""
    attention_since: datetime | None = None
    unfinished_teardowns: int = 0
    teardown_step_since: datetime | None = None
    addresses: dict[str, int] = field(default_factory=dict)
    findings: dict[str, int] = field(default_factory=dict)
    """What the reconciler found and nobody has healed, by kind."""


async def take_census(connection: AsyncConnection, now: datetime) -> Census:
    """Count, with every stage and every state of an address, those without any included."""
    stages = await connection.execute(_stages(now))
    open_changes, overdue = {stage.value: 0 for stage in OPEN - {Stage.REQUESTED}}, 0
    for row in stages:
        open_changes[row.stage] = row.changes
        overdue += row.overdue
    work = (await connection.execute(_work())).one()
    pool = await connection.execute(_pool(now))
    states = dict.fromkeys((_FREE, _QUARANTINED, _HELD, _ASSIGNED), 0)
    return Census(
        open_changes=open_changes,
        overdue=overdue,
        attention_since=work.attention_since,
        unfinished_teardowns=work.teardowns,
        teardown_step_since=work.step_since,
        findings=await findings.open_by_kind(connection),
        addresses=states | {row.state: row.addresses for row in pool},
    )


def _stages(now: datetime) -> Select[tuple[str, int, int]]:
    late = and_(plan_changes.c.stage == Stage.AWAITING_CODE, plan_changes.c.window_ends_at < now)
    overdue = func.sum(case((late, 1), else_=0)).label("overdue")
    query = select(plan_changes.c.stage, func.count().label("changes"), overdue)
    return query.where(is_open).group_by(plan_changes.c.stage)


def _work() -> Select[tuple[datetime | None, int, datetime | None]]:
    """Look at what open changes still have to do. A step is begun at the last receipt, or the commit."""
    last_receipt = (
        select(func.max(receipts.c.at))
        .where(receipts.c.change_id == tasks.c.change_id, receipts.c.server_id == tasks.c.server_id)
        .scalar_subquery()
    )
    unfinished = tasks.c.state.in_(("pending", "attention"))
    teardown = and_(tasks.c.kind == "teardown", unfinished)
    since = case((teardown, func.coalesce(last_receipt, plan_changes.c.committed_at)))
    return (
        select(
            func.min(tasks.c.problem_since).label("attention_since"),
            func.coalesce(func.sum(case((teardown, 1), else_=0)), 0).label("teardowns"),
            func.min(since, type_=receipts.c.at.type).label("step_since"),
        )
        .join(plan_changes, plan_changes.c.id == tasks.c.change_id)
        .where(tasks.c.change_id.in_(select(plan_changes.c.id).where(is_open)), unfinished)
    )


def _pool(now: datetime) -> Select[tuple[str, int]]:
    state = case(
        (addresses.c.held, _HELD),
        (addresses.c.server_id.is_not(None), _ASSIGNED),
        (addresses.c.free_from <= now, _FREE),
        else_=_QUARANTINED,
    ).label("state")
    return select(state, func.count().label("addresses")).group_by(state)
