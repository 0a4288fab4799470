"""Customers to try things with: one for every situation that a plan change can meet, and more on demand.

Everything is made from fixed ids, so that seeding twice changes nothing. Times count from `now`.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from sqlalchemy import Table, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from changeover.domain.catalogue import FLEXI_PLUS
from changeover.domain.proration import whole_second
from changeover.storage.database import Database
from changeover.storage.tables import accounts, addresses, passes, servers, services

# RFC 5737: addresses for documentation. The pool's are others than the servers', so that both can grow.
_SERVERS_NET = "203.0.113"
_POOL_NET = "198.51.100"
_FIRST_PORT = 27015
_CHUNK = 500


@dataclass(frozen=True, kw_only=True)
class Situation:
    """A customer with one service. `days` are left until it expires; negative when it has."""

    name: str
    language: str
    service: str
    offer: str = "cs2-public"
    slots: int = 20
    servers: int = 3
    days: float = 20.5
    options: tuple[str, ...] = ()
    changed_days_ago: float | None = None
    passes: int = 0
    paypal: bool = False
    marked: int = 0


WAITING = "irene"
"""Her change waits for its code, once the embedded system has staged it."""
STUCK = "jules"
"""The teardown of his change needs attention, once the embedded system has staged it."""

SITUATIONS = (
    Situation(name="alice", language="fr", service="Les Renards"),
    Situation(
        name="bruno", language="fr", service="Clan du Nord", offer="cs2-public", slots=10, servers=1, days=2.5
    ),
    Situation(name="chloe", language="en", service="Night Shift", changed_days_ago=7),
    Situation(
        name="david", language="en", service="Flexible", options=(FLEXI_PLUS,), changed_days_ago=7, servers=2
    ),
    Situation(name="emma", language="fr", service="Joker", changed_days_ago=7, passes=1),
    Situation(name="farid", language="fr", service="Abonnement", paypal=True),
    Situation(name="grace", language="en", service="Forgotten", days=-3),
    Situation(name="hugo", language="fr", service="Deux en trop", servers=4, marked=2),
    Situation(name=WAITING, language="fr", service="En attente", servers=2),
    Situation(name=STUCK, language="en", service="Stuck", servers=2, marked=1),
)


@dataclass(frozen=True, kw_only=True)
class Seeded:
    """What was made: accounts with their services, and the servers that a host must have (none destroyed)."""

    accounts: list[dict[str, Any]]
    servers: list[dict[str, Any]] = field(repr=False)


def account_id(name: str) -> str:
    """Return the id of a sample customer."""
    return _id("account", name)


def _id(kind: str, name: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"changeover:seed:{kind}:{name}"))


def more(count: int) -> list[Situation]:
    """Return `count` further customers, alike but for their names, offers and days."""
    offers = ("cs2-public", "cs2-eco", "cs2-club")
    return [
        Situation(
            name=f"customer-{number:05}",
            language="fr" if number % 2 else "en",
            service=f"Service {number:05}",
            offer=offers[number % len(offers)],
            slots=16 if number % len(offers) == 1 else 20,
            servers=1 + number % 3,
            days=5 + number % 60,
        )
        for number in range(1, count + 1)
    ]


async def seed(database: Database, now: datetime, extra: int = 0, free_addresses: int = 40) -> Seeded:
    """Write the situations and `extra` more customers; what is there already is left as it is."""
    now = whole_second(now)
    situations = [*SITUATIONS, *more(extra)]
    rows: dict[Table, list[dict[str, Any]]] = {
        accounts: [],
        services: [],
        servers: [],
        passes: [],
        addresses: [],
    }
    told = []
    on_host = []
    for situation in situations:
        its_servers = _servers(situation, now, len(rows[servers]))
        rows[accounts].append(_account(situation, now))
        rows[services].append(_service(situation, now))
        rows[servers] += its_servers
        rows[addresses] += [
            {"address": server["address"], "server_id": server["id"], "free_from": None, "held": False}
            for server in its_servers
        ]
        rows[passes] += [
            {
                "id": _id("pass", f"{situation.name}-{number}"),
                "account_id": _id("account", situation.name),
                "granted_at": now,
            }
            for number in range(situation.passes)
        ]
        on_host += [_on_host(situation, server) for server in its_servers]
        told.append(_told(situation))
    rows[addresses] += [
        {"address": _address(number, _POOL_NET), "server_id": None, "free_from": now, "held": False}
        for number in range(free_addresses)
    ]
    await database.write(lambda connection: _insert_missing(connection, rows))
    async with database.read() as connection:
        held = select(servers.c.id).where(servers.c.state.in_(("active", "marked")))
        there = set((await connection.execute(held)).scalars())
    return Seeded(accounts=told, servers=[server for server in on_host if server["server_id"] in there])


async def _insert_missing(connection: AsyncConnection, rows: dict[Table, list[dict[str, Any]]]) -> None:
    """Insert nothing when the first situation is there: seeding again changes nothing."""
    first = rows[accounts][0]["id"]
    present = (await connection.execute(select(func.count()).select_from(accounts))).scalar_one()
    known = (await connection.execute(select(accounts.c.id).where(accounts.c.id == first))).one_or_none()
    if known is not None and present >= len(rows[accounts]):
        return
    for table, entries in rows.items():
        key = next(iter(table.primary_key.columns))
        there = set((await connection.execute(select(key))).scalars())
        missing = [entry for entry in entries if entry[key.name] not in there]
        for start in range(0, len(missing), _CHUNK):
            await connection.execute(insert(table), missing[start : start + _CHUNK])


def _account(situation: Situation, now: datetime) -> dict[str, Any]:
    return {
        "id": _id("account", situation.name),
        "email": f"{situation.name}@example.com",
        "language": situation.language,
        "created_at": now - timedelta(days=400),
    }


def _service(situation: Situation, now: datetime) -> dict[str, Any]:
    ago = situation.changed_days_ago
    return {
        "id": _id("service", situation.name),
        "account_id": _id("account", situation.name),
        "name": situation.service,
        "offer_code": situation.offer,
        "slots": situation.slots,
        "options": list(situation.options),
        "server_count": situation.servers,
        "expires_at": now + timedelta(days=situation.days),
        "last_committed_at": None if ago is None else now - timedelta(days=ago),
        "recurring_payment_active": situation.paypal,
        "created_at": now - timedelta(days=300),
    }


def _servers(situation: Situation, now: datetime, taken: int) -> list[dict[str, Any]]:
    return [
        {
            "id": _id("server", f"{situation.name}-{number}"),
            "service_id": _id("service", situation.name),
            "name": f"server-{number}",
            "address": _address(taken + number - 1),
            "state": "marked" if number > situation.servers - situation.marked else "active",
            "backups": number,
            "created_at": now - timedelta(days=300 - number),
            "marked_at": now if number > situation.servers - situation.marked else None,
        }
        for number in range(1, situation.servers + 1)
    ]


def _address(index: int, net: str = _SERVERS_NET) -> str:
    host, port = divmod(index, 1000)
    return f"{net}.{host + 1}:{_FIRST_PORT + port}"


def _on_host(situation: Situation, server: dict[str, Any]) -> dict[str, Any]:
    return {
        "server_id": server["id"],
        "name": server["name"],
        "address": server["address"],
        "game": "counter-strike-2",
        "slots": situation.slots,
        "options": list(situation.options),
        "backups": server["backups"],
        "kilobytes": 64,
    }


def _told(situation: Situation) -> dict[str, Any]:
    return {
        "id": _id("account", situation.name),
        "email": f"{situation.name}@example.com",
        "language": situation.language,
        "services": [{"id": _id("service", situation.name), "name": situation.service}],
    }
