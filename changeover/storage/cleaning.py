"""What has had its time and is deleted: remembered answers, links, sessions, findings that are over."""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Table, delete, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from changeover.storage.tables import findings, idempotency_keys, panel_links, panel_sessions

KEYS_REMEMBERED = timedelta(hours=24)
_LINKS_KEPT = timedelta(days=1)
_FINDINGS_KEPT = timedelta(days=90)
BATCH = 500
"""Rows that one transaction deletes at most: no lock is held for long."""


def outdated(now: datetime) -> dict[Table, ColumnElement[bool]]:
    """Return the tables with what of each has had its time at `now`."""
    link_over = func.coalesce(panel_links.c.used_at, panel_links.c.expires_at)
    return {
        idempotency_keys: idempotency_keys.c.created_at <= now - KEYS_REMEMBERED,
        panel_links: link_over <= now - _LINKS_KEPT,
        panel_sessions: panel_sessions.c.expires_at <= now,
        findings: findings.c.healed_at <= now - _FINDINGS_KEPT,
    }


async def count(connection: AsyncConnection, table: Table, is_over: ColumnElement[bool]) -> int:
    return int(
        (await connection.execute(select(func.count()).select_from(table).where(is_over))).scalar_one()
    )


async def delete_batch(connection: AsyncConnection, table: Table, is_over: ColumnElement[bool]) -> int:
    """Delete `BATCH` rows at most, and return how many."""
    key = tuple(table.primary_key.columns)
    batch = select(*key).where(is_over).limit(BATCH)
    return (await connection.execute(delete(table).where(tuple_(*key).in_(batch)))).rowcount
