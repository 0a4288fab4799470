"""What the starter itself writes: marks, renewals and its own keys. All else is written by activities."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from changeover.domain import problems
from changeover.domain.lifecycle import outcome
from changeover.domain.problems import Problem
from changeover.domain.quote import digest
from changeover.storage import services
from changeover.storage.cleaning import KEYS_REMEMBERED
from changeover.storage.database import Database
from changeover.storage.tables import accounts, idempotency_keys, servers
from changeover.storage.tables import services as services_table
from starter import reads
from starter.views import Renewed

MOST_DAYS = 3650
"""The most days that one renewal adds."""
LAST_EXPIRY_YEAR = 9000
LONGEST_KEY = 255


async def set_mark(
    database: Database, account_id: str, service_id: str, server_id: str, *, marked_at: datetime | None
) -> None:
    """Mark a server for deletion, or take the mark back by None; the second time changes nothing.

    Raises `NotFound`, and `ChangeClosed` when a committed change destroys (or has just created) the server.
    """

    async def work(connection: AsyncConnection) -> None:
        await _lock_own(connection, account_id, service_id, "server")
        query = select(servers).where(servers.c.id == server_id, servers.c.service_id == service_id)
        row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise problems.NotFound(what="server")
        if row.state == "creating":
            raise problems.ChangeInProgress(plan_change_id=row.created_by)
        if row.state not in services.HELD:
            change = (await reads.change_of(connection, account_id, row.destroyed_by)).change
            raise problems.ChangeClosed(outcome=outcome(change.stage) or change.stage, reason=change.reason)
        wanted = "marked" if marked_at is not None else "active"
        if row.state != wanted:
            await connection.execute(
                update(servers).where(servers.c.id == server_id).values(state=wanted, marked_at=marked_at)
            )

    await database.write(work)


async def _lock_own(connection: AsyncConnection, account_id: str, service_id: str, what: str) -> None:
    """Lock the account's service. Raises `NotFound`, for a forgotten account too."""
    if await services.lock(connection, service_id) != account_id or not await reads.is_known(
        connection, account_id
    ):
        raise problems.NotFound(what=what)


_is_it = [idempotency_keys.c[name] == bindparam(f"its_{name}") for name in ("account_id", "route", "key")]
_kept_answer, _make_way = select(idempotency_keys).where(*_is_it), delete(idempotency_keys).where(*_is_it)


@dataclass(frozen=True, kw_only=True)
class Key:
    """An idempotency key: it belongs to an account and a route, and stands for one body (its fingerprint).

    Raises `RequestInvalid` for a key that can't be kept.
    """

    account_id: str
    route: str
    key: str
    fingerprint: str

    def __post_init__(self) -> None:
        if not 1 <= len(self.key) <= LONGEST_KEY or not self.key.isprintable():
            detail = f"1 to {LONGEST_KEY} printable characters"
            raise problems.RequestInvalid(field="idempotency_key", detail=detail)

    async def answer(self, connection: AsyncConnection, now: datetime) -> dict[str, Any] | None:
        """Return what the key was answered with. Raises `IdempotencyKeyReused` if it was for another body."""
        row = (await connection.execute(_kept_answer, self._named)).one_or_none()
        if row is None or row.created_at <= now - KEYS_REMEMBERED:
            return None
        if row.fingerprint != self.fingerprint:
            raise problems.IdempotencyKeyReused
        found: dict[str, Any] = row.answer
        return found

    async def remember(self, connection: AsyncConnection, answer: dict[str, Any], now: datetime) -> None:
        """Keep the answer for 24 hours; one that is older makes way."""
        await connection.execute(_make_way, self._named)
        await connection.execute(
            insert(idempotency_keys).values(
                account_id=self.account_id,
                route=self.route,
                key=self.key,
                fingerprint=self.fingerprint,
                answer=answer,
                created_at=now,
            )
        )

    @property
    def _named(self) -> dict[str, str]:
        return {"its_account_id": self.account_id, "its_route": self.route, "its_key": self.key}


async def renew(
    database: Database, account_id: str, service_id: str, days: int, *, key: str, now: datetime
) -> Renewed:
    """Add `days` to the later of `now` and the expiry, once per key."""
    if not 1 <= days <= MOST_DAYS:
        raise problems.RequestInvalid(field="days", detail=f"1 to {MOST_DAYS}, not {days}")
    its_key = Key(
        account_id=account_id,
        route=f"renewals/{service_id}",
        key=key,
        fingerprint=digest(["renewal", days]),
    )

    async def work(connection: AsyncConnection) -> Renewed:
        await _lock_own(connection, account_id, service_id, "service")
        answer = await its_key.answer(connection, now)
        if answer is not None:
            return Renewed(expires_at=datetime.fromisoformat(answer["expires_at"]))
        query = select(services_table.c.expires_at).where(services_table.c.id == service_id)
        expires_at: datetime = (await connection.execute(query)).scalar_one()
        if max(now, expires_at).year >= LAST_EXPIRY_YEAR:
            raise problems.RequestInvalid(field="days", detail="the expiry would be out of any calendar")
        renewed = max(now, expires_at) + timedelta(days=days)
        await connection.execute(
            update(services_table).where(services_table.c.id == service_id).values(expires_at=renewed)
        )
        await its_key.remember(connection, {"expires_at": renewed.isoformat()}, now)
        return Renewed(expires_at=renewed)

    return await database.write(work)


async def recall_refusal(connection: AsyncConnection, key: Key, now: datetime) -> None:
    """Raise the refusal that this key was answered with in the last 24 hours, if it was."""
    answer = await key.answer(connection, now)
    if answer is not None:
        refusals = tuple(problems.from_record(record) for record in answer["refused"])
        raise refusals[0].among(refusals)


async def remember_refusal(database: Database, key: Key, refusal: Problem, now: datetime) -> None:
    """Keep a refusal that no row of a plan change keeps: another change of the service was open."""
    refused = [problems.to_record(blocker) for blocker in refusal.blockers or (refusal,)]

    async def work(connection: AsyncConnection) -> None:
        # One after the other: the same key may be refused many times at once.
        await connection.execute(
            select(accounts.c.id).where(accounts.c.id == key.account_id).with_for_update()
        )
        if await key.answer(connection, now) is None:
            await key.remember(connection, {"refused": refused}, now)

    await database.write(work)
