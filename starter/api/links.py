"""One-time links by which the host's own panel hands a customer over to ours; our panel redeems them."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import delete, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from changeover.storage.database import Database
from changeover.storage.tables import panel_links
from starter.api.tokens import hashed, new_token

VALID = timedelta(seconds=60)
_KEPT = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class PanelLink:
    """`url` holds the secret; it is shown this once and works once, until `expires_at`."""

    url: str = field(repr=False)
    expires_at: datetime


async def make_link(database: Database, account_id: str, panel_url: str, now: datetime) -> PanelLink:
    """Make a link for an account that exists. Links that ended a day ago are swept away."""
    token = new_token()
    expires_at = now + VALID

    async def work(connection: AsyncConnection) -> None:
        await connection.execute(delete(panel_links).where(panel_links.c.expires_at < now - _KEPT))
        await connection.execute(
            insert(panel_links).values(hash=hashed(token), account_id=account_id, expires_at=expires_at)
        )

    await database.write(work)
    return PanelLink(url=f"{panel_url.rstrip('/')}/enter?token={token}", expires_at=expires_at)
