"""Removing a person, or names that were kept for long enough, and what stays without them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, delete, exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from changeover.storage.tables import (
    accounts,
    idempotency_keys,
    is_open,
    panel_links,
    panel_sessions,
    plan_changes,
    servers,
    services,
)

NAME: Final = "forgotten"
"""What stands where a name was that a customer chose."""
_LANGUAGE: Final = "en"
_OF_ONE_VISIT: Final = (idempotency_keys, panel_links, panel_sessions)


@dataclass(frozen=True, kw_only=True)
class Account:
    """An account whose services, and whose own row, are locked, and what still needs the person's data."""

    id: str
    forgotten_at: datetime | None
    forgotten_by: str | None
    unexpired: tuple[str, ...]
    open_changes: tuple[str, ...]
    servers_left: int


async def lock_account(connection: AsyncConnection, account_id: str, now: datetime) -> Account | None:
    """Lock the account's services, then the account; say what still needs it. None without an account."""
    its_services = (
        select(services.c.id, services.c.expires_at)
        .where(services.c.account_id == account_id)
        .order_by(services.c.id)
    )
    rented = (await connection.execute(its_services.with_for_update())).all()
    locked = select(accounts).where(accounts.c.id == account_id).with_for_update()
    row = (await connection.execute(locked)).one_or_none()
    if row is None:
        return None
    open_changes = select(plan_changes.c.id).where(plan_changes.c.account_id == account_id, is_open)
    left = (
        select(func.count())
        .select_from(servers)
        .join(services, services.c.id == servers.c.service_id)
        .where(services.c.account_id == account_id, servers.c.state != "destroyed")
    )
    return Account(
        id=row.id,
        forgotten_at=row.forgotten_at,
        forgotten_by=row.forgotten_by,
        unexpired=tuple(service.id for service in rented if service.expires_at > now),
        open_changes=tuple((await connection.execute(open_changes.order_by(plan_changes.c.id))).scalars()),
        servers_left=(await connection.execute(left)).scalar_one(),
    )


async def forget(connection: AsyncConnection, account_id: str, actor: str, at: datetime) -> None:
    """Remove what is somebody's, and write who had it removed and when. The account is locked."""
    await connection.execute(
        update(accounts)
        .where(accounts.c.id == account_id)
        .values(email="", language=_LANGUAGE, forgotten_at=at, forgotten_by=actor)
    )
    for table in _OF_ONE_VISIT:
        await connection.execute(delete(table).where(table.c.account_id == account_id))
    its_services = select(services.c.id).where(services.c.account_id == account_id)
    await connection.execute(update(servers).where(servers.c.service_id.in_(its_services)).values(name=NAME))
    await connection.execute(update(services).where(services.c.account_id == account_id).values(name=NAME))
    await _forget_names(connection, plan_changes.c.account_id == account_id, at)


async def lapsed(connection: AsyncConnection, since: datetime, after: str, most: int) -> list[str]:
    """Return, from behind the id `after` on, accounts that nothing was rented by from `since` on.

    None of their changes is open, and they were not forgotten yet. The service that expired last did so at
    `since` at the latest; an account that never had one was made by then.
    """
    rents = exists().where(services.c.account_id == accounts.c.id, services.c.expires_at > since)
    changing = exists().where(plan_changes.c.account_id == accounts.c.id, is_open)
    query = select(accounts.c.id).where(
        accounts.c.id > after,
        accounts.c.forgotten_at.is_(None),
        accounts.c.created_at <= since,
        ~rents,
        ~changing,
    )
    return list((await connection.execute(query.order_by(accounts.c.id).limit(most))).scalars())


def named(closed_by: datetime) -> ColumnElement[bool]:
    """Say which changes, closed by then, still have the names of their servers."""
    return (plan_changes.c.closed_at <= closed_by) & plan_changes.c.names_forgotten_at.is_(None)


async def forget_names(connection: AsyncConnection, closed_by: datetime, at: datetime, most: int) -> int:
    """Take names out of `most` changes that were closed by then, and out of the servers they destroyed.

    Return how many changes it were.
    """
    ids = select(plan_changes.c.id).where(named(closed_by)).order_by(plan_changes.c.id).limit(most)
    chosen = list((await connection.execute(ids)).scalars())
    concerned = await _forget_names(connection, plan_changes.c.id.in_(chosen), at)
    its_own = servers.c.id.in_(concerned) & servers.c.destroyed_by.in_(chosen)
    await connection.execute(update(servers).where(its_own).values(name=NAME))
    return len(chosen)


async def _forget_names(connection: AsyncConnection, which: ColumnElement[bool], at: datetime) -> list[str]:
    """Take the names of servers out of the changes' rows; a refusal may repeat a whole quote.

    Return the ids of those servers.
    """
    query = select(plan_changes.c.id, plan_changes.c.destroys, plan_changes.c.refusal).where(which)
    concerned = []
    for row in (await connection.execute(query.order_by(plan_changes.c.id))).all():
        values = {
            "destroys": [server | {"name": NAME} for server in row.destroys],
            "refusal": row.refusal and [{"code": refusal["code"]} for refusal in row.refusal],
            "names_forgotten_at": at,
        }
        await connection.execute(update(plan_changes).where(plan_changes.c.id == row.id).values(**values))
        concerned += [server["id"] for server in row.destroys]
    return concerned
