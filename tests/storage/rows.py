"""Rows to start from: a catalogue of our own, and what customers rent."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import Table, insert, select, update

from changeover.domain.catalogue import FLEXI_PLUS, Catalogue, Configuration, Offer, Option, Per
from changeover.storage import tables
from changeover.storage.catalogue import store_catalogue
from changeover.storage.database import Database

T0 = datetime(2026, 3, 10, 12, 0, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


def an_offer(code: str, per_slot: int, base: int = 0, *options: Option) -> Offer:
    return Offer(
        code=code,
        game="minecraft",
        base=base,
        per_slot=per_slot,
        min_slots=8,
        max_slots=64,
        slot_step=2,
        most_servers=10,
        options=options,
        names={"fr": f"Offre {code}", "en": f"Offer {code}"},
    )


BLOCKS = an_offer(
    "blocks",
    100,
    0,
    Option(code="backups", price=150, per=Per.SERVER, names={"fr": "Sauvegardes", "en": "Backups"}),
    Option(code=FLEXI_PLUS, price=0, per=Per.SERVICE, names={"fr": "Flexi+", "en": "Flexi+"}),
)
CLASSIC = an_offer("classic", 150, 300)
OTHER_GAME = replace(an_offer("island", 100), game="rust")
CATALOGUE: Catalogue = {offer.code: offer for offer in (BLOCKS, CLASSIC, OTHER_GAME)}


@dataclass(frozen=True, kw_only=True)
class Rented:
    """A service with its account and its servers' ids, in their order."""

    account_id: str
    service_id: str
    servers: tuple[str, ...]
    addresses: tuple[str, ...]

    def wants(self, slots: int = 20, servers: int = 3, *options: str, offer: str = "blocks") -> Configuration:
        return Configuration.of(offer, slots, options, servers)


async def load_catalogue(database: Database, catalogue: Catalogue = CATALOGUE) -> int | None:
    return await database.write(lambda connection: store_catalogue(connection, catalogue, T0))


async def add_rows(database: Database, table: Table, *rows: dict[str, Any]) -> None:
    if rows:
        await database.write(lambda connection: connection.execute(insert(table), list(rows)))


async def add_account(
    database: Database, name: str = "alice", *, language: str = "fr", passes: int = 0
) -> str:
    account_id = str(uuid4())
    account = {
        "id": account_id,
        "email": f"{name}@example.com",
        "language": language,
        "created_at": T0 - 400 * DAY,
    }
    await add_rows(database, tables.accounts, account)
    grants = [
        {"id": str(uuid4()), "account_id": account_id, "granted_at": T0 + number * SECOND}
        for number in range(passes)
    ]
    await add_rows(database, tables.passes, *grants)
    return account_id


async def rent(
    database: Database,
    account_id: str | None = None,
    *,
    name: str = "alice",
    language: str = "fr",
    offer: str = "blocks",
    slots: int = 20,
    options: tuple[str, ...] = (),
    servers: int = 3,
    marked: int = 0,
    expires_at: datetime = T0 + 20 * DAY,
    last_committed_at: datetime | None = None,
    passes: int = 0,
    paypal: bool = False,
) -> Rented:
    """Add a service, its account too when none is given; the last `marked` servers are marked."""
    account_id = account_id or await add_account(database, name, language=language, passes=passes)
    service_id = str(uuid4())
    service = {
        "id": service_id,
        "account_id": account_id,
        "name": f"Service de {name}",
        "offer_code": offer,
        "slots": slots,
        "options": list(options),
        "server_count": servers,
        "expires_at": expires_at,
        "last_committed_at": last_committed_at,
        "recurring_payment_active": paypal,
        "created_at": T0 - 300 * DAY,
    }
    network = f"{int(service_id[4:6], 16)}.{int(service_id[6:8], 16)}"
    its_servers = [
        {
            "id": str(uuid4()),
            "service_id": service_id,
            "name": f"server-{number}",
            "address": f"10.{network}.{number}:{int(service_id[:4], 16)}",
            "state": "marked" if number > servers - marked else "active",
            "backups": number,
            "created_at": T0 - (300 - number) * DAY,
            "marked_at": T0 if number > servers - marked else None,
        }
        for number in range(1, servers + 1)
    ]
    owned = [
        {"address": server["address"], "server_id": server["id"], "free_from": None, "held": False}
        for server in its_servers
    ]
    await add_rows(database, tables.services, service)
    await add_rows(database, tables.servers, *its_servers)
    await add_rows(database, tables.addresses, *owned)
    return Rented(
        account_id=account_id,
        service_id=service_id,
        servers=tuple(str(server["id"]) for server in its_servers),
        addresses=tuple(str(server["address"]) for server in its_servers),
    )


async def add_free_addresses(database: Database, count: int, free_from: datetime = T0 - DAY) -> list[str]:
    free = [f"198.51.100.{number}:27015" for number in range(1, count + 1)]
    rows = [{"address": it, "server_id": None, "free_from": free_from, "held": False} for it in free]
    await add_rows(database, tables.addresses, *rows)
    return free


async def set_values(database: Database, table: Table, key: str, **values: Any) -> None:
    """Update the row of `table` whose first key column is `key`."""
    column = next(iter(table.primary_key.columns))
    statement = update(table).where(column == key).values(**values)
    await database.write(lambda connection: connection.execute(statement))


async def rows_of(database: Database, table: Table, **where: Any) -> list[dict[str, Any]]:
    """Return the rows of `table` in the order of its key."""
    query = select(table).order_by(*table.primary_key.columns)
    for name, value in where.items():
        query = query.where(table.c[name] == value)
    async with database.read() as connection:
        return [dict(row) for row in (await connection.execute(query)).mappings()]


async def row_of(database: Database, table: Table, **where: Any) -> dict[str, Any]:
    (row,) = await rows_of(database, table, **where)
    return row


CONTENT = (
    tables.services,
    tables.servers,
    tables.addresses,
    tables.passes,
    tables.plan_changes,
    tables.tasks,
    tables.receipts,
    tables.code_tries,
    tables.idempotency_keys,
    tables.trail,
)


async def snapshot(database: Database, *without: Table) -> dict[str, list[dict[str, Any]]]:
    """Return all that a plan change could alter."""
    return {table.name: await rows_of(database, table) for table in CONTENT if table not in without}
