"""The database: reachable, its schema, the catalogue in force, the pool of addresses, its clock."""

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from sqlalchemy import func, make_url, select, text

from changeover.diagnosis import Check, Verdict, clock, ok, warning, wrong
from changeover.settings import Settings
from changeover.storage import findings, schema
from changeover.storage.catalogue import CatalogueMissing, CatalogueReader
from changeover.storage.database import Database
from changeover.storage.tables import addresses, catalogues

FEW_ADDRESSES: Final = 5
_SILENT: Final = (
    "start the database, and run `changeover setup` if it was never done; is CHANGEOVER_DATABASE_URL right, "
    "its password too?"
)


class OfDatabase:
    """Looks at the database. `now` is our own clock."""

    def __init__(self, settings: Settings, database: Database, now: Callable[[], datetime]) -> None:
        self._url = settings.database_url
        self._database = database
        self._now = now

    def checks(self) -> list[Check]:
        """Return the checks, to be examined."""
        looks: dict[str, Callable[[], Awaitable[Verdict]]] = {
            "database": self._schema,
            "catalogue": self._catalogue,
            "addresses": self._addresses,
            "findings": self._findings,
            "database-clock": self._clock,
        }
        return [Check(name=name, look=look, silent=_SILENT) for name, look in looks.items()]

    async def _schema(self) -> Verdict:
        began = time.perf_counter()
        self._require_file()
        present, expected = await schema.present_revision(self._url), schema.expected_revision()
        milliseconds = (time.perf_counter() - began) * 1000
        told = f"the database has schema {present or 'none'}, this release needs {expected}"
        if schema.suits(present, expected):
            return ok(f"{told}; it answers in {milliseconds:.0f} ms")
        if (present or "") < expected:
            return wrong(told, "run `changeover setup`: it brings the schema up to date")
        return wrong(told, "a newer release was here: run that one, this program is too old")

    async def _catalogue(self) -> Verdict:
        self._require_file()
        newest = select(catalogues.c.version, catalogues.c.loaded_at).order_by(catalogues.c.version.desc())
        async with self._database.read() as connection:
            try:
                offers = await CatalogueReader().current(connection)
            except CatalogueMissing:
                return wrong("no catalogue is loaded", "run `changeover setup --catalogue FILE`")
            row = (await connection.execute(newest.limit(1))).one()
        on_sale = sum(offer.visible for offer in offers.values())
        told = (
            f"version {row.version} is in force since {row.loaded_at:%Y-%m-%d %H:%M} UTC: "
            f"{len(offers)} offers, {on_sale} on sale"
        )
        if not on_sale:
            return warning(told, "nobody can change to another offer: is this the right catalogue?")
        return ok(told)

    async def _addresses(self) -> Verdict:
        self._require_file()
        unassigned = addresses.c.server_id.is_(None)
        free = unassigned & ~addresses.c.held & (addresses.c.free_from <= self._now())
        query = select(
            func.count().label("all"),
            func.count().filter(free).label("free"),
            func.count().filter(addresses.c.held).label("held"),
        ).select_from(addresses)
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one()
        told = f"{row.free} of {row.all} addresses are free, {row.held} are held back"
        advice = "changes that add servers are refused without: `changeover setup --addresses FILE` adds some"
        if not row.free:
            return wrong(told, advice)
        return warning(told, advice) if row.free < FEW_ADDRESSES else ok(told)

    async def _findings(self) -> Verdict:
        self._require_file()
        async with self._database.read() as connection:
            by_kind = await findings.open_by_kind(connection)
        if not by_kind:
            return ok("the reconciler found nothing that waits for an operator")
        told = ", ".join(f"{count} {kind}" for kind, count in sorted(by_kind.items()))
        return warning(f"the reconciler found {told}", "`changeover ops findings` names them")

    async def _clock(self) -> Verdict:
        self._require_file()
        if self._database.is_sqlite:
            return ok("SQLite has this machine's clock")
        async with self._database.read() as connection:
            await connection.execute(text("SELECT 1"))  # connected: what follows takes one round trip
            before = self._now()
            theirs: datetime = (await connection.execute(text("SELECT clock_timestamp()"))).scalar_one()
            after = self._now()
        return clock("the database's clock", *ahead(theirs, before, after))

    def _require_file(self) -> None:
        """Raise `FileNotFoundError` for an SQLite file that isn't there: looking must not make it."""
        file = make_url(self._url).database
        if self._database.is_sqlite and file not in {None, "", ":memory:"} and not Path(str(file)).is_file():
            raise FileNotFoundError


def ahead(theirs: datetime, before: datetime, after: datetime) -> tuple[float, float]:
    """Return by how many seconds `theirs`, read between the two, is ahead, and how far that may be off."""
    half = (after - before) / 2
    return (theirs.astimezone(UTC) - before - half).total_seconds(), half.total_seconds()
