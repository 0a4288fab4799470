"""Services and their servers: what the rules look at, and what a commit writes."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, exists, func, insert, literal_column, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from changeover.domain.catalogue import Catalogue, Configuration
from changeover.domain.facts import Facts, Server
from changeover.storage.catalogue import IN_FORCE, CatalogueReader
from changeover.storage.catalogue_file import MOST_SERVERS
from changeover.storage.tables import accounts, addresses, is_open, passes, plan_changes, servers, services

HELD = ("active", "marked")
"""The states of a server that the service still has: anything else is coming or going."""


# Statements that every change says are built once: to build one costs more than to run it. Lists are written
# out for the same reason: SQLAlchemy puts a bound one into the text at each execution.
_of_service = services.c.id == bindparam("service_id")
_lock = select(services.c.account_id).where(_of_service).with_for_update()
_lock_with_account = (
    select(services.c.account_id)
    .join(accounts, accounts.c.id == services.c.account_id)
    .where(_of_service)
    .with_for_update(of=[services, accounts])
)
_apply = update(services).where(_of_service)
_condemn = (
    update(servers)
    .where(servers.c.service_id == bindparam("of_service"), servers.c.state == "marked")
    .values(state="destroying")
)


async def lock(connection: AsyncConnection, service_id: str, *, with_account: bool = False) -> str | None:
    """Lock the service's row, then its account's if wanted; return the account's id, None without a service.

    Everything that alters what a change depends on takes this lock first, so what is read after it holds
    until the end of the transaction. (SQLite has its own: a write transaction is alone.)
    """
    query = _lock_with_account if with_account else _lock
    account_id: str | None = (
        await connection.execute(query, {"service_id": service_id})
    ).scalar_one_or_none()
    return account_id


_open_change = (
    select(plan_changes.c.id).where(plan_changes.c.service_id == services.c.id, is_open).scalar_subquery()
)
_passes = (
    select(func.count())
    .select_from(passes)
    .where(passes.c.account_id == services.c.account_id, passes.c.spent_at.is_(None))
    .scalar_subquery()
)


# Counted no further than any offer reaches: a pool may be large.
_free_addresses = (
    select(func.count())
    .select_from(
        select(addresses.c.address)
        .where(addresses.c.server_id.is_(None), ~addresses.c.held, addresses.c.free_from <= bindparam("now"))
        .limit(MOST_SERVERS)
        .subquery()
    )
    .scalar_subquery()
)
_facts = select(
    services,
    _open_change.label("open_change"),
    _passes.label("passes"),
    _free_addresses.label("free_addresses"),
    *IN_FORCE,
).where(_of_service)
_facts_of_account = _facts.where(
    services.c.account_id == bindparam("account_id"),
    exists().where(accounts.c.id == bindparam("account_id"), accounts.c.forgotten_at.is_(None)),
)
_is_held = servers.c.state.in_([literal_column(f"'{state}'") for state in HELD])
_held = (
    select(servers)
    .where(servers.c.service_id == bindparam("service_id"), _is_held)
    .order_by(servers.c.created_at, servers.c.id)
)


async def facts_and_catalogue(
    connection: AsyncConnection,
    reader: CatalogueReader,
    service_id: str,
    now: datetime,
    *,
    account_id: str | None = None,
) -> tuple[Facts, Catalogue] | None:
    """Return what the rules look at, in two statements; None without such a service (of the account).

    Raises `CatalogueMissing`.
    """
    asked = {"service_id": service_id, "now": now}
    if account_id is None:
        found = await connection.execute(_facts, asked)
    else:
        found = await connection.execute(_facts_of_account, asked | {"account_id": account_id})
    row = found.one_or_none()
    if row is None:
        return None
    held = await connection.execute(_held, {"service_id": service_id})
    return to_facts(row, held.all()), await reader.of(connection, row)


async def held_ids(connection: AsyncConnection, service_id: str) -> set[str]:
    """Return the ids of the servers that the service has, and nobody has given up."""
    query = select(servers.c.id).where(servers.c.service_id == service_id, _is_held)
    return set((await connection.execute(query)).scalars())


async def configuration_for(connection: AsyncConnection, server_id: str) -> Configuration | None:
    """Return what the service of a server rents; None for a server that it doesn't have any more."""
    of_server = services.c.id == servers.c.service_id
    query = select(services).join(servers, of_server).where(servers.c.id == server_id, _is_held)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else configuration(row)


def to_facts(row: Row[Any], held: Sequence[Row[Any]]) -> Facts:
    """Return the facts of a service's row (with its counts) and the rows of the servers it has."""
    return Facts(
        service_id=row.id,
        configuration=configuration(row),
        expires_at=row.expires_at,
        servers=tuple(
            Server(
                id=server.id,
                name=server.name,
                address=server.address,
                marked=server.state == "marked",
                backups=server.backups,
            )
            for server in held
        ),
        last_committed_at=row.last_committed_at,
        recurring_payment_active=row.recurring_payment_active,
        open_change=row.open_change,
        passes=row.passes,
        free_addresses=row.free_addresses,
    )


def configuration(row: Row[Any]) -> Configuration:
    return Configuration.of(row.offer_code, row.slots, row.options, row.server_count)


async def apply_configuration(
    connection: AsyncConnection,
    service_id: str,
    after: Configuration,
    expires_at: datetime,
    committed_at: datetime,
) -> None:
    """Write what a commit makes of the service."""
    values = {
        "offer_code": after.offer,
        "slots": after.slots,
        "options": list(after.options),
        "server_count": after.server_count,
        "expires_at": expires_at,
        "last_committed_at": committed_at,
    }
    await connection.execute(_apply, values | {"service_id": service_id})


async def condemn(connection: AsyncConnection, service_id: str, change_id: str) -> None:
    """Hand the marked servers to `change_id` for destruction."""
    await connection.execute(_condemn, {"of_service": service_id, "destroyed_by": change_id})


async def add_servers(connection: AsyncConnection, new: Sequence[dict[str, Any]]) -> None:
    await connection.execute(insert(servers), list(new))


async def spend_pass(connection: AsyncConnection, account_id: str, change_id: str, at: datetime) -> None:
    """Spend the account's oldest pass; the caller holds the account's lock and knows that there is one."""
    oldest = (
        select(passes.c.id)
        .where(passes.c.account_id == account_id, passes.c.spent_at.is_(None))
        .order_by(passes.c.granted_at, passes.c.id)
        .limit(1)
        .scalar_subquery()
    )
    await connection.execute(
        update(passes).where(passes.c.id == oldest).values(spent_at=at, spent_by=change_id)
    )
