"""The pool of addresses: taken in the commit, given back last, quarantined before they are given again."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from changeover.storage.tables import addresses


async def take(connection: AsyncConnection, count: int, now: datetime) -> list[str]:
    """Lock `count` free addresses and return them, fewer when there aren't as many.

    A row that another commit has locked is passed over: it is about to be given away.
    """
    query = (
        select(addresses.c.address)
        .where(addresses.c.server_id.is_(None), ~addresses.c.held, addresses.c.free_from <= now)
        .order_by(addresses.c.free_from, addresses.c.address)
        .limit(count)
        .with_for_update(skip_locked=True)
    )
    return list((await connection.execute(query)).scalars())


async def assign(connection: AsyncConnection, by_server: Mapping[str, str]) -> None:
    """Give taken addresses to servers: server id to address."""
    statement = (
        update(addresses)
        .where(addresses.c.address == bindparam("taken"))
        .values(server_id=bindparam("server"), free_from=None)
    )
    await connection.execute(
        statement, [{"taken": address, "server": server} for server, address in by_server.items()]
    )


async def give_back(connection: AsyncConnection, address: str, server_id: str, free_from: datetime) -> bool:
    """Take the address from `server_id`; it rests until `free_from`. False when it was no longer its own."""
    result = await connection.execute(
        update(addresses)
        .where(addresses.c.address == address, addresses.c.server_id == server_id)
        .values(server_id=None, free_from=free_from)
    )
    return result.rowcount == 1


async def hold(connection: AsyncConnection, address: str, server_id: str) -> None:
    """Keep the address back until its server's deletion is proved."""
    await connection.execute(
        update(addresses)
        .where(addresses.c.address == address, addresses.c.server_id == server_id)
        .values(held=True)
    )


async def free_held(connection: AsyncConnection, address: str, server_id: str, free_from: datetime) -> bool:
    """Free an address that was held back for `server_id`; it rests until `free_from`. False if it wasn't."""
    result = await connection.execute(
        update(addresses)
        .where(addresses.c.address == address, addresses.c.server_id == server_id, addresses.c.held)
        .values(server_id=None, held=False, free_from=free_from)
    )
    return result.rowcount == 1
