"""Who is at the panel: one-time links that the host's panel hands over, and the sessions they open.

Tokens have 256 bits. The database keeps their SHA-256 only: whoever reads it can't enter with what is there.
"""

from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from changeover.storage.database import Database
from changeover.storage.tables import panel_links, panel_sessions
from starter.api.tokens import hashed, new_token

LIFETIME = timedelta(hours=8)
_MOST_CHARACTERS = 200


class Sessions:
    """Opens, finds and closes sessions; a session is known by the token in its cookie."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def redeem(self, link_token: str) -> str | None:
        """Open a session with a link's token, once; None when it is unknown, used or over."""
        now = datetime.now(UTC)

        async def work(connection: AsyncConnection) -> str | None:
            use = (
                update(panel_links)
                .where(
                    panel_links.c.hash == hashed(link_token),
                    panel_links.c.used_at.is_(None),
                    panel_links.c.expires_at > now,
                )
                .values(used_at=now)
                .returning(panel_links.c.account_id)
            )
            account_id = (await connection.execute(use)).scalar_one_or_none()
            return None if account_id is None else await _open(connection, account_id, now)

        return await self._database.write(work) if _plausible(link_token) else None

    async def open(self, account_id: str) -> str:
        """Open a session of the account and return its token."""
        now = datetime.now(UTC)
        return await self._database.write(lambda connection: _open(connection, account_id, now))

    async def account_id(self, token: str | None) -> str | None:
        """Return whose session it is; None when there is none, or not any more."""
        if not token or not _plausible(token):
            return None
        query = select(panel_sessions.c.account_id).where(
            panel_sessions.c.hash == hashed(token), panel_sessions.c.expires_at > datetime.now(UTC)
        )
        async with self._database.read() as connection:
            found: str | None = (await connection.execute(query)).scalar_one_or_none()
            return found

    async def close(self, token: str | None) -> None:
        """End the session; nothing happens when there is none."""
        if not token or not _plausible(token):
            return
        gone = delete(panel_sessions).where(panel_sessions.c.hash == hashed(token))

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(gone)

        await self._database.write(work)


def _plausible(token: str) -> bool:
    return token.isascii() and len(token) <= _MOST_CHARACTERS


async def _open(connection: AsyncConnection, account_id: str, now: datetime) -> str:
    """Add a session, and remove those that are over."""
    token = new_token()
    await connection.execute(delete(panel_sessions).where(panel_sessions.c.expires_at <= now))
    await connection.execute(
        insert(panel_sessions).values(
            hash=hashed(token), account_id=account_id, created_at=now, expires_at=now + LIFETIME
        )
    )
    return token
