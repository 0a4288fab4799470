"""What a customer sees, and what changes no plan: services, quotes, history, marks, renewals.

All of it works on the database alone. Nothing here imports Temporal's SDK, which would be half of what a
program loads: the command line answers sooner.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from changeover.domain import problems
from changeover.domain.catalogue import Catalogue, Configuration
from changeover.domain.facts import Facts
from changeover.domain.lifecycle import CLOSED
from changeover.domain.proration import whole_second
from changeover.domain.quote import Quote, allowed_options, assess, changeable_offers
from changeover.settings import Settings
from changeover.storage import services
from changeover.storage.catalogue import CatalogueReader
from changeover.storage.database import Database
from starter import reads, writes
from starter.plain import require_plain
from starter.turns import Turns
from starter.views import AccountView, ChangeView, OfferView, Renewed, ServiceView, TimelineEntry


class CustomerServices:
    """A customer's services. Every method acts for one account; another's things are `NotFound`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._database = Database(settings.database_url, pool_size=settings.database_pool)
        self._catalogue = CatalogueReader()
        self._timeout = timedelta(seconds=settings.engine_timeout_seconds)
        self._looks = Turns(self._timeout)

    async def close(self) -> None:
        await self._database.close()

    @property
    def database(self) -> Database:
        """The same connections for those who show this and keep keys, links or sessions of their own."""
        return self._database

    # Looking.

    @asynccontextmanager
    async def _look(self, account_id: str) -> AsyncIterator[AsyncConnection]:
        """Give a connection to look at what is the account's, when it is its turn."""
        async with self._looks.of(account_id), self._database.read() as connection:
            yield connection

    async def account(self, id_or_email: str) -> AccountView:
        """Return the account by its id or its e-mail address."""
        async with self._database.read() as connection:
            return await reads.account(connection, id_or_email)

    async def services(self, account_id: str) -> list[ServiceView]:
        """Return what the account rents, oldest first."""
        async with self._look(account_id) as connection:
            return await self._services(connection, account_id)

    async def service(self, account_id: str, service_id: str) -> ServiceView:
        async with self._look(account_id) as connection:
            return await self._service(connection, account_id, service_id)

    async def _service(self, connection: AsyncConnection, account_id: str, service_id: str) -> ServiceView:
        found = await self._services(connection, account_id, service_id)
        if not found:
            raise problems.NotFound(what="service")
        return found[0]

    async def _services(
        self, connection: AsyncConnection, account_id: str, service_id: str | None = None
    ) -> list[ServiceView]:
        return await reads.services_of(
            connection,
            account_id,
            self._catalogue,
            self._settings.policy,
            now=moment(),
            service_id=service_id,
        )

    async def _facts(
        self, connection: AsyncConnection, account_id: str, service_id: str, now: datetime
    ) -> tuple[Facts, Catalogue]:
        found = await services.facts_and_catalogue(
            connection, self._catalogue, service_id, now, account_id=account_id
        )
        if found is None:
            raise problems.NotFound(what="service")
        return found

    async def offers(self, account_id: str, service_id: str) -> list[OfferView]:
        """Return the offers that the service can change to, its own among them, with the options allowed."""
        async with self._look(account_id) as connection:
            facts, catalogue = await self._facts(connection, account_id, service_id, moment())
        return [
            OfferView(
                offer=offer,
                options=allowed_options(facts, offer),
                is_present=offer.code == facts.configuration.offer,
            )
            for offer in changeable_offers(facts, catalogue)
        ]

    async def quote(self, account_id: str, service_id: str, configuration: Configuration) -> Quote:
        """Work out what a change would do now, with every blocker. Nothing is changed.

        Raises `RequestInvalid` for codes that can't be any.
        """
        now = whole_second(moment())
        async with self._look(account_id) as connection:
            facts, catalogue = await self._facts(connection, account_id, service_id, now)
        require_plain(configuration)
        return assess(facts, configuration, catalogue, self._settings.policy, now)

    async def status(self, account_id: str, change_id: str) -> ChangeView:
        """Return a change with its timeline and receipts; not found while its service is expired."""
        async with self._look(account_id) as connection:
            found = shown(await reads.change_of(connection, account_id, change_id))
            timeline = await reads.timeline_of(connection, change_id)
            receipts = await reads.receipts_of(connection, change_id)
        return found.view(
            self._settings.code_policy,
            tuple(entry.for_customer() for entry in timeline),
            tuple(receipt.for_customer() for receipt in receipts),
        )

    async def history(self, account_id: str, service_id: str) -> list[ChangeView]:
        """Return the service's changes, newest first; none while it is expired."""
        async with self._look(account_id) as connection:
            found = await reads.history_of(connection, account_id, service_id, moment())
        if not found:
            await self.service(account_id, service_id)
        return [change.view(self._settings.code_policy) for change in found]

    async def watch(
        self, account_id: str, change_id: str, after: int = 0
    ) -> AsyncGenerator[TimelineEntry, None]:
        """Give what happens to a change, from behind entry `after` on, until it is closed.

        Not found while its service is expired.
        """
        while True:
            async with self._look(account_id) as connection:
                found = shown(await reads.change_of(connection, account_id, change_id))
                entries = await reads.timeline_of(connection, change_id, after)
            for entry in entries:
                after = entry.seq
                yield entry.for_customer()
            if found.change.stage in CLOSED:
                return
            await asyncio.sleep(reads.EVERY.total_seconds())

    # Marks and renewals: the starter's own writes.

    async def mark(self, account_id: str, service_id: str, server_id: str) -> None:
        """Mark a server for deletion. Nothing is destroyed before a change is confirmed."""
        await writes.set_mark(self._database, account_id, service_id, server_id, marked_at=moment())

    async def unmark(self, account_id: str, service_id: str, server_id: str) -> None:
        """Take a mark back. Raises `ChangeClosed` once a committed change destroys the server."""
        await writes.set_mark(self._database, account_id, service_id, server_id, marked_at=None)

    async def renew(self, account_id: str, service_id: str, days: int, *, idempotency_key: str) -> Renewed:
        """Add days (1 to 3650) to the later of now and the expiry; also while a change is open."""
        return await writes.renew(
            self._database, account_id, service_id, days, key=idempotency_key, now=whole_second(moment())
        )


def shown(found: reads.FoundChange) -> reads.FoundChange:
    """Return what a customer may see: nothing of a service that is expired (DESIGN, History)."""
    if found.service_expires_at <= moment():
        raise problems.NotFound(what="plan change")
    return found


def moment() -> datetime:
    """Return the starter's own clock: for what is shown, for marks and for renewals."""
    return datetime.now(UTC)
