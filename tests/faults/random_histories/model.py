"""The rules once more, as plainly as they can be said: what a service, a change and the pool must be.

Nothing of `changeover.domain` is used here, so that a mistake there isn't made twice.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction

DAY = 86_400
GAMES = {"blocks": "minecraft", "classic": "minecraft", "island": "rust"}
OPTIONS = {"blocks": {"backups": 150, "flexi_plus": 0}, "classic": {}, "island": {}}
"""Prices of options; `backups` is per server, `flexi_plus` per service."""
BASE = {"blocks": 0, "classic": 300, "island": 0}
TRIES_PER_CODE, TRIES_PER_CHANGE, MAILS = 5, 10, 3
CODE_SECONDS, WINDOW_SECONDS, RESEND_SECONDS = 600, 3600, 60


@dataclass(frozen=True)
class Wish:
    """A configuration."""

    offer: str
    slots: int
    options: frozenset[str]
    count: int


@dataclass
class Server:
    """`state`: active, marked, destroying, destroyed. `address`: own, released or held."""

    id: str
    state: str = "active"
    address: str = "own"


@dataclass
class Change:
    """One change, as its customer knows it. `skipped` are seconds that its clock was moved."""

    id: str
    wish: Wish
    as_of: datetime
    confirmed: dict[str, object]
    stage: str = "awaiting_code"
    reason: str | None = None
    number: int = 1
    handed_over: float = 0.0
    skipped: float = 0.0
    wrong_on_code: int = 0
    wrong_on_change: int = 0
    wrong_codes: set[tuple[int, str]] = field(default_factory=set)
    codes: list[str] = field(default_factory=list)
    doomed: list[Server] = field(default_factory=list)
    waits_for: str | None = None

    @property
    def tries_left(self) -> int:
        left = min(TRIES_PER_CODE - self.wrong_on_code, TRIES_PER_CHANGE - self.wrong_on_change)
        return max(0, left)

    def since_mail(self, now: float) -> float:
        """Seconds of the change's own clock since its last code was handed over."""
        return now + self.skipped - self.handed_over

    def abandon(self, reason: str) -> None:
        self.stage, self.reason = "abandoned", reason

    def count_wrong(self, code: str) -> None:
        self.wrong_codes.add((self.number, code))
        self.wrong_on_code += 1
        self.wrong_on_change += 1
        last = self.number >= MAILS and self.tries_left == 0
        if self.wrong_on_change >= TRIES_PER_CHANGE or last:
            self.abandon("too-many-tries")


@dataclass
class Service:
    id: str
    has: Wish
    expires_at: datetime
    servers: list[Server]
    last_committed_at: datetime | None = None
    changes: list[Change] = field(default_factory=list)

    @property
    def held(self) -> list[Server]:
        return [server for server in self.servers if server.state in {"active", "marked"}]

    @property
    def marked(self) -> list[Server]:
        return [server for server in self.servers if server.state == "marked"]

    @property
    def open_change(self) -> Change | None:
        closed = {"completed", "abandoned"}
        return next((it for it in self.changes if it.stage not in closed), None)

    @property
    def last(self) -> Change | None:
        return self.changes[-1] if self.changes else None


@dataclass(frozen=True)
class Verdict:
    """What a quote must say."""

    blockers: list[str]
    terms: dict[str, object]
    new_expires_at: datetime | None


@dataclass
class Model:
    """One account: its services, its passes; the catalogue's prices and the pool."""

    services: list[Service]
    passes: int
    free: int
    per_slot: dict[str, int]

    def rate(self, wish: Wish) -> int:
        prices = OPTIONS[wish.offer]
        per_server = BASE[wish.offer] + wish.slots * self.per_slot[wish.offer]
        per_server += sum(prices[it] for it in wish.options if it == "backups")
        return wish.count * per_server

    def assess(self, service: Service, wish: Wish, now: datetime) -> Verdict:
        """Judge by the rules, in their order. Services here never expire and have no subscription."""
        blockers = []
        held, marked = len(service.held), len(service.marked)
        if service.open_change is not None:
            blockers.append("change-in-progress")
        invalid = self._invalid(service, wish)
        blockers += ["configuration-invalid"] * invalid
        if wish == service.has and not marked:
            blockers.append("nothing-changes")
        if not marked and wish.count < held:
            blockers.append("servers-not-marked")
        if marked and (held - marked < 1 or wish.count != held - marked):
            blockers.append("servers-marked-mismatch")
        cooling = service.last_committed_at is not None and now < service.last_committed_at + timedelta(30)
        needs_pass = cooling and "flexi_plus" not in service.has.options
        if needs_pass and self.passes < 1:
            blockers.append("change-too-soon")
        before, after = self.rate(service.has), None if invalid else self.rate(wish)
        new_expires_at = None
        if after is not None:
            new_expires_at = converted(now, service.expires_at, before, after)
            seconds = (new_expires_at - now).total_seconds()
            blockers += ["insufficient-days"] * (seconds < DAY) + ["too-many-days"] * (seconds > 3650 * DAY)
        creates = 0 if marked else max(0, wish.count - held)
        blockers += ["no-capacity"] * (creates > self.free)
        terms: dict[str, object] = {
            "rate_before": before,
            "rate_after": after,
            "destroys": sorted(server.id for server in service.marked),
            "creates": creates,
            "spends_pass": needs_pass and self.passes > 0,
        }
        return Verdict(blockers=blockers, terms=terms, new_expires_at=new_expires_at)

    def _invalid(self, service: Service, wish: Wish) -> int:
        """Count what is wrong with a configuration; another game is one thing, whatever else is wrong."""
        if GAMES[wish.offer] != GAMES[service.has.offer]:
            return 1
        wrong_slots = not 8 <= wish.slots <= 64 or wish.slots % 2 != 0
        return wrong_slots + (not wish.options <= set(OPTIONS[wish.offer])) + (not 1 <= wish.count <= 10)

    def stale_cause(self, service: Service, change: Change) -> str | None:
        """Say why what was confirmed can't be done any more."""
        fresh, was = self.assess(service, change.wish, change.as_of), change.confirmed
        if any(fresh.terms[name] != was[name] for name in ("rate_before", "rate_after")):
            return "prices-changed"
        if any(fresh.terms[name] != was[name] for name in ("destroys", "creates")):
            return "servers-changed"
        if fresh.terms["spends_pass"] != was["spends_pass"]:
            return "pass-gone"
        return "no-capacity" if "no-capacity" in fresh.blockers else None

    def commit(self, service: Service, change: Change, at: datetime) -> None:
        """Do what was confirmed: all of it, once."""
        before, after = self.rate(service.has), self.rate(change.wish)
        service.expires_at = converted(change.as_of, service.expires_at, before, after)
        change.doomed = service.marked
        for server in change.doomed:
            server.state = "destroying"
        creates = change.confirmed["creates"]
        assert isinstance(creates, int)
        self.free -= creates
        self.passes -= bool(change.confirmed["spends_pass"])
        service.has, service.last_committed_at = change.wish, at
        change.stage = "committed"

    def complete(self, change: Change, address: str = "released") -> None:
        change.stage, change.waits_for = "completed", None
        for server in change.doomed:
            server.state, server.address = "destroyed", address


def converted(start: datetime, expires_at: datetime, before: int, after: int) -> datetime:
    """Keep the time that is left, at another rate; whole seconds."""
    left = Fraction((expires_at - start) // timedelta(microseconds=1), 1_000_000)
    return start + timedelta(seconds=left * before // after)
