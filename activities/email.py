"""The mails of a plan change. The address is looked up here and goes to the mail server, nowhere else."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Literal, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity

from activities.clock import MOST_AHEAD, ServerClock
from activities.database import CodeKeys
from activities.failures import FailedKnowing, Unauthorised, classified
from activities.heartbeats import heartbeating
from activities.state import locked_change
from changeover.domain.catalogue import Catalogue, Configuration
from changeover.domain.confirmation import CodePolicy, display
from changeover.domain.lifecycle import AbandonReason, Stage
from changeover.domain.proration import DAY, LAST_MOMENT, convert, days_left, moment_after, seconds_between
from changeover.failpoints import reach
from changeover.mail import (
    CodeMail,
    DestroyedServer,
    InvalidRecipient,
    MailRejected,
    OutcomeMail,
    OutgoingMail,
    Plan,
    SmtpTransport,
    message_id,
    render,
)
from changeover.storage import changes, tasks
from changeover.storage.catalogue import CatalogueReader
from changeover.storage.changes import Change, Event
from changeover.storage.database import Database
from changeover.storage.recipients import Recipient, change_recipient_and_catalogue
from workflows.messages import CodeMailed, Handover, HostWork, SendCode, SendOutcome
from workflows.outcome_mail import was_taken
from workflows.ports import MailActivities

_log = logging.getLogger(__name__)

OUTCOME_MAILED = "outcome_mailed"

Recorded = TypeVar("Recorded")

_Kind = Literal["completed", "window-over", "stale", "too-many-tries"]
_TOLD: dict[str | None, _Kind] = {
    AbandonReason.WINDOW_OVER: "window-over",
    AbandonReason.STALE: "stale",
    AbandonReason.TOO_MANY_TRIES: "too-many-tries",
}


@dataclass(frozen=True, kw_only=True)
class _Letter:
    """A change and all that a mail about it needs."""

    change: Change
    recipient: Recipient
    catalogue: Catalogue

    @property
    def reference(self) -> str:
        return self.change.id[:8].upper()

    @property
    def old(self) -> Plan:
        return self._plan(self.change.configuration_before)

    @property
    def new(self) -> Plan:
        return self._plan(self.change.configuration_after)

    @property
    def destroys(self) -> tuple[DestroyedServer, ...]:
        return tuple(
            DestroyedServer(name=server["name"], address=server["address"], backups=server["backups"])
            for server in self.change.destroys
        )

    def _plan(self, configuration: Configuration) -> Plan:
        offer = self.catalogue[configuration.offer]
        language = self.recipient.language
        options = [(code, offer.option(code)) for code in configuration.options]
        return Plan(
            offer_name=offer.names.get(language, offer.code),
            slots=configuration.slots,
            servers=configuration.server_count,
            options=tuple(option.names.get(language, code) if option else code for code, option in options),
        )


class ChangeMails(MailActivities):
    """The `email` activities."""

    def __init__(
        self,
        *,
        database: Database,
        catalogue: CatalogueReader,
        keys: CodeKeys,
        code_policy: CodePolicy,
        transport: SmtpTransport,
        sender_domain: str,
        time_zone: str,
    ) -> None:
        self._database = database
        self._catalogue = catalogue
        self._keys = keys
        self._code_policy = code_policy
        self._transport = transport
        self._sender_domain = sender_domain
        self._time_zone = time_zone

    @activity.defn
    @classified
    async def send_code(self, order: SendCode) -> CodeMailed:
        clock = ServerClock()
        async with self._database.read() as connection:
            letter = await self._letter(connection, order.change_id)
        change = letter.change
        if change.stage is not Stage.AWAITING_CODE or change.code_number != order.number:
            return CodeMailed(handover=Handover.MOOT)
        if change.code_handed_over_at is not None:
            return CodeMailed(handover=Handover.HANDED_OVER, at=change.code_handed_over_at)
        if not _is_of_now(change, clock.now()):
            return CodeMailed(handover=Handover.MOOT)
        kind, at = f"code-{order.number}", _taken_at(clock.now() - self._code_policy.ttl)
        if at is None:
            if not await self._send(letter, self._code_mail(letter, clock.now()), kind):
                return CodeMailed(handover=Handover.REFUSED)
            at = clock.now()
        return await self._recorded(kind, at.isoformat(), partial(self._handed_over, order=order, at=at))

    def _code_mail(self, letter: _Letter, now: datetime) -> CodeMail:
        change = letter.change
        days_before, days_after, new_expires_at = _figures(change, letter.recipient.expires_at)
        assert change.window_ends_at is not None, "an accepted change has its window"
        return CodeMail(
            reference=letter.reference,
            service_name=letter.recipient.service_name,
            code=display(self._keys.code_of(change)),
            valid_until=min(now + self._code_policy.ttl, change.window_ends_at),
            old=letter.old,
            new=letter.new,
            days_before=days_before,
            days_after=days_after,
            new_expires_at=new_expires_at,
            destroys=letter.destroys,
            creates=change.creates,
            spends_pass=change.spends_pass,
            number=change.code_number,
        )

    async def _handed_over(self, connection: AsyncConnection, order: SendCode, at: datetime) -> CodeMailed:
        """Record the hand-over, from which the code is valid."""
        change = await locked_change(connection, order.change_id)
        if change.stage is not Stage.AWAITING_CODE or change.code_number != order.number:
            return CodeMailed(handover=Handover.MOOT)
        if change.code_handed_over_at is not None:
            return CodeMailed(handover=Handover.HANDED_OVER, at=change.code_handed_over_at)
        assert change.window_ends_at is not None, "an accepted change has its window"
        expires_at = min(at + self._code_policy.ttl, change.window_ends_at)
        sent = Event(event="code_mailed", stage=change.stage, at=at, data={"number": order.number})
        await changes.alter(connection, change, [sent], code_handed_over_at=at, code_expires_at=expires_at)
        return CodeMailed(handover=Handover.HANDED_OVER, at=at)

    @activity.defn
    @classified
    async def send_outcome(self, order: SendOutcome) -> None:
        clock = ServerClock()
        async with self._database.read() as connection:
            letter = await self._letter(connection, order.change_id)
            change = letter.change
            if await changes.has_event(connection, change.id, OUTCOME_MAILED):
                return
            work = await tasks.of_change(connection, change.id)
        unproved = {task.address for task in work if task.address_held}
        created = [task for task in work if task.kind == HostWork.CREATE]
        mail = OutcomeMail(
            reference=letter.reference,
            service_name=letter.recipient.service_name,
            kind=_kind(change),
            reason=change.cause,
            old=letter.old,
            new=letter.new,
            new_expires_at=_expiry(letter),
            destroyed=tuple(server for server in letter.destroys if server.address not in unproved),
            addresses_of_new_servers=tuple(task.address for task in created if task.state == "done"),
        )
        taken = order.taken if order.taken is not None else was_taken(activity.info().heartbeat_details)
        if taken is None:
            taken = await self._send(letter, mail, "outcome")

        async def record(connection: AsyncConnection) -> None:
            await locked_change(connection, change.id)
            if await changes.has_event(connection, change.id, OUTCOME_MAILED):
                return  # another worker was faster
            data = {"kind": mail.kind, "taken": taken}
            mailed = Event(event=OUTCOME_MAILED, stage=change.stage, at=clock.now(), data=data)
            await changes.record(connection, change, [mailed])

        await self._recorded("outcome", taken, record)

    async def _letter(self, connection: AsyncConnection, change_id: str) -> _Letter:
        found = await change_recipient_and_catalogue(connection, self._catalogue, change_id)
        if found is None:
            raise Unauthorised(f"there is no plan change {change_id}")
        change, recipient, catalogue = found
        return _Letter(change=change, recipient=recipient, catalogue=catalogue)

    async def _send(self, letter: _Letter, mail: CodeMail | OutcomeMail, kind: str) -> bool:
        """Hand the mail over; say False when the recipient can't be written to."""
        rendered = render(mail, letter.recipient.language, self._time_zone)
        outgoing = OutgoingMail(
            recipient=letter.recipient.email,
            subject=rendered.subject,
            text=rendered.text,
            html=rendered.html,
            message_id=message_id(letter.change.id, kind, self._sender_domain),
            language=rendered.language,
        )
        try:
            async with heartbeating() as say:
                say(f"mail {kind}")
                reach("mail.before")
                await self._transport.send(outgoing)
                reach("mail.taken")
        except (MailRejected, InvalidRecipient) as error:
            _log.warning("change %s, mail %s: refused for good: %s", letter.change.id, kind, error)
            return False
        return True

    async def _recorded(
        self, kind: str, taken: object, work: Callable[[AsyncConnection], Awaitable[Recorded]]
    ) -> Recorded:
        """Record what became of a mail. If that fails, whoever goes on hears of it, and mails nothing."""
        said = f"mail {kind}: it was judged, and is to be recorded", taken
        async with heartbeating() as say:
            say(*said)
            try:
                return await self._database.write(work)
            except Exception as error:
                activity.heartbeat(*said)
                raise FailedKnowing(error, *said) from error


def _taken_at(not_before: datetime) -> datetime | None:
    """Return when the mail server took the code from an earlier attempt, unless it is no longer valid."""
    match activity.info().heartbeat_details:
        case [_, str(taken)] if (at := datetime.fromisoformat(taken)) > not_before:
            return at
    return None


def _is_of_now(change: Change, now: datetime) -> bool:
    """Say whether the change was accepted within its window, by the Temporal server's clock.

    T0 stands in an order that anyone who can write to Temporal could have sent: an early or late one is worth
    days. Without a mail there is never a valid code, so such a change comes to nothing.
    """
    assert change.window_ends_at is not None, "an accepted change has its window"
    return change.as_of - MOST_AHEAD <= now < change.window_ends_at


def _kind(change: Change) -> _Kind:
    """Return the outcome that the mail tells. Raises `Unauthorised` for a change without such an end."""
    if change.stage is Stage.COMPLETED:
        return "completed"
    if change.stage is Stage.ABANDONED and change.reason in _TOLD:
        return _TOLD[change.reason]
    raise Unauthorised(f"the change {change.id} is {change.stage}: there is no outcome to mail")


def _expiry(letter: _Letter) -> datetime | None:
    """Return the expiry to tell: with what was renewed since, and without what a later change made of it."""
    change, service = letter.change, letter.recipient
    is_last = change.committed_at is not None and change.committed_at == service.last_committed_at
    return service.expires_at if is_last else change.new_expires_at


def _figures(change: Change, expires_at: datetime) -> tuple[int, int, datetime]:
    """Return days before, days after and the new expiry: as confirmed, or on an expiry renewed since."""
    terms = change.terms
    assert terms is not None, "an accepted change has its terms"
    remaining = seconds_between(change.as_of, expires_at)
    seconds = convert(remaining, terms["rate_before"], terms["rate_after"])
    # Renewed beyond the calendar it is too many days, which the commit will say; a zone may add some hours.
    new_expires_at = moment_after(change.as_of, seconds) or LAST_MOMENT - timedelta(days=1)
    return days_left(expires_at, change.as_of), seconds // DAY, new_expires_at
