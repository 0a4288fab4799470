"""A small host for the tests of the domain: its catalogue, a service, and a quote in one short call."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from changeover.domain.catalogue import FLEXI_PLUS, Catalogue, Configuration, Offer, Option, Per
from changeover.domain.facts import Facts, Policy, Server
from changeover.domain.problems import Problem
from changeover.domain.quote import Quote, assess

T0 = datetime(2026, 3, 10, 12, 0, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MICROSECOND = timedelta(microseconds=1)


def an_offer(code: str, per_slot: int, base: int = 0, *options: Option) -> Offer:
    return Offer(
        code=code,
        game="minecraft",
        base=base,
        per_slot=per_slot,
        min_slots=8,
        max_slots=64,
        slot_step=2,
        most_servers=10,
        options=options,
    )


BLOCKS = an_offer(
    "blocks",
    100,
    0,
    Option(code=FLEXI_PLUS, price=0, per=Per.SERVICE),
    Option(code="dedicated_ip", price=250, per=Per.SERVICE),
    Option(code="backups", price=150, per=Per.SERVER),
    Option(code="old_panel", price=50, per=Per.SERVER, visible=False),
)
CLASSIC = an_offer("classic", 150, 300)
VALUE = an_offer("value", 110, 0, Option(code="turbo", price=490, per=Per.SERVER))
LIGHT = an_offer("light", 90)
GIFT = an_offer("gift", 0)
RETIRED = replace(
    an_offer("retired", 70, 0, Option(code="old_panel", price=50, per=Per.SERVER)), visible=False
)
ISLAND = replace(an_offer("island", 100), game="rust")

CATALOGUE: Catalogue = {offer.code: offer for offer in (BLOCKS, CLASSIC, VALUE, LIGHT, GIFT, RETIRED, ISLAND)}


def servers(count: int, *, marked: int = 0) -> tuple[Server, ...]:
    """Return `count` servers, the last `marked` of which are marked for deletion."""
    return tuple(
        Server(
            id=f"server-{number}",
            name=f"Arena {number}",
            address=f"192.0.2.{number}:25565",
            marked=number > count - marked,
            backups=number,
        )
        for number in range(1, count + 1)
    )


def a_service(configuration: Configuration, left: timedelta, *, marked: int = 0) -> Facts:
    """Return a service with nothing in its way, `left` before its expiry at T0."""
    return Facts(
        service_id="service-1",
        configuration=configuration,
        expires_at=T0 + left,
        servers=servers(configuration.server_count, marked=marked),
    )


PRESENT = Configuration.of("blocks", 20, (), 3)
WANTED = Configuration.of("blocks", 16, (), 3)
SERVICE = a_service(PRESENT, timedelta(days=20))
"""6000 cents per 30 days, 20 days left: WANTED costs 4800 and leaves 25."""


def quote(
    facts: Facts = SERVICE,
    wanted: Configuration = WANTED,
    *,
    catalogue: Catalogue = CATALOGUE,
    policy: Policy | None = None,
    now: datetime = T0,
) -> Quote:
    return assess(facts, wanted, catalogue, policy or Policy(), now)


def blockers(
    facts: Facts = SERVICE,
    wanted: Configuration = WANTED,
    *,
    catalogue: Catalogue = CATALOGUE,
    policy: Policy | None = None,
    now: datetime = T0,
) -> tuple[Problem, ...]:
    return quote(facts, wanted, catalogue=catalogue, policy=policy, now=now).blockers


def with_offer(offer: Offer) -> Catalogue:
    """Return the catalogue with `offer` in the place of the one with its code."""
    return {**CATALOGUE, offer.code: offer}
