"""What a committed change still has to do on hosts, and the receipts of what was destroyed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, bindparam, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from changeover.domain.lifecycle import Stage
from changeover.storage.tables import plan_changes, receipts, servers, tasks


@dataclass(frozen=True, kw_only=True)
class Task:
    """One thing to do for one server: `create`, `limits` or `teardown`; `address` is as it was at commit."""

    change_id: str
    kind: str
    server_id: str
    service_id: str
    server_name: str
    address: str
    state: str
    problem: str | None
    problem_since: datetime | None
    address_held: bool
    slots: int
    options: tuple[str, ...]
    offer: str
    change_stage: Stage


_query: Select[Any] = (
    select(
        *(column for column in tasks.c if column is not tasks.c.step),
        servers.c.service_id,
        servers.c.name.label("server_name"),
        plan_changes.c.after,
        plan_changes.c.stage.label("change_stage"),
    )
    .join(servers, servers.c.id == tasks.c.server_id)
    .join(plan_changes, plan_changes.c.id == tasks.c.change_id)
)


# Statements that every change says are built once: to build one costs more than to run it.
_of_change = tasks.c.change_id == bindparam("of_change")
_of_kind = tasks.c.kind == bindparam("of_kind")
_of_server = tasks.c.server_id == bindparam("of_server")
_was = tasks.c.state.in_(bindparam("was", expanding=True))
_find = _query.where(_of_change, _of_kind, _of_server)
_all = _query.where(_of_change).order_by(tasks.c.kind, servers.c.created_at)
_all_of_kind = _all.where(_of_kind)
_alter = update(tasks).where(_of_change, _of_kind, _was)
_alter_of_server = _alter.where(_of_server)
_unfinished = (
    select(tasks.c.state, func.count().label("tasks"))
    .where(_of_change, tasks.c.state.in_(("pending", "attention")))
    .group_by(tasks.c.state)
)
_teardown = (
    _query.add_columns(receipts.c.step.label("step_done"))
    .outerjoin(
        receipts, (receipts.c.change_id == tasks.c.change_id) & (receipts.c.server_id == tasks.c.server_id)
    )
    .where(_of_change, tasks.c.kind == "teardown", _of_server)
)
_plan, _add_receipt = insert(tasks), insert(receipts)
_destroyed = (
    update(servers)
    .where(servers.c.id == bindparam("of_server"), servers.c.state == "destroying")
    .values(state="destroyed", backups=0)
)


def _to_task(row: Row[Any]) -> Task:
    return Task(
        change_id=row.change_id,
        kind=row.kind,
        server_id=row.server_id,
        service_id=row.service_id,
        server_name=row.server_name,
        address=row.address,
        state=row.state,
        problem=row.problem,
        problem_since=row.problem_since,
        address_held=row.address_held,
        slots=row.after["slots"],
        options=tuple(row.after["options"]),
        offer=row.after["offer"],
        change_stage=Stage(row.change_stage),
    )


async def plan(connection: AsyncConnection, rows: Sequence[dict[str, Any]]) -> None:
    """Write the tasks of a commit."""
    if rows:
        defaults = {"state": "pending", "address_held": False}
        await connection.execute(_plan, [defaults | row for row in rows])


async def find(connection: AsyncConnection, change_id: str, kind: str, server_id: str) -> Task | None:
    asked = {"of_change": change_id, "of_kind": kind, "of_server": server_id}
    row = (await connection.execute(_find, asked)).one_or_none()
    return None if row is None else _to_task(row)


async def teardown(
    connection: AsyncConnection, change_id: str, server_id: str
) -> tuple[Task | None, set[str]]:
    """Return the teardown of the server that the change gave up, and its steps that have their receipt."""
    rows = (await connection.execute(_teardown, {"of_change": change_id, "of_server": server_id})).all()
    steps = {row.step_done for row in rows if row.step_done is not None}
    return (_to_task(rows[0]) if rows else None), steps


async def teardown_of(connection: AsyncConnection, server_id: str) -> Task | None:
    """Return the task that destroys the server; a server is given up by one change at most."""
    query = _query.where(tasks.c.server_id == server_id, tasks.c.kind == "teardown")
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else _to_task(row)


async def of_change(connection: AsyncConnection, change_id: str, kind: str | None = None) -> list[Task]:
    asked = {"of_change": change_id}
    if kind is None:
        found = await connection.execute(_all, asked)
    else:
        found = await connection.execute(_all_of_kind, asked | {"of_kind": kind})
    return [_to_task(row) for row in found]


async def unfinished(connection: AsyncConnection, change_id: str) -> dict[str, int]:
    """Return how many tasks of the change are in each state that isn't an end."""
    found = await connection.execute(_unfinished, {"of_change": change_id})
    return {row.state: row.tasks for row in found}


async def alter(
    connection: AsyncConnection,
    change_id: str,
    kind: str,
    server_id: str | None,
    *,
    was: tuple[str, ...],
    raised_by: datetime | None = None,
    **values: Any,
) -> int:
    """Write `values` to the task, or to all of the kind, that is in a state of `was`; return to how many.

    With `raised_by`, only where the problem was raised by then.
    """
    asked = values | {"of_change": change_id, "of_kind": kind, "was": was}
    statement = _alter
    if server_id is not None:
        statement, asked = _alter_of_server, asked | {"of_server": server_id}
    if raised_by is not None:
        statement = statement.where(tasks.c.problem_since <= raised_by)
    return (await connection.execute(statement, asked)).rowcount


async def finish(connection: AsyncConnection, task: Task, at: datetime) -> bool:
    """Say that the task is done; False when it was over before."""
    was = ("pending", "attention")
    ended = await alter(
        connection, task.change_id, task.kind, task.server_id, was=was, state="done", done_at=at
    )
    return bool(ended)


async def add_receipt(  # noqa: PLR0917 - a receipt is these
    connection: AsyncConnection,
    change_id: str,
    server_id: str,
    step: str,
    at: datetime,
    evidence: dict[str, Any],
) -> None:
    receipt = {"change_id": change_id, "server_id": server_id, "step": step, "at": at, "evidence": evidence}
    await connection.execute(_add_receipt, receipt)


async def receipts_of(connection: AsyncConnection, change_id: str) -> list[Row[Any]]:
    query = select(receipts).where(receipts.c.change_id == change_id)
    return list(await connection.execute(query.order_by(receipts.c.at, receipts.c.server_id)))


async def activate_created(connection: AsyncConnection, change_id: str, server_id: str | None = None) -> None:
    """Let the new servers of the change, or one of them, be used."""
    query = update(servers).where(servers.c.created_by == change_id, servers.c.state == "creating")
    if server_id is not None:
        query = query.where(servers.c.id == server_id)
    await connection.execute(query.values(state="active"))


async def mark_destroyed(connection: AsyncConnection, server_id: str, at: datetime) -> None:
    await connection.execute(_destroyed, {"of_server": server_id, "destroyed_at": at})
