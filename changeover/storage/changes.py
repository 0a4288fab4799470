"""Rows of plan changes, and the trail of what happened to them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Row, bindparam, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from changeover.domain.catalogue import Configuration
from changeover.domain.confirmation import CodeState
from changeover.domain.lifecycle import Stage, move
from changeover.domain.teardown import Step
from changeover.storage.database import WRITTEN
from changeover.storage.tables import accounts, code_tries, is_open, plan_changes, services, trail

_LAST_SEQ = 2**31 - 1
"""No entry has a higher number; PostgreSQL takes none to compare with."""


class Took(NamedTuple):
    """How long a step of a teardown took. For figures only: the trail doesn't keep it."""

    step: Step
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Event:
    """One entry of the trail: `actor` is `customer`, `system` or an operator's name.

    `data` knows servers by `server_id`: a name is a customer's, and the trail is kept for good.
    """

    event: str
    stage: Stage
    at: datetime
    actor: str = "system"
    data: dict[str, Any] | None = None

    took: Took | None = None

    def __post_init__(self) -> None:
        assert "server" not in (self.data or {}), "no name of a server goes into the trail"


@dataclass(frozen=True, kw_only=True)
class Change:
    """A plan change as its row has it. Figures are None where the request was refused before them."""

    id: str
    service_id: str
    account_id: str
    fingerprint: str
    stage: Stage
    reason: str | None = None
    cause: str | None = None
    refusal: list[dict[str, Any]] | None = None
    before: dict[str, Any]
    after: dict[str, Any]
    terms: dict[str, Any] | None = None
    destroys: list[dict[str, Any]]
    creates: int
    spends_pass: bool
    as_of: datetime
    window_ends_at: datetime | None = None
    days_before: int | None = None
    days_after: int | None = None
    new_expires_at: datetime | None = None
    confirmation_digest: str | None = None
    code_key_id: str | None = None
    code_number: int = 0
    code_handed_over_at: datetime | None = None
    code_expires_at: datetime | None = None
    wrong_on_code: int = 0
    wrong_on_change: int = 0
    accepted_proof: str | None = None
    committed_at: datetime | None = None
    closed_at: datetime | None = None

    @property
    def configuration_before(self) -> Configuration:
        return to_configuration(self.before)

    @property
    def configuration_after(self) -> Configuration:
        return to_configuration(self.after)

    @property
    def codes(self) -> CodeState:
        """Where an accepted change stands with its codes."""
        assert self.window_ends_at is not None, f"{self.id} was refused: it has no codes"
        return CodeState(
            number=self.code_number,
            handed_over_at=self.code_handed_over_at,
            wrong_on_code=self.wrong_on_code,
            wrong_on_change=self.wrong_on_change,
            window_ends_at=self.window_ends_at,
        )


@dataclass(frozen=True, kw_only=True)
class Written:
    """An entry of the trail, and the change as the transaction left it."""

    event: Event
    change: Change


def to_configuration(record: dict[str, Any]) -> Configuration:
    return Configuration.of(record["offer"], record["slots"], record["options"], record["server_count"])


def to_change(row: Row[Any]) -> Change:
    values = {name: value for name, value in row._mapping.items() if name in Change.__dataclass_fields__}  # noqa: SLF001 - SQLAlchemy's public name for it
    return Change(**values | {"stage": Stage(row.stage)})


# Statements that every change says are built once: to build one costs more than to run it.
_find = select(plan_changes).where(plan_changes.c.id == bindparam("change_id"))
_of_its_service = _find.join(services, services.c.id == plan_changes.c.service_id)
_lock = _of_its_service.with_for_update(of=[services, plan_changes])
_lock_with_account = _of_its_service.join(accounts, accounts.c.id == services.c.account_id).with_for_update(
    of=[services, accounts, plan_changes]
)
_alter = update(plan_changes).where(plan_changes.c.id == bindparam("change_id"))
_open_of_service = select(plan_changes).where(plan_changes.c.service_id == bindparam("service_id"), is_open)
_was_judged = select(code_tries.c.at).where(
    code_tries.c.change_id == bindparam("change_id"),
    code_tries.c.number == bindparam("number"),
    code_tries.c.proof == bindparam("proof"),
)
_add, _add_try, _record = insert(plan_changes), insert(code_tries), insert(trail)


async def find(connection: AsyncConnection, change_id: str) -> Change | None:
    row = (await connection.execute(_find, {"change_id": change_id})).one_or_none()
    return None if row is None else to_change(row)


async def lock(connection: AsyncConnection, change_id: str, *, with_account: bool = False) -> Change | None:
    """Lock the change's service (its account too, if wanted) and then its row; return it as it is then.

    PostgreSQL locks in the order in which the tables are named, and gives each row as the one before left it.
    """
    query = _lock_with_account if with_account else _lock
    row = (await connection.execute(query, {"change_id": change_id})).one_or_none()
    return None if row is None else to_change(row)


async def get(connection: AsyncConnection, change_id: str) -> Change:
    """Return the change. Raises `LookupError`: a workflow named a change that no row knows."""
    change = await find(connection, change_id)
    if change is None:
        raise LookupError(f"no plan change {change_id}")
    return change


async def open_change_of(connection: AsyncConnection, service_id: str) -> Change | None:
    row = (await connection.execute(_open_of_service, {"service_id": service_id})).one_or_none()
    return None if row is None else to_change(row)


async def add(connection: AsyncConnection, change: Change, *events: Event) -> None:
    await connection.execute(_add, vars(change))
    await record(connection, change, events)


async def alter(
    connection: AsyncConnection, change: Change, events: Iterable[Event], **values: Any
) -> Change:
    """Write `values` and the events that say so; the stage of the last event is the row's new stage."""
    entries = list(events)
    stage = change.stage
    for entry in entries:
        stage = stage if entry.stage is stage else move(stage, entry.stage)
    if values or stage is not change.stage:
        values["stage"] = stage
        await connection.execute(_alter, values | {"change_id": change.id})
    altered = Change(**vars(change) | values)
    await record(connection, altered, entries)
    return altered


async def record(connection: AsyncConnection, change: Change, events: Iterable[Event]) -> None:
    """Append to the trail; what is written is told on when it is committed (see `Database`)."""
    written = [Written(event=event, change=change) for event in events]
    connection.info.setdefault(WRITTEN, []).extend(written)
    entries = [
        {
            "change_id": change.id,
            "at": entry.at,
            "event": entry.event,
            "stage": entry.stage,
            "actor": entry.actor,
            "data": entry.data or {},
        }
        for entry in (it.event for it in written)
    ]
    if entries:
        await connection.execute(_record, entries)


async def try_was_judged(connection: AsyncConnection, change_id: str, number: int, proof: str) -> bool:
    """Say whether this very try was judged, and found wrong, before."""
    asked = {"change_id": change_id, "number": number, "proof": proof}
    return (await connection.execute(_was_judged, asked)).one_or_none() is not None


async def add_try(connection: AsyncConnection, change_id: str, number: int, proof: str, at: datetime) -> None:
    judged = {"change_id": change_id, "number": number, "proof": proof, "at": at}
    await connection.execute(_add_try, judged)


async def has_event(
    connection: AsyncConnection, change_id: str, event: str, server_id: str | None = None
) -> bool:
    """Say whether the trail has the event (about the server, if one is named)."""
    query = select(trail.c.seq).where(trail.c.change_id == change_id, trail.c.event == event)
    if server_id is not None:
        query = query.where(trail.c.data["server_id"].as_string() == server_id)
    return (await connection.execute(query.limit(1))).one_or_none() is not None


async def trail_of(connection: AsyncConnection, change_id: str, after: int = 0) -> list[Row[Any]]:
    """Return the trail of the change from behind entry `after` on, in its order."""
    beyond = trail.c.seq > min(after, _LAST_SEQ)
    query = select(trail).where(trail.c.change_id == change_id, beyond).order_by(trail.c.seq)
    return list(await connection.execute(query))


async def code_keys_in_use(connection: AsyncConnection) -> dict[str, int]:
    """Return the ids of the code keys that changes awaiting their code need, and how many need each."""
    query = (
        select(plan_changes.c.code_key_id, func.count())
        .where(plan_changes.c.stage == Stage.AWAITING_CODE)
        .group_by(plan_changes.c.code_key_id)
    )
    return {row[0]: row[1] for row in await connection.execute(query)}
