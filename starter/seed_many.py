"""Customers in bulk, for load: `changeover seed --services N`. One account with one service each.

Everything is made from fixed ids, so seeding twice changes nothing and a load generator knows its customers
by their numbers.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from changeover.domain.proration import whole_second
from changeover.storage.database import Database
from changeover.storage.tables import accounts, addresses, servers, services

OFFER = "cs2-public"
SLOTS = 20
MOST_SERVERS = 10
MOST_CUSTOMERS = 900_000
_NET = "192.0.2"  # RFC 5737, and none of the nets of `seed`
_FIRST_PORT, _PORTS = 27_015, 38_000
_CHUNK = 1_000


@dataclass(frozen=True, kw_only=True)
class Customer:
    """The customer `number` (1 to `MOST_CUSTOMERS`) and the one service.

    It has `servers` servers, the last `marked` of them marked for deletion, and `days` days left.
    """

    number: int
    servers: int = 1
    marked: int = 0
    days: int = 60

    def __post_init__(self) -> None:
        if not (1 <= self.number <= MOST_CUSTOMERS and 0 <= self.marked < self.servers <= MOST_SERVERS):
            raise ValueError(f"no such customer: {self}")

    @property
    def email(self) -> str:
        return f"load-{self.number:06}@example.com"

    @property
    def language(self) -> str:
        return "fr" if self.number % 2 else "en"

    @property
    def account_id(self) -> str:
        return self._id("account")

    @property
    def service_id(self) -> str:
        return self._id("service")

    @property
    def server_ids(self) -> list[str]:
        return [self._id(f"server-{index}") for index in range(1, self.servers + 1)]

    @property
    def marked_ids(self) -> list[str]:
        return self.server_ids[self.servers - self.marked :]

    def address(self, index: int) -> str:
        """Return the address of the server `index` (from 1)."""
        host, port = divmod(self.number * MOST_SERVERS + index - 1, _PORTS)
        return f"{_NET}.{host + 1}:{_FIRST_PORT + port}"

    def _id(self, kind: str) -> str:
        return str(uuid5(NAMESPACE_URL, f"changeover:load:{kind}:{self.number}"))

    def on_host(self, kilobytes: int = 1, backups: int = 0) -> list[dict[str, Any]]:
        """Return what a local host is told to make of the servers."""
        return [
            {
                "server_id": server_id,
                "name": f"server-{index}",
                "address": self.address(index),
                "game": "counter-strike-2",
                "slots": SLOTS,
                "options": [],
                "backups": backups,
                "kilobytes": kilobytes,
            }
            for index, server_id in enumerate(self.server_ids, start=1)
        ]


async def seed_many(database: Database, now: datetime, customers: Iterator[Customer]) -> int:
    """Write the customers that are not there yet, a thousand a transaction; return how many those were."""
    made = 0
    chunk: list[Customer] = []
    for customer in customers:
        chunk.append(customer)
        if len(chunk) == _CHUNK:
            made += await _write(database, whole_second(now), chunk)
            chunk = []
    return made + await _write(database, whole_second(now), chunk)


async def _write(database: Database, now: datetime, customers: list[Customer]) -> int:
    async def work(connection: AsyncConnection) -> int:
        known = select(accounts.c.id).where(accounts.c.id.in_([it.account_id for it in customers]))
        there = set((await connection.execute(known)).scalars())
        new = [customer for customer in customers if customer.account_id not in there]
        if new:
            held = [row for customer in new for row in _servers(customer, now)]
            await connection.execute(insert(accounts), [_account(it, now) for it in new])
            await connection.execute(insert(services), [_service(it, now) for it in new])
            await connection.execute(insert(servers), held)
            await connection.execute(
                insert(addresses),
                [
                    {"address": it["address"], "server_id": it["id"], "free_from": None, "held": False}
                    for it in held
                ],
            )
        return len(new)

    return await database.write(work)


def _account(customer: Customer, now: datetime) -> dict[str, Any]:
    return {
        "id": customer.account_id,
        "email": customer.email,
        "language": customer.language,
        "created_at": now - timedelta(days=400),
    }


def _service(customer: Customer, now: datetime) -> dict[str, Any]:
    return {
        "id": customer.service_id,
        "account_id": customer.account_id,
        "name": f"Service {customer.number:06}",
        "offer_code": OFFER,
        "slots": SLOTS,
        "options": [],
        "server_count": customer.servers,
        "expires_at": now + timedelta(days=customer.days),
        "last_committed_at": None,
        "recurring_payment_active": False,
        "created_at": now - timedelta(days=300),
    }


def _servers(customer: Customer, now: datetime) -> list[dict[str, Any]]:
    marked = set(customer.marked_ids)
    return [
        {
            "id": server_id,
            "service_id": customer.service_id,
            "name": f"server-{index}",
            "address": customer.address(index),
            "state": "marked" if server_id in marked else "active",
            "backups": 0,
            "created_at": now - timedelta(days=200 - index),
            "marked_at": now if server_id in marked else None,
        }
        for index, server_id in enumerate(customer.server_ids, start=1)
    ]
