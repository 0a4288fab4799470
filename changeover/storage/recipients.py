"""Whom to write to about a change. Looked up where the mail is sent, and kept nowhere else."""

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from changeover.storage.tables import accounts, plan_changes, services


@dataclass(frozen=True, kw_only=True)
class Recipient:
    email: str = field(repr=False)
    language: str
    service_name: str
    expires_at: datetime


async def recipient_of(connection: AsyncConnection, change_id: str) -> Recipient | None:
    """Return the change's customer, with what the mail says of the service as it is now."""
    query = (
        select(accounts.c.email, accounts.c.language, services.c.name, services.c.expires_at)
        .join(services, services.c.account_id == accounts.c.id)
        .join(plan_changes, plan_changes.c.service_id == services.c.id)
        .where(plan_changes.c.id == change_id)
    )
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        return None
    return Recipient(email=row.email, language=row.language, service_name=row.name, expires_at=row.expires_at)
