"""What activities share: a change's row under its lock, its state for the workflow, its next events."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.failures import Unauthorised
from changeover.domain.catalogue import Configuration
from changeover.domain.confirmation import CodePolicy
from changeover.domain.lifecycle import AbandonReason, Stage
from changeover.domain.masking import for_operators
from changeover.domain.staleness import StaleCause
from changeover.storage import changes
from changeover.storage.changes import Change, Event
from workflows.messages import ChangeState, GivenUp, Recap


async def locked_change(connection: AsyncConnection, change_id: str, *, with_account: bool = False) -> Change:
    """Return the change, locked (see `changes.lock`). Raises `Unauthorised` without one."""
    change = await changes.lock(connection, change_id, with_account=with_account)
    if change is None:
        raise Unauthorised(f"there is no plan change {change_id}")
    return change


def to_state(change: Change) -> ChangeState:
    """Return what the workflow follows."""
    return ChangeState(
        stage=change.stage,
        reason=change.reason,
        cause=change.cause,
        new_expires_at=change.new_expires_at,
        codes=change.codes if change.stage is Stage.AWAITING_CODE else None,
    )


def to_recap(change: Change, code_policy: CodePolicy) -> Recap:
    """Return what the workflow is told once: what was asked for, and what operators read of it."""
    before, after = change.configuration_before, change.configuration_after
    return Recap(
        change_id=change.id,
        before=describe(before),
        after=describe(after),
        code_policy=code_policy,
        days_before=change.days_before,
        days_after=change.days_after,
        gives_up=tuple(
            GivenUp(server_id=server["id"], name=for_operators(server["name"]), address=server["address"])
            for server in change.destroys
        ),
        creates=change.creates,
        new_limits=needs_new_limits(before, after),
        spends_pass=change.spends_pass,
    )


def describe(configuration: Configuration) -> str:
    """Return a configuration in one line for operators."""
    options = "".join(f" +{for_operators(option)}" for option in configuration.options)
    offer = for_operators(configuration.offer)
    return f"{offer} {configuration.server_count} x {configuration.slots} slots{options}"


def needs_new_limits(before: Configuration, after: Configuration) -> bool:
    """Say whether the servers that are kept get other limits."""
    return (before.offer, before.slots, before.options) != (after.offer, after.slots, after.options)


def events_after(change: Change, event: Event) -> list[Event]:
    """Put `applying` before the first event after the commit, and after an operator's pause."""
    passes_applying = change.stage is Stage.COMMITTED or (
        change.stage is Stage.NEEDS_ATTENTION and event.stage is Stage.COMPLETED
    )
    if not passes_applying or event.stage is Stage.COMMITTED:
        return [event]
    return [Event(event="applying", stage=Stage.APPLYING, at=event.at), event]


async def abandon(
    connection: AsyncConnection,
    change: Change,
    reason: AbandonReason,
    at: datetime,
    *,
    actor: str = "system",
    cause: StaleCause | None = None,
) -> Change:
    """Close a change that awaited its code; the caller holds its lock."""
    data = {"reason": reason} | ({"cause": cause} if cause else {})
    event = Event(event="abandoned", stage=Stage.ABANDONED, at=at, actor=actor, data=data)
    return await changes.alter(connection, change, [event], reason=reason, cause=cause, closed_at=at)
