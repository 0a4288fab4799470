"""The scene of a random history: who is there at first, and what must be there after each act."""

from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import update

from changeover.domain.problems import Problem
from changeover.hosts.sample import SampleServer, create_samples
from changeover.storage import tables
from changeover.storage.database import Database
from starter.operations import Operations
from tests.faults.evidence import digest_of
from tests.faults.random_histories.model import (
    Model,
    Server,
    Service,
    Wish,
)
from tests.faults.story import Before, Ledger
from tests.storage.rows import CATALOGUE, Rented, add_account, add_rows, load_catalogue, rent, rows_of
from tests.workflows.world import World
from workflows import ids

FREE = 3
"""Addresses in the pool at first: the fourth new server is one too many."""


class Scene:
    """One history: an account with two services, on a world that others have used before."""

    def __init__(self, world: World, database: Database) -> None:
        self.world = world
        self.database = database  # the world's own is the workers', and fails them
        self.model: Model
        self.account_id = ""
        self.email = ""
        self.first_mail = len(world.post.sent)
        self.before: dict[str, Before] = {}
        self.ledger = Ledger()
        self.fault: str | None = None
        self.quotes: dict[str, str | None] = {}
        self.operations = Operations(world.settings, world.temporal.client)

    async def begin(self, passes: int, counts: tuple[int, int], flexi: bool, *, cooling: bool) -> None:
        self.world.database.away = self.world.database.answers_lost = 0
        self.world.post.faults, self.world.post.lost, self.world.host.faults = [], [], []
        database = self.database
        held = update(tables.addresses).where(tables.addresses.c.server_id.is_(None)).values(held=True)
        await database.write(lambda connection: connection.execute(held))
        await load_catalogue(database, CATALOGUE)
        now = datetime.now(UTC).replace(microsecond=0)
        number = uuid4().int % 250
        pool = [
            {"address": f"198.18.{number}.{uuid4().int % 60_000}:{index}", "server_id": None}
            | {"free_from": now - timedelta(days=1), "held": False}
            for index in range(FREE)
        ]
        await add_rows(database, tables.addresses, *pool)
        name = f"canary-{uuid4().hex[:12]}"
        self.email = f"{name}@example.com"
        self.account_id = await add_account(database, name, passes=passes)
        services = []
        for index, count in enumerate(counts):
            options = ("flexi_plus",) if flexi and index == 0 else ()
            last = now - timedelta(days=1) if cooling else None
            services.append(await self._rent(count, options, now + timedelta(days=20), last))
        per_slot = {code: offer.per_slot for code, offer in CATALOGUE.items()}
        self.model = Model(services=services, passes=passes, free=FREE, per_slot=per_slot)

    async def _rent(
        self, count: int, options: tuple[str, ...], expires_at: datetime, last: datetime | None
    ) -> Service:
        rented = await rent(
            self.database,
            self.account_id,
            servers=count,
            options=options,
            expires_at=expires_at,
            last_committed_at=last,
        )
        samples = [
            SampleServer(
                server_id=server_id,
                name=f"server-{number}",
                address=address,
                game="minecraft",
                slots=20,
                options=options,
                backups=1,
                kilobytes=1,
            )
            for number, (server_id, address) in enumerate(
                zip(rented.servers, rented.addresses, strict=True), start=1
            )
        ]
        await create_samples(samples, self.world.host_dir)
        self.before[rented.service_id] = await self._before(rented)
        return Service(
            id=rented.service_id,
            has=Wish("blocks", 20, frozenset(options), count),
            expires_at=expires_at,
            servers=[Server(it) for it in rented.servers],
            last_committed_at=last,
        )

    async def _before(self, rented: Rented) -> Before:
        database = self.database
        (service,) = await rows_of(database, tables.services, id=rented.service_id)
        servers = await rows_of(database, tables.servers, service_id=rented.service_id)
        return Before(
            service=service,
            servers={row["id"]: row for row in servers},
            passes=await rows_of(database, tables.passes, account_id=self.account_id),
            files={it: digest_of(self.world.host_dir / it) for it in rented.servers},
        )

    async def _run_ends(self, service: Service) -> None:
        await self.world.temporal.client.get_workflow_handle(ids.plan_change_workflow_id(service.id)).result()

    # What is there must be what the model says.

    async def agree(self) -> None:
        database = self.database
        addresses = {row["address"]: row for row in await rows_of(database, tables.addresses)}
        passes = await rows_of(database, tables.passes, account_id=self.account_id)
        assert sum(row["spent_at"] is None for row in passes) == self.model.passes
        for service in self.model.services:
            (row,) = await rows_of(database, tables.services, id=service.id)
            has = Wish(row["offer_code"], row["slots"], frozenset(row["options"]), row["server_count"])
            assert (has, row["expires_at"]) == (service.has, service.expires_at)
            assert row["last_committed_at"] == service.last_committed_at
            servers = {it["id"]: it for it in await rows_of(database, tables.servers, service_id=service.id)}
            for server in service.servers:
                found = servers.pop(server.id)
                assert found["state"] == server.state
                owner = addresses[found["address"]]
                if server.address != "released":
                    assert (owner["server_id"], owner["held"]) == (server.id, server.address == "held")
                else:
                    assert owner["server_id"] is None
            assert servers == {}
            for change in service.changes:
                row = await self.world.row(change.id)
                figures = (row.stage, row.reason, row.code_number, row.wrong_on_code, row.wrong_on_change)
                assert figures == (
                    change.stage,
                    change.reason,
                    change.number,
                    change.wrong_on_code,
                    change.wrong_on_change,
                )


async def told_by(call: Awaitable[Any]) -> str:
    try:
        await call
    except Problem as problem:
        return problem.code
    return "ok"
