"""What the reconciler found, and what became of it. A finding without `healed_at` needs attention."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import case, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from changeover.storage.tables import findings

BY_RECONCILER = "reconciler"
BY_OTHERS = "others"


@dataclass(frozen=True, kw_only=True)
class Noted:
    """Something that should never be: what kind, of what (an id or an address), and in words."""

    kind: str
    subject: str
    detail: str
    healed: bool = False


async def note(connection: AsyncConnection, found: Sequence[Noted], at: datetime) -> None:
    """Write what was found; one that was found before keeps when that was, unless it was healed meanwhile."""
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    for one in found:
        values = {
            "detail": one.detail,
            "last_seen": at,
            "healed_at": at if one.healed else None,
            "healed_by": BY_RECONCILER if one.healed else None,
        }
        statement = insert(findings).values(kind=one.kind, subject=one.subject, first_seen=at, **values)
        first = case((findings.c.healed_at.is_(None), findings.c.first_seen), else_=at)
        await connection.execute(
            statement.on_conflict_do_update(
                index_elements=[findings.c.kind, findings.c.subject], set_={**values, "first_seen": first}
            )
        )


async def end_unseen(connection: AsyncConnection, kinds: Sequence[str], at: datetime) -> None:
    """Say that open findings of these kinds, which a whole look at `at` has not seen again, are over."""
    await connection.execute(
        update(findings)
        .where(findings.c.kind.in_(kinds), findings.c.healed_at.is_(None), findings.c.last_seen < at)
        .values(healed_at=at, healed_by=BY_OTHERS)
    )


async def open_by_kind(connection: AsyncConnection) -> dict[str, int]:
    """Return how many findings need attention, by kind."""
    query = (
        select(findings.c.kind, func.count().label("open"))
        .where(findings.c.healed_at.is_(None))
        .group_by(findings.c.kind)
    )
    return {row.kind: row.open for row in await connection.execute(query)}
