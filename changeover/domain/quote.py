"""A quote: what a change would do, worked out without changing anything, and all that stands in its way.

`assess` is the one place where the rules are applied: for a quote, for the request that accepts it, and
once more inside the transaction that commits it. Each rule is a function below, in the order of
`problems.BLOCKERS`; a refusal is found by its name.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from changeover.domain import problems
from changeover.domain.catalogue import FLEXI_PLUS, Catalogue, Configuration, Offer, rate
from changeover.domain.facts import Facts, Policy, Server
from changeover.domain.problems import Problem
from changeover.domain.proration import (
    DAY,
    convert,
    days_left,
    moment_after,
    required_days,
    seconds_between,
    whole_second,
)


@dataclass(frozen=True, kw_only=True)
class Quote:
    """What a change would do at `as_of`. What can't be worked out is None; `digest` is None when blocked.

    Rates are cents per 30 days. `new_expires_at` is exact to the second.
    """

    as_of: datetime
    expires_at: datetime
    before: Configuration
    after: Configuration
    rate_before: int
    rate_after: int | None
    days_before: int
    days_after: int | None
    new_expires_at: datetime | None
    required_days: int | None
    spends_pass: bool
    destroys: tuple[Server, ...]
    creates: int
    blockers: tuple[Problem, ...] = field(default=())

    @property
    def digest(self) -> str | None:
        """Identify what is confirmed, or None when the change is blocked."""
        return None if self.blockers else digest(self.terms)

    @property
    def terms(self) -> dict[str, Any]:
        """All that the customer confirms: nothing that moves with the clock, and no backup counts.

        Plain JSON values, which compare equal to those that a row gives back; servers in the order of their
        ids, whatever the order they were read in.
        """
        destroys = sorted(self.destroys, key=lambda server: server.id)
        return {
            "before": self.before.record,
            "after": self.after.record,
            "rate_before": self.rate_before,
            "rate_after": self.rate_after,
            "expires_at": self.expires_at.isoformat(),
            "destroys": [{"id": server.id, "address": server.address} for server in destroys],
            "creates": self.creates,
            "spends_pass": self.spends_pass,
        }


def to_record(quote: Quote) -> dict[str, Any]:
    """Return the quote as plain JSON values, as the API shows it and a refusal keeps it."""
    return {
        "as_of": quote.as_of.isoformat(),
        "rate_before": quote.rate_before,
        "rate_after": quote.rate_after,
        "days_before": quote.days_before,
        "days_after": quote.days_after,
        "new_expires_at": quote.new_expires_at.isoformat() if quote.new_expires_at else None,
        "required_days": quote.required_days,
        "spends_pass": quote.spends_pass,
        "destroys": [server_record(server) for server in quote.destroys],
        "creates": quote.creates,
        "blockers": [problems.to_record(blocker) for blocker in quote.blockers],
        "digest": quote.digest,
    }


def server_record(server: Server) -> dict[str, Any]:
    """Return what is told of a server that is to be destroyed."""
    return {"id": server.id, "name": server.name, "address": server.address, "backups": server.backups}


def digest(content: Any) -> str:
    """SHA-256, in hexadecimal, of `content` as canonical JSON."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def confirmation_digest(quote_digest: str, as_of: datetime, new_expires_at: datetime) -> str:
    """Return the digest of what the e-mailed code confirms: the quote, T0 and the new expiry."""
    return digest([quote_digest, as_of.isoformat(), new_expires_at.isoformat()])


def assess(facts: Facts, wanted: Configuration, catalogue: Catalogue, policy: Policy, now: datetime) -> Quote:
    """Return what changing to `wanted` at `now` would do, with every blocker in the fixed order.

    `catalogue` holds the offer that the service has. `now`, cut to the second, is T0 when the change is
    validated, and the quote's `as_of`.
    """
    now = whole_second(now)
    rate_before = rate(catalogue[facts.configuration.offer], facts.configuration)
    invalid = tuple(_configuration_invalid(facts, wanted, catalogue))
    rate_after = None if invalid else rate(catalogue[wanted.offer], wanted)
    convertible = bool(rate_before and rate_after)
    seconds_after = (
        convert(seconds_between(now, facts.expires_at), rate_before, rate_after)
        if rate_after and convertible and now < facts.expires_at
        else None
    )
    needs_exception = _in_cooldown(facts, policy, now) and FLEXI_PLUS not in facts.configuration.options
    quote = Quote(
        as_of=now,
        expires_at=facts.expires_at,
        before=facts.configuration,
        after=wanted,
        rate_before=rate_before,
        rate_after=rate_after,
        days_before=days_left(facts.expires_at, now),
        days_after=None if seconds_after is None else seconds_after // DAY,
        new_expires_at=None if seconds_after is None else moment_after(now, seconds_after),
        required_days=(
            required_days(policy.min_days_after, rate_before, rate_after)
            if rate_after and convertible
            else None
        ),
        spends_pass=needs_exception and facts.passes > 0,
        destroys=facts.marked,
        creates=0 if facts.marked else max(0, wanted.server_count - len(facts.servers)),
    )
    blockers = (
        *_service_expired(facts, now),
        *_change_in_progress(facts),
        *_recurring_payment_active(facts),
        *invalid,
        *_nothing_changes(facts, wanted),
        *_servers_not_marked(facts, wanted),
        *_servers_marked_mismatch(facts, wanted),
        *_change_too_soon(facts, policy, needs_exception),
        *_not_convertible(quote),
        *_insufficient_days(quote, policy, seconds_after),
        *_too_many_days(policy, seconds_after),
        *_no_capacity(facts, quote),
    )
    return Quote(**{**vars(quote), "blockers": blockers})


def _service_expired(facts: Facts, now: datetime) -> Iterator[Problem]:
    if now >= facts.expires_at:
        yield problems.ServiceExpired(expired_at=facts.expires_at)


def _change_in_progress(facts: Facts) -> Iterator[Problem]:
    if facts.open_change is not None:
        yield problems.ChangeInProgress(plan_change_id=facts.open_change)


def _recurring_payment_active(facts: Facts) -> Iterator[Problem]:
    if facts.recurring_payment_active:
        yield problems.RecurringPaymentActive()


def changeable_offers(facts: Facts, catalogue: Catalogue) -> tuple[Offer, ...]:
    """Return the offers that the service can change to: its game's on sale, and its own though withdrawn."""
    own = facts.configuration.offer
    game = catalogue[own].game
    return tuple(
        offer for offer in catalogue.values() if offer.game == game and (offer.visible or offer.code == own)
    )


def allowed_options(facts: Facts, offer: Offer) -> tuple[str, ...]:
    """Return the options of `offer` on sale, and withdrawn ones that the service has with this very offer."""
    kept = facts.configuration.options if offer.code == facts.configuration.offer else ()
    return tuple(option.code for option in offer.options if option.visible or option.code in kept)


def _configuration_invalid(
    facts: Facts, wanted: Configuration, catalogue: Catalogue
) -> Iterator[problems.ConfigurationInvalid]:
    offers = {offer.code: offer for offer in changeable_offers(facts, catalogue)}
    offer = offers.get(wanted.offer)
    if offer is None:
        yield problems.ConfigurationInvalid(field="offer", allowed=sorted(offers))
        return
    if not offer.allows_slots(wanted.slots):
        steps = {"min": offer.min_slots, "max": offer.max_slots, "step": offer.slot_step}
        yield problems.ConfigurationInvalid(field="slots", allowed=steps)
    options = allowed_options(facts, offer)
    if not set(wanted.options) <= set(options):
        yield problems.ConfigurationInvalid(field="options", allowed=sorted(options))
    if not 1 <= wanted.server_count <= offer.most_servers:
        counts = {"min": 1, "max": offer.most_servers, "step": 1}
        yield problems.ConfigurationInvalid(field="server_count", allowed=counts)


def _nothing_changes(facts: Facts, wanted: Configuration) -> Iterator[Problem]:
    if wanted == facts.configuration and not facts.marked:
        yield problems.NothingChanges()


def _servers_not_marked(facts: Facts, wanted: Configuration) -> Iterator[Problem]:
    too_many = len(facts.servers) - wanted.server_count
    if not facts.marked and too_many > 0:
        yield problems.ServersNotMarked(to_mark=too_many)


def _servers_marked_mismatch(facts: Facts, wanted: Configuration) -> Iterator[Problem]:
    kept = len(facts.kept)
    if facts.marked and (kept < 1 or wanted.server_count != kept):
        yield problems.ServersMarkedMismatch(kept=kept)


def _in_cooldown(facts: Facts, policy: Policy, now: datetime) -> bool:
    return facts.last_committed_at is not None and now < facts.last_committed_at + policy.cooldown


def _change_too_soon(facts: Facts, policy: Policy, needs_exception: bool) -> Iterator[Problem]:
    if needs_exception and facts.last_committed_at is not None and facts.passes < 1:
        yield problems.ChangeTooSoon(next_change_at=facts.last_committed_at + policy.cooldown)


def _not_convertible(quote: Quote) -> Iterator[Problem]:
    if quote.rate_after is not None and not (quote.rate_before and quote.rate_after):
        yield problems.NotConvertible()


def _insufficient_days(quote: Quote, policy: Policy, seconds_after: int | None) -> Iterator[Problem]:
    if quote.required_days is not None and (seconds_after or 0) < policy.min_days_after * DAY:
        yield problems.InsufficientDays(required=quote.required_days, remaining=quote.days_before)


def _too_many_days(policy: Policy, seconds_after: int | None) -> Iterator[Problem]:
    if seconds_after is not None and seconds_after > policy.max_days_after * DAY:
        yield problems.TooManyDays(days_after=seconds_after // DAY, most=policy.max_days_after)


def _no_capacity(facts: Facts, quote: Quote) -> Iterator[Problem]:
    if quote.creates > facts.free_addresses:
        yield problems.NoCapacity(free=facts.free_addresses, needed=quote.creates)
