"""What a committed change still has to do on hosts, and the receipts of what was destroyed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

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
    step: str | None
    problem: str | None
    problem_since: datetime | None
    address_held: bool
    slots: int
    options: tuple[str, ...]
    offer: str


_query = (
    select(
        tasks,
        servers.c.service_id,
        servers.c.name.label("server_name"),
        plan_changes.c.after,
    )
    .join(servers, servers.c.id == tasks.c.server_id)
    .join(plan_changes, plan_changes.c.id == tasks.c.change_id)
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
        step=row.step,
        problem=row.problem,
        problem_since=row.problem_since,
        address_held=row.address_held,
        slots=row.after["slots"],
        options=tuple(row.after["options"]),
        offer=row.after["offer"],
    )


async def plan(connection: AsyncConnection, rows: Sequence[dict[str, Any]]) -> None:
    """Write the tasks of a commit."""
    if rows:
        defaults = {"state": "pending", "address_held": False}
        await connection.execute(insert(tasks), [defaults | row for row in rows])


async def find(connection: AsyncConnection, change_id: str, kind: str, server_id: str) -> Task | None:
    query = _query.where(tasks.c.change_id == change_id, tasks.c.kind == kind, tasks.c.server_id == server_id)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else _to_task(row)


async def teardown_of(connection: AsyncConnection, server_id: str) -> Task | None:
    """Return the task that destroys the server; a server is given up by one change at most."""
    query = _query.where(tasks.c.server_id == server_id, tasks.c.kind == "teardown")
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else _to_task(row)


async def of_change(connection: AsyncConnection, change_id: str, kind: str | None = None) -> list[Task]:
    query = _query.where(tasks.c.change_id == change_id).order_by(tasks.c.kind, servers.c.created_at)
    if kind is not None:
        query = query.where(tasks.c.kind == kind)
    return [_to_task(row) for row in await connection.execute(query)]


async def unfinished(connection: AsyncConnection, change_id: str) -> dict[str, int]:
    """Return how many tasks of the change are in each state that isn't an end."""
    query = (
        select(tasks.c.state, func.count().label("tasks"))
        .where(tasks.c.change_id == change_id, tasks.c.state.in_(("pending", "attention")))
        .group_by(tasks.c.state)
    )
    return {row.state: row.tasks for row in await connection.execute(query)}


async def alter(
    connection: AsyncConnection,
    change_id: str,
    kind: str,
    server_id: str | None,
    *,
    was: tuple[str, ...],
    **values: Any,
) -> int:
    """Write `values` to the task, or to all of the kind, that is in a state of `was`; return to how many."""
    query = update(tasks).where(tasks.c.change_id == change_id, tasks.c.kind == kind, tasks.c.state.in_(was))
    if server_id is not None:
        query = query.where(tasks.c.server_id == server_id)
    return (await connection.execute(query.values(**values))).rowcount


async def steps_done(connection: AsyncConnection, change_id: str, server_id: str) -> set[str]:
    """Return the steps of a teardown that have their receipt."""
    query = select(receipts.c.step).where(
        receipts.c.change_id == change_id, receipts.c.server_id == server_id
    )
    return set((await connection.execute(query)).scalars())


async def add_receipt(  # noqa: PLR0917 - a receipt is these
    connection: AsyncConnection,
    change_id: str,
    server_id: str,
    step: str,
    at: datetime,
    evidence: dict[str, Any],
) -> None:
    await connection.execute(
        insert(receipts).values(change_id=change_id, server_id=server_id, step=step, at=at, evidence=evidence)
    )


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
    await connection.execute(
        update(servers)
        .where(servers.c.id == server_id, servers.c.state == "destroying")
        .values(state="destroyed", destroyed_at=at, backups=0)
    )
