"""The read side: everything that is shown comes from the database, with no worker running.

Every query names the account in its WHERE clause: another's things are as if they weren't there.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from changeover.domain.catalogue import FLEXI_PLUS, Catalogue, rate
from changeover.domain.confirmation import CodePolicy
from changeover.domain.facts import Policy
from changeover.domain.lifecycle import Stage, outcome
from changeover.domain.masking import mask_address
from changeover.domain.problems import NotFound, RequestInvalid
from changeover.domain.proration import LAST_MOMENT, convert, days_left, moment_after, seconds_between
from changeover.storage import changes, tasks
from changeover.storage.catalogue import IN_FORCE, CatalogueReader
from changeover.storage.changes import Change, to_change
from changeover.storage.services import configuration
from changeover.storage.tables import accounts, is_open, plan_changes, servers, services, trail
from starter.views import (
    AccountView,
    ChangeView,
    OpenChangeView,
    Receipt,
    ServerView,
    ServiceView,
    TimelineEntry,
)

IS_KNOWN: ColumnElement[bool] = accounts.c.forgotten_at.is_(None)
"""What every query for a customer asks of the account: a forgotten one is as if it weren't there."""
_MOST_NAMED = 5


async def account(connection: AsyncConnection, id_or_email: str) -> AccountView:
    """Return the account by its id, or by its e-mail address in any case.

    Raises `NotFound`; `RequestInvalid` when several accounts have the address, which is the host's affair
    (docs/decisions/0010-an-address-is-no-key.md): then only the id says which.
    """
    is_it: ColumnElement[bool] = accounts.c.id == id_or_email
    if "@" in id_or_email:
        is_it = func.lower(accounts.c.email) == id_or_email.lower()
    query = select(accounts).where(is_it, IS_KNOWN).order_by(accounts.c.created_at, accounts.c.id)
    rows = (await connection.execute(query)).all()
    if not rows:
        raise NotFound(what="account")
    if len(rows) > 1:
        named = ", ".join(row.id for row in rows[:_MOST_NAMED])
        detail = f"{len(rows)} accounts have this address; name one by its id: {named}"
        raise RequestInvalid(field="account", detail=detail)
    (row,) = rows
    return AccountView(id=row.id, email=row.email, language=row.language)


async def is_known(connection: AsyncConnection, account_id: str) -> bool:
    """Say whether there is such an account, and it isn't forgotten.

    Asked in a statement of its own after a lock: what was committed meanwhile is seen.
    """
    query = select(accounts.c.id).where(accounts.c.id == account_id, IS_KNOWN)
    return (await connection.execute(query)).one_or_none() is not None


# Statements that every request says are built once: to build one costs more than to run it.
_open_change = (
    select(plan_changes.c.id, plan_changes.c.stage, plan_changes.c.service_id).where(is_open).subquery()
)
_of_account = services.c.account_id == bindparam("account_id")
_of_service = services.c.id == bindparam("service_id")
_services = (
    select(
        services,
        _open_change.c.id.label("open_id"),
        _open_change.c.stage.label("open_stage"),
        *IN_FORCE,
    )
    .join(accounts, accounts.c.id == services.c.account_id)
    .outerjoin(_open_change, _open_change.c.service_id == services.c.id)
    .where(_of_account, IS_KNOWN)
    .order_by(services.c.created_at, services.c.id)
)
_servers = (
    select(servers)
    .join(services, services.c.id == servers.c.service_id)
    .where(_of_account, servers.c.state != "destroyed")
    .order_by(servers.c.created_at, servers.c.id)
)
_one_service, _its_servers = _services.where(_of_service), _servers.where(_of_service)


async def services_of(
    connection: AsyncConnection,
    account_id: str,
    reader: CatalogueReader,
    policy: Policy,
    *,
    now: datetime,
    service_id: str | None = None,
) -> list[ServiceView]:
    """Return the account's services, or the one, in two statements."""
    asked = {"account_id": account_id}
    if service_id is None:
        rows = (await connection.execute(_services, asked)).all()
        theirs = await connection.execute(_servers, asked)
    else:
        asked["service_id"] = service_id
        rows = (await connection.execute(_one_service, asked)).all()
        theirs = await connection.execute(_its_servers, asked)
    by_service: dict[str, list[ServerView]] = {}
    for row in theirs:
        view = ServerView(id=row.id, name=row.name, address=row.address, state=row.state, backups=row.backups)
        by_service.setdefault(row.service_id, []).append(view)
    if not rows:
        return []
    catalogue = await reader.of(connection, rows[0])
    return [_service(row, by_service.get(row.id, []), catalogue, policy, now) for row in rows]


def _service(
    row: Row[Any], its_servers: list[ServerView], catalogue: Catalogue, policy: Policy, now: datetime
) -> ServiceView:
    present = configuration(row)
    offer = catalogue[present.offer]
    next_change_at = row.last_committed_at + policy.cooldown if row.last_committed_at else None
    free_to_change = next_change_at is None or next_change_at <= now or FLEXI_PLUS in present.options
    return ServiceView(
        id=row.id,
        name=row.name,
        configuration=present,
        offer_names=offer.names,
        rate=rate(offer, present),
        expires_at=row.expires_at,
        days_left=days_left(row.expires_at, now),
        servers=tuple(its_servers),
        open_change=OpenChangeView(id=row.open_id, stage=row.open_stage) if row.open_id else None,
        next_change_at=None if free_to_change else next_change_at,
    )


class FoundChange:
    """A change of an account, with what its service says of it now."""

    def __init__(self, row: Row[Any]) -> None:
        self.change: Change = to_change(row)
        self.service_expires_at: datetime = row.service_expires_at
        self.email: str = row.email

    def new_expires_at(self) -> datetime | None:
        """Return the new expiry: as committed, or as it would be on the present expiry while it may be."""
        change = self.change
        if change.stage is not Stage.AWAITING_CODE or change.terms is None:
            return change.new_expires_at
        return converted(change, self.service_expires_at)

    def view(
        self,
        policy: CodePolicy,
        timeline: tuple[TimelineEntry, ...] = (),
        proofs: tuple[Receipt, ...] = (),
    ) -> ChangeView:
        change = self.change
        awaiting = change.stage is Stage.AWAITING_CODE
        new_expires_at = self.new_expires_at()
        days_before, days_after = change.days_before, change.days_after
        if awaiting and new_expires_at is not None:  # on the present expiry, which may be renewed
            days_before = days_left(self.service_expires_at, change.as_of)
            days_after = days_left(new_expires_at, change.as_of)
        return ChangeView(
            id=change.id,
            service_id=change.service_id,
            stage=change.stage.value,
            outcome=outcome(change.stage),
            reason=change.reason,
            cause=change.cause,
            before=change.configuration_before,
            after=change.configuration_after,
            as_of=change.as_of,
            days_before=days_before,
            days_after=days_after,
            new_expires_at=new_expires_at,
            spends_pass=change.spends_pass,
            destroys=tuple(change.destroys),
            creates=change.creates,
            code_number=change.code_number,
            code_expires_at=change.code_expires_at,
            tries_left=change.codes.tries_left(policy) if awaiting else 0,
            resend_at=_resend_at(change, policy) if awaiting else None,
            sent_to=mask_address(self.email),
            window_ends_at=change.window_ends_at,
            committed_at=change.committed_at,
            closed_at=change.closed_at,
            timeline=timeline,
            receipts=proofs,
        )


def converted(change: Change, expires_at: datetime) -> datetime:
    """Return what the accepted change makes of `expires_at`: the same formula and T0 on any expiry."""
    terms = change.terms
    assert terms is not None, "an accepted change has its terms"
    remaining = seconds_between(change.as_of, expires_at)
    moment = moment_after(change.as_of, convert(remaining, terms["rate_before"], terms["rate_after"]))
    return moment or LAST_MOMENT - timedelta(days=1)  # a zone may add some hours


def _resend_at(change: Change, policy: CodePolicy) -> datetime | None:
    if change.code_number >= policy.most_mails or change.code_handed_over_at is None:
        return None
    return change.code_handed_over_at + policy.resend_after


_changes = (
    select(plan_changes, services.c.expires_at.label("service_expires_at"), accounts.c.email)
    .join(services, services.c.id == plan_changes.c.service_id)
    .join(accounts, accounts.c.id == services.c.account_id)
)
_changes_of_account = _changes.where(plan_changes.c.account_id == bindparam("account_id"), IS_KNOWN)
_is_that_change = plan_changes.c.id == bindparam("change_id")
_anyones_change = _changes.where(_is_that_change)
_accounts_change = _changes_of_account.where(_is_that_change)


async def change_of(connection: AsyncConnection, account_id: str | None, change_id: str) -> FoundChange:
    """Return the account's change (anyone's for an operator, by None). Raises `NotFound`."""
    found = await change_if_any(connection, account_id, change_id)
    if found is None:
        raise NotFound(what="plan change")
    return found


async def change_if_any(
    connection: AsyncConnection, account_id: str | None, change_id: str
) -> FoundChange | None:
    """Return the account's change (anyone's for an operator, by None), if there is such a one."""
    asked = {"change_id": change_id}
    if account_id is None:
        found = await connection.execute(_anyones_change, asked)
    else:
        found = await connection.execute(_accounts_change, asked | {"account_id": account_id})
    row = found.one_or_none()
    return None if row is None else FoundChange(row)


_address_and_change = (
    select(accounts.c.email, plan_changes, services.c.expires_at.label("service_expires_at"))
    .outerjoin(plan_changes, (plan_changes.c.account_id == accounts.c.id) & _is_that_change)
    .outerjoin(services, services.c.id == plan_changes.c.service_id)
    .where(accounts.c.id == bindparam("account_id"), IS_KNOWN)
)


async def address_and_change(
    connection: AsyncConnection, account_id: str, change_id: str
) -> tuple[str, FoundChange | None]:
    """Return the address of an account that there is, and its change if there is such a one."""
    asked = {"account_id": account_id, "change_id": change_id}
    row = (await connection.execute(_address_and_change, asked)).one()
    return row.email, None if row.id is None else FoundChange(row)


async def history_of(
    connection: AsyncConnection, account_id: str, service_id: str, now: datetime
) -> list[FoundChange]:
    """Return the service's changes, newest first; none while it is expired."""
    query = _changes_of_account.where(plan_changes.c.service_id == service_id, services.c.expires_at > now)
    # Two changes of one second stand in the order in which they were asked for.
    asked = select(func.min(trail.c.seq)).where(trail.c.change_id == plan_changes.c.id).scalar_subquery()
    newest_first = query.order_by(plan_changes.c.as_of.desc(), asked.desc())
    rows = await connection.execute(newest_first, {"account_id": account_id})
    return [FoundChange(row) for row in rows]


async def timeline_of(
    connection: AsyncConnection, change_id: str, after: int = 0
) -> tuple[TimelineEntry, ...]:
    """Return what happened to a change that the caller may see, behind entry `after`.

    The trail knows servers by their ids; `server` in an entry's data is the name that the server has now.
    """
    rows = await changes.trail_of(connection, change_id, after)
    concerned = {row.data["server_id"] for row in rows if row.data.get("server_id")}
    names: dict[str, str] = {}
    if concerned:
        query = select(servers.c.id, servers.c.name).where(servers.c.id.in_(concerned))
        names = {row.id: row.name for row in await connection.execute(query)}
    return tuple(
        TimelineEntry(
            seq=row.seq,
            at=row.at,
            event=row.event,
            stage=row.stage,
            actor=row.actor,
            data=_with_name(row.data, names),
        )
        for row in rows
    )


def _with_name(data: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    name = names.get(data.get("server_id", ""))
    return data if name is None else data | {"server": name}


async def receipts_of(connection: AsyncConnection, change_id: str) -> tuple[Receipt, ...]:
    return tuple(
        Receipt(server_id=row.server_id, step=row.step, at=row.at, evidence=row.evidence)
        for row in await tasks.receipts_of(connection, change_id)
    )


EVERY = timedelta(seconds=0.3)
"""How often `watch` looks at the database."""
