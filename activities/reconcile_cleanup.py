"""What has had its time: marks on services that have long expired, and rows that nobody reads any more."""

from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from changeover.storage import cleaning
from changeover.storage import services as service_locks
from changeover.storage.database import Database
from changeover.storage.tables import servers, services
from workflows.reconciling import CheckOrder

if TYPE_CHECKING:
    from activities.reconcile import Tell

MARKS_KEPT = timedelta(days=7)
"""How long after its expiry a service that is renewed still has its marks."""
_MOST = 1000


class MarkCheck:
    """A mark destroys nothing by itself; one that is forgotten could surprise whoever renews years later."""

    kinds = ("marks-on-expired-service",)

    def __init__(self, database: Database) -> None:
        self._database = database

    async def look(self, order: CheckOrder, tell: "Tell") -> None:
        query = (
            select(services.c.id, func.count().label("marked"))
            .join(servers, servers.c.service_id == services.c.id)
            .where(services.c.expires_at <= order.at - MARKS_KEPT, servers.c.state == "marked")
            .group_by(services.c.id)
            .limit(_MOST)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        for row in rows:
            detail = f"{row.marked} server(s) are marked, and it has long expired: the marks are taken back"
            await tell(self.kinds[0], row.id, detail, partial(self._unmark, row.id, order))

    async def _unmark(self, service_id: str, order: CheckOrder) -> bool:
        async def work(connection: AsyncConnection) -> bool:
            await service_locks.lock(connection, service_id)
            query = select(services.c.expires_at).where(services.c.id == service_id)
            expires_at: datetime = (await connection.execute(query)).scalar_one()
            if expires_at > order.at - MARKS_KEPT:
                return False
            unmarked = await connection.execute(
                update(servers)
                .where(servers.c.service_id == service_id, servers.c.state == "marked")
                .values(state="active", marked_at=None)
            )
            return unmarked.rowcount > 0

        return await self._database.write(work)


async def clean(database: Database, now: datetime, *, dry_run: bool) -> int:
    """Delete what has had its time, in small transactions; return how many rows (would have) gone."""
    rows = 0
    for table, is_over in cleaning.outdated(now).items():
        if dry_run:
            async with database.read() as connection:
                rows += await cleaning.count(connection, table, is_over)
            continue
        full = True
        while full:
            deleted = await database.write(partial(cleaning.delete_batch, table=table, is_over=is_over))
            rows += deleted
            full = deleted == cleaning.BATCH
    return rows
