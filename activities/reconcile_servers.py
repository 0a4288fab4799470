"""The servers on the host against those in the database. People decide: nothing is made or destroyed here."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, select

from activities.reconcile_runs import LATE
from changeover.hosts import Host
from changeover.storage.database import Database
from changeover.storage.services import HELD
from changeover.storage.tables import servers
from workflows.reconciling import CheckOrder

if TYPE_CHECKING:
    from activities.reconcile import Tell

_PAGE = 1000
_MOST_ASKED = 200
"""Servers of a kind that the host is asked about one by one; if there are more, one cause is behind them."""


class ServerCheck:
    """The host is listed first, the rows are read after it: a row comes before its server."""

    kinds = ("server-unknown", "server-missing", "server-remains")

    def __init__(self, database: Database, host: Host) -> None:
        self._database = database
        self._host = host

    async def look(self, order: CheckOrder, tell: "Tell") -> None:
        there = set(await self._host.servers())
        missing: list[Row[Any]] = []
        remaining: list[Row[Any]] = []
        unknown = set(there)
        async for row in self._rows():
            unknown.discard(row.id)
            if row.state in HELD and row.id not in there and row.created_at <= order.at - LATE:
                _keep(row, missing)
            gone_for_long = row.destroyed_at is not None and row.destroyed_at <= order.at - LATE
            if row.state == "destroyed" and gone_for_long and row.id in there:
                _keep(row, remaining)
        for server_id in sorted(unknown)[:_MOST_ASKED]:
            if await self._host.find(server_id) is not None:
                await tell("server-unknown", server_id, "the host has it, and the database doesn't know it")
        for row in missing:
            if await self._host.find(row.id) is None:
                what = f"{row.state} server of service {row.service_id}, and the host doesn't have it"
                await tell("server-missing", row.id, what)
        for row in remaining:
            if await self._host.find(row.id) is not None:
                what = f"destroyed server of service {row.service_id}, and the host still has it"
                await tell("server-remains", row.id, what)

    async def _rows(self) -> AsyncIterator[Row[Any]]:
        after = ""
        columns = (
            servers.c.id,
            servers.c.service_id,
            servers.c.state,
            servers.c.created_at,
            servers.c.destroyed_at,
        )
        while True:
            query = select(*columns).where(servers.c.id > after).order_by(servers.c.id).limit(_PAGE)
            async with self._database.read() as connection:
                page: list[Any] = list(await connection.execute(query))
            for row in page:
                yield row
            if len(page) < _PAGE:
                return
            after = page[-1].id


def _keep(row: Row[Any], asked_for: list[Row[Any]]) -> None:
    """Keep a row that the host is to be asked about; without a bound, a lost disk would be a list of all."""
    if len(asked_for) < _MOST_ASKED:
        asked_for.append(row)
