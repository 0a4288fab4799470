"""Rows that have had their time: remembered answers, links, sessions, tries of closed changes, findings."""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Table, delete, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from changeover.domain.retention import Retention
from changeover.storage.tables import (
    code_tries,
    findings,
    idempotency_keys,
    panel_links,
    panel_sessions,
    plan_changes,
)

KEYS_REMEMBERED = timedelta(hours=24)
_LINKS_KEPT = timedelta(days=1)
BATCH = 500
"""Rows that one transaction deletes at most: no lock is held for long."""


def outdated(now: datetime, retention: Retention) -> dict[Table, ColumnElement[bool]]:
    """Return the tables with what of each has had its time at `now`."""
    link_over = func.coalesce(panel_links.c.used_at, panel_links.c.expires_at)
    over: dict[Table, ColumnElement[bool]] = {
        idempotency_keys: idempotency_keys.c.created_at <= now - KEYS_REMEMBERED,
        panel_links: link_over <= now - _LINKS_KEPT,
        panel_sessions: panel_sessions.c.expires_at <= now,
    }
    if retention.findings is not None:
        over[findings] = findings.c.healed_at <= now - retention.findings
    if retention.tries is not None:
        closed = select(plan_changes.c.id).where(plan_changes.c.closed_at <= now - retention.tries)
        over[code_tries] = code_tries.c.change_id.in_(closed)
    return over


async def count(connection: AsyncConnection, table: Table, is_over: ColumnElement[bool]) -> int:
    return int(
        (await connection.execute(select(func.count()).select_from(table).where(is_over))).scalar_one()
    )


async def delete_batch(connection: AsyncConnection, table: Table, is_over: ColumnElement[bool]) -> int:
    """Delete `BATCH` rows at most, and return how many."""
    key = tuple(table.primary_key.columns)
    batch = select(*key).where(is_over).limit(BATCH)
    return (await connection.execute(delete(table).where(tuple_(*key).in_(batch)))).rowcount
