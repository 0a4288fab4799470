"""What has had its time: marks on services that have long expired, old rows, names, and who left long ago."""

import logging
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from changeover.domain.retention import Retention
from changeover.storage import cleaning, forgetting
from changeover.storage import services as service_locks
from changeover.storage.database import Database
from changeover.storage.findings import BY_RECONCILER
from changeover.storage.tables import plan_changes, servers, services
from workflows.reconciling import CheckOrder

if TYPE_CHECKING:
    from activities.reconcile import Tell

MARKS_KEPT = timedelta(days=7)
"""How long after its expiry a service that is renewed still has its marks."""
_MOST = 1000
NAMED_CHANGES = 100
"""Changes out of which one transaction takes names at most."""

_log = logging.getLogger(__name__)


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


class CleanUp:
    """Removes what `retention` and the protocol's own times say, in small transactions.

    With `dry_run` it only counts.
    """

    def __init__(self, database: Database, retention: Retention, *, dry_run: bool) -> None:
        self._database = database
        self._retention = retention
        self._dry_run = dry_run

    async def run(self, now: datetime) -> int:
        """Return how many rows, changes' names and accounts (would have) gone."""
        gone = await self._rows(now)
        if self._retention.names is not None:
            gone += await self._names(now - self._retention.names, now)
        if self._retention.accounts is not None:
            gone += await self._accounts(now - self._retention.accounts, now)
        return gone

    async def _rows(self, now: datetime) -> int:
        rows = 0
        for table, is_over in cleaning.outdated(now, self._retention).items():
            if self._dry_run:
                async with self._database.read() as connection:
                    rows += await cleaning.count(connection, table, is_over)
                continue
            full = True
            while full:
                deleted = await self._database.write(
                    partial(cleaning.delete_batch, table=table, is_over=is_over)
                )
                rows += deleted
                full = deleted == cleaning.BATCH
        return rows

    async def _names(self, closed_by: datetime, now: datetime) -> int:
        if self._dry_run:
            async with self._database.read() as connection:
                return await cleaning.count(connection, plan_changes, forgetting.named(closed_by))
        changes, full = 0, True
        while full:
            forget = partial(forgetting.forget_names, closed_by=closed_by, at=now, most=NAMED_CHANGES)
            forgotten = await self._database.write(forget)
            changes += forgotten
            full = forgotten == NAMED_CHANGES
        return changes

    async def _accounts(self, since: datetime, now: datetime) -> int:
        found, last = 0, ""
        while True:
            async with self._database.read() as connection:
                batch = await forgetting.lapsed(connection, since, last, cleaning.BATCH)
            for account_id in batch:
                forget = partial(self._forget, account_id=account_id, since=since, now=now)
                if self._dry_run or await self._database.write(forget):
                    found += 1
                    said = "would be forgotten" if self._dry_run else "forgotten"
                    _log.info("account %s: %s, it has rented nothing since %s", account_id, said, since)
            if len(batch) < cleaning.BATCH:
                return found
            last = batch[-1]

    async def _forget(
        self, connection: AsyncConnection, account_id: str, since: datetime, now: datetime
    ) -> bool:
        """Look again under the locks: somebody may just have renewed."""
        account = await forgetting.lock_account(connection, account_id, since)
        if account is None or account.forgotten_at or account.unexpired or account.open_changes:
            return False
        await forgetting.forget(connection, account_id, BY_RECONCILER, now)
        return True
