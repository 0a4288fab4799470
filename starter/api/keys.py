"""API keys: who may speak for the host's panel. The database has only their hashes."""

import hmac
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import uuid4

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from changeover.domain.problems import NotFound, RequestInvalid, Unauthorized
from changeover.storage.database import Database
from changeover.storage.tables import api_keys
from starter.api.tokens import hashed, new_token

PREFIX = "chk_"
MOST_NAME = 60


@dataclass(frozen=True, kw_only=True)
class KeyView:
    """A key without its secret. `revoked_at` is None while it is good."""

    id: str
    name: str
    created_at: datetime
    revoked_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class NewKey(KeyView):
    """A key that was just made: `key` is shown this once."""

    key: str = field(repr=False)


class ApiKeys:
    """The keys in `database`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, name: str) -> NewKey:
        """Make a key. `name` (1 to 60 characters) says whose it is."""
        if not 1 <= len(name) <= MOST_NAME or not name.isprintable():
            raise RequestInvalid(field="name", detail=f"1 to {MOST_NAME} printable characters")
        made = NewKey(id=str(uuid4()), name=name, created_at=_now(), key=new_token(PREFIX))

        async def work(connection: AsyncConnection) -> None:
            row = {"id": made.id, "name": name, "hash": hashed(made.key), "created_at": made.created_at}
            await connection.execute(insert(api_keys).values(**row))

        await self._database.write(work)
        return made

    async def list(self) -> list[KeyView]:
        """Return all keys, oldest first."""
        query = select(api_keys).order_by(api_keys.c.created_at, api_keys.c.id)
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        return [
            KeyView(id=row.id, name=row.name, created_at=row.created_at, revoked_at=row.revoked_at)
            for row in rows
        ]

    async def revoke(self, key_id: str) -> KeyView:
        """Refuse the key from now on; the second time changes nothing. Raises `NotFound`."""

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(
                update(api_keys)
                .where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None))
                .values(revoked_at=_now())
            )

        await self._database.write(work)
        for key in await self.list():
            if key.id == key_id:
                return key
        raise NotFound(what="API key")

    async def check(self, key: str) -> str:
        """Return the id of a key that was presented. Raises `Unauthorized` for an unknown or revoked one."""
        given = hashed(key)
        query = select(api_keys).where(api_keys.c.hash == given, api_keys.c.revoked_at.is_(None))
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None or not hmac.compare_digest(row.hash, given):
            raise Unauthorized
        return str(row.id)


def _now() -> datetime:
    return datetime.now(UTC)
