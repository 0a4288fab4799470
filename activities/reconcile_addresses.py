"""Addresses that nobody can use, or that two could. One that is proved to be free is given back."""

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import Select, exists, select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.state import locked_change
from changeover.domain.teardown import STEPS
from changeover.storage import addresses as pool
from changeover.storage import changes, tasks
from changeover.storage.changes import Event
from changeover.storage.database import Database
from changeover.storage.findings import BY_RECONCILER
from changeover.storage.tables import addresses, receipts, servers
from changeover.storage.tables import tasks as task_rows
from workflows.reconciling import CheckOrder

if TYPE_CHECKING:
    from activities.reconcile import Tell

_MOST = 1000

_kept_back = exists().where(
    task_rows.c.server_id == addresses.c.server_id,
    task_rows.c.kind == "teardown",
    task_rows.c.address_held,
)
_of_destroyed = (
    select(addresses.c.address, servers.c.id)
    .join(servers, servers.c.id == addresses.c.server_id)
    .where(servers.c.state == "destroyed", ~addresses.c.held)
)
_REPORTED: dict[str, tuple[str, Select[Any]]] = {
    "address-held-without-reason": (
        "it is held back, and no deletion of its server was skipped",
        select(addresses.c.address).where(addresses.c.held, ~_kept_back),
    ),
    "address-lost": (
        "it belongs to no server, and is never to be free",
        select(addresses.c.address).where(
            addresses.c.server_id.is_(None), addresses.c.free_from.is_(None), ~addresses.c.held
        ),
    ),
    "address-not-its-servers": (
        "a server uses it, and the pool says that it belongs to another or to none",
        select(addresses.c.address)
        .join(servers, servers.c.address == addresses.c.address)
        .where(
            servers.c.state != "destroyed",
            addresses.c.server_id.is_(None) | (addresses.c.server_id != servers.c.id),
        ),
    ),
}


class AddressCheck:
    """I4 stands above everything: without the receipts of its deletion, an address stays where it is."""

    kinds = ("address-of-destroyed-server", *_REPORTED)

    def __init__(self, database: Database, quarantine: timedelta) -> None:
        self._database = database
        self._quarantine = quarantine

    async def look(self, order: CheckOrder, tell: "Tell") -> None:
        for kind, (detail, query) in _REPORTED.items():
            async with self._database.read() as connection:
                found = (await connection.execute(query.distinct().limit(_MOST))).scalars().all()
            for address in found:
                await tell(kind, address, detail)
        async with self._database.read() as connection:
            rows = (await connection.execute(_of_destroyed.limit(_MOST))).all()
            proved = {row.id: await _is_proved(connection, row.id) for row in rows}
        for row in rows:
            await self._tell_destroyed(row, order, tell, proved=proved[row.id])

    async def _tell_destroyed(self, row: Any, order: CheckOrder, tell: "Tell", *, proved: bool) -> None:
        kind, begin = "address-of-destroyed-server", f"it still belongs to {row.id}, which is destroyed"
        if proved:
            detail = f"{begin}, as its receipts prove: it is given back"
            await tell(kind, row.address, detail, partial(self._give_back, row.id, order))
        else:
            await tell(kind, row.address, f"{begin}, and no receipts prove that its data is gone")

    async def _give_back(self, server_id: str, order: CheckOrder) -> bool:
        async def work(connection: AsyncConnection) -> bool:
            task = await tasks.teardown_of(connection, server_id)
            assert task is not None, "it has receipts"
            change = await locked_change(connection, task.change_id)
            still = _of_destroyed.where(servers.c.id == server_id).with_for_update(of=addresses)
            row = (await connection.execute(still)).one_or_none()
            if row is None or not await _is_proved(connection, server_id):
                return False
            free_from = order.at + self._quarantine
            await pool.give_back(connection, row.address, server_id, free_from)
            data = {
                "server_id": server_id,
                "address": row.address,
                "free_from": free_from.isoformat(),
            }
            released = Event(
                event="address_released", stage=change.stage, at=order.at, actor=BY_RECONCILER, data=data
            )
            await changes.record(connection, change, [released])
            return True

        return await self._database.write(work)


async def _is_proved(connection: AsyncConnection, server_id: str) -> bool:
    """Say whether each step of the server's teardown has its receipt, none of them skipped unproved."""
    query = select(receipts.c.step, receipts.c.evidence).where(receipts.c.server_id == server_id)
    proofs = {row.step: row.evidence for row in await connection.execute(query)}
    return all(
        step in proofs and (not proofs[step].get("skipped") or proofs[step].get("evidence")) for step in STEPS
    )
