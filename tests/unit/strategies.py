"""Random moments, rates, offers, services and problems, shared by the tests of the domain."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from changeover.domain.catalogue import FLEXI_PLUS, Catalogue, Configuration, Offer, Option, Per
from changeover.domain.facts import Facts, Policy, Server
from changeover.domain.problems import PROBLEMS, Problem

rates = st.integers(1, 5_000_000)
"""Cents per 30 days; from a cent to far more than any service costs."""

moments = st.datetimes(
    min_value=datetime(2000, 1, 1),  # noqa: DTZ001 - hypothesis wants naive bounds and adds the zone
    max_value=datetime(2100, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
"""Moments of UTC, to the microsecond."""

whole_moments = moments.map(lambda moment: moment.replace(microsecond=0))

spans = st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=4000))
"""Spans that a service may have left, to the microsecond."""


def mostly(usual: bool) -> st.SearchStrategy[bool]:
    return st.sampled_from([usual, usual, usual, usual, not usual])


prices = st.integers(0, 5000)
per = st.sampled_from(Per)
option_codes = st.sampled_from(["backups", "dedicated_ip", FLEXI_PLUS, "old_panel", "turbo"])


@st.composite
def options(draw: st.DrawFn) -> tuple[Option, ...]:
    codes = draw(st.lists(option_codes, unique=True, max_size=5))
    return tuple(
        Option(code=code, price=draw(prices), per=draw(per), visible=draw(mostly(True))) for code in codes
    )


@st.composite
def offers(draw: st.DrawFn, code: str = "blocks") -> Offer:
    fewest, step = draw(st.integers(1, 20)), draw(st.integers(1, 8))
    return Offer(
        code=code,
        game=draw(st.sampled_from(["minecraft", "minecraft", "minecraft", "rust"])),
        base=draw(prices),
        per_slot=draw(st.integers(0, 300)),
        min_slots=fewest,
        max_slots=fewest + step * draw(st.integers(0, 10)),
        slot_step=step,
        most_servers=draw(st.integers(1, 6)),
        options=draw(options()),
        visible=draw(mostly(True)),
    )


@st.composite
def configurations(draw: st.DrawFn, offer: Offer) -> Configuration:
    """Draw what `offer` allows, withdrawn or not."""
    steps = (offer.max_slots - offer.min_slots) // offer.slot_step
    codes = [option.code for option in offer.options]
    return Configuration.of(
        offer.code,
        offer.min_slots + offer.slot_step * draw(st.integers(0, steps)),
        draw(st.lists(st.sampled_from(codes))) if codes else (),
        draw(st.integers(1, offer.most_servers)),
    )


@st.composite
def wild_configurations(draw: st.DrawFn) -> Configuration:
    """Draw what anybody may ask for, sensible or not."""
    return Configuration.of(
        draw(st.sampled_from(["blocks", "classic", "no such offer", ""])),
        draw(st.integers(-3, 200)),
        draw(st.lists(option_codes, max_size=3)),
        draw(st.integers(-2, 12)),
    )


@dataclass(frozen=True, kw_only=True)
class Situation:
    """All that `assess` looks at."""

    facts: Facts
    wanted: Configuration
    catalogue: Catalogue
    policy: Policy
    now: datetime


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    catalogue = {code: draw(offers(code)) for code in ("blocks", "classic")}
    present = draw(configurations(catalogue["blocks"]))
    policy = Policy(
        min_days_after=draw(st.integers(0, 10)),
        max_days_after=draw(st.integers(30, 3650)),
        cooldown=timedelta(days=draw(st.integers(0, 60))),
    )
    now = draw(moments)
    facts = Facts(
        service_id="service-1",
        configuration=present,
        expires_at=now + draw(st.one_of(spans, st.timedeltas(timedelta(days=-40), timedelta(days=40)))),
        servers=tuple(
            Server(
                id=f"server-{number}",
                name=f"Arena {number}",
                address=f"192.0.2.{number}:25565",
                marked=draw(st.sampled_from([False, False, True])),
                backups=draw(st.integers(0, 9)),
            )
            for number in range(present.server_count)
        ),
        last_committed_at=draw(
            st.none() | st.timedeltas(timedelta(0), timedelta(days=40)).map(lambda span: now - span)
        ),
        recurring_payment_active=draw(mostly(False)),
        open_change=draw(st.sampled_from([None, None, None, None, "change-1"])),
        passes=draw(st.integers(0, 2)),
        free_addresses=draw(st.integers(0, 6)),
    )
    other = draw(configurations(catalogue[draw(st.sampled_from(["blocks", "classic"]))]))
    fitting = replace(other, server_count=len(facts.kept)) if facts.marked else other
    wanted = draw(
        st.one_of(st.just(fitting), st.just(fitting), st.just(other), st.just(present), wild_configurations())
    )
    return Situation(facts=facts, wanted=wanted, catalogue=catalogue, policy=policy, now=now)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)

_FIGURES: Mapping[Any, st.SearchStrategy[Any]] = {
    int: st.integers(),
    str: st.text(max_size=12),
    str | None: st.none() | st.text(max_size=12),
    bool: st.booleans(),
    list[str]: st.lists(st.text(max_size=12), max_size=4),
    datetime: moments,
    Any: json_values,
    Mapping[str, Any]: st.dictionaries(st.text(max_size=8), json_values, max_size=4),
}


def problems_of(problem: type[Problem]) -> st.SearchStrategy[Problem]:
    """Return a strategy for `problem` with figures of the types that it declares."""
    return st.builds(problem, **{figure.name: _FIGURES[figure.type] for figure in fields(problem)})


problems = st.sampled_from(sorted(PROBLEMS)).flatmap(lambda code: problems_of(PROBLEMS[code]))
