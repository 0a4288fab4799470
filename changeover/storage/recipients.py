"""Whom to write to about a change. Looked up where the mail is sent, and kept nowhere else."""

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from changeover.domain.catalogue import Catalogue
from changeover.storage.catalogue import IN_FORCE, CatalogueReader
from changeover.storage.changes import Change, to_change
from changeover.storage.tables import accounts, plan_changes, services


@dataclass(frozen=True, kw_only=True)
class Recipient:
    email: str = field(repr=False)
    language: str
    service_name: str
    expires_at: datetime
    last_committed_at: datetime | None


_addressed = (
    select(
        plan_changes,
        accounts.c.email,
        accounts.c.language,
        services.c.name.label("service_name"),
        services.c.expires_at,
        services.c.last_committed_at,
        *IN_FORCE,
    )
    .join(services, services.c.id == plan_changes.c.service_id)
    .join(accounts, accounts.c.id == services.c.account_id)
    .where(plan_changes.c.id == bindparam("change_id"))
)


async def change_recipient_and_catalogue(
    connection: AsyncConnection, reader: CatalogueReader, change_id: str
) -> tuple[Change, Recipient, Catalogue] | None:
    """Return the change, its customer with what the mail says of the service now, and the names of things."""
    row = (await connection.execute(_addressed, {"change_id": change_id})).one_or_none()
    if row is None:
        return None
    recipient = Recipient(
        email=row.email,
        language=row.language,
        service_name=row.service_name,
        expires_at=row.expires_at,
        last_committed_at=row.last_committed_at,
    )
    return to_change(row), recipient, await reader.of(connection, row)
