"""The digests: they change with everything that is confirmed, and with nothing else."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given

from changeover.domain.catalogue import Configuration
from changeover.domain.facts import Facts, Policy, Server
from changeover.domain.problems import NothingChanges
from changeover.domain.quote import Quote, confirmation_digest, digest
from tests.unit.strategies import moments
from tests.unit.world import (
    BLOCKS,
    CATALOGUE,
    CLASSIC,
    MICROSECOND,
    SECOND,
    SERVICE,
    T0,
    WANTED,
    quote,
    servers,
    with_offer,
)

FACTS = replace(SERVICE, servers=servers(3, marked=2), passes=1, last_committed_at=T0 - timedelta(days=3))
WISH = Configuration.of("blocks", 16, ("backups", "dedicated_ip"), 1)
QUOTE = quote(FACTS, WISH)

CONFIGURATIONS: dict[str, Callable[[Configuration], Configuration]] = {
    "offer": lambda c: replace(c, offer="classic"),
    "slots": lambda c: replace(c, slots=c.slots + 2),
    "options": lambda c: replace(c, options=("turbo",)),
    "server_count": lambda c: replace(c, server_count=c.server_count + 1),
}
SERVERS: dict[str, Callable[[Server], Server]] = {
    "id": lambda s: replace(s, id="server-9"),
    "address": lambda s: replace(s, address="192.0.2.9:25565"),
}
SERVERS_UNCOVERED: dict[str, Callable[[Server], Server]] = {
    "name": lambda s: replace(s, name="Renamed"),
    "backups": lambda s: replace(s, backups=99),
    "marked": lambda s: replace(s, marked=False),  # to be in `destroys` is what counts
}


def _before(change: Callable[[Configuration], Configuration]) -> Callable[[Quote], Quote]:
    return lambda quote: replace(quote, before=change(quote.before))


def _after(change: Callable[[Configuration], Configuration]) -> Callable[[Quote], Quote]:
    return lambda quote: replace(quote, after=change(quote.after))


def _destroyed(change: Callable[[Server], Server]) -> Callable[[Quote], Quote]:
    return lambda quote: replace(quote, destroys=(change(quote.destroys[0]), *quote.destroys[1:]))


COVERED: dict[str, Callable[[Quote], Quote]] = {
    "rate_before": lambda q: replace(q, rate_before=q.rate_before + 1),
    "rate_after": lambda q: replace(q, rate_after=(q.rate_after or 0) + 1),
    "expires_at": lambda q: replace(q, expires_at=q.expires_at + MICROSECOND),
    "destroys": lambda q: replace(q, destroys=q.destroys[:1]),
    "creates": lambda q: replace(q, creates=q.creates + 1),
    "spends_pass": lambda q: replace(q, spends_pass=not q.spends_pass),
    **{f"before.{name}": _before(change) for name, change in CONFIGURATIONS.items()},
    **{f"after.{name}": _after(change) for name, change in CONFIGURATIONS.items()},
    **{f"destroys.{name}": _destroyed(change) for name, change in SERVERS.items()},
}
UNCOVERED: dict[str, Callable[[Quote], Quote]] = {
    "as_of": lambda q: replace(q, as_of=q.as_of + SECOND),
    "days_before": lambda q: replace(q, days_before=0),
    "days_after": lambda q: replace(q, days_after=0),
    "new_expires_at": lambda q: replace(q, new_expires_at=T0),
    "required_days": lambda q: replace(q, required_days=0),
    "destroys in another order": lambda q: replace(q, destroys=q.destroys[::-1]),
    **{f"destroys.{name}": _destroyed(change) for name, change in SERVERS_UNCOVERED.items()},
}


@pytest.mark.parametrize("name", COVERED)
def test_the_digest_changes_with(name: str) -> None:
    changed = COVERED[name](QUOTE)
    assert QUOTE.digest is not None
    assert changed != QUOTE
    assert changed.digest not in (None, QUOTE.digest)


@pytest.mark.parametrize("name", UNCOVERED)
def test_the_digest_does_not_change_with(name: str) -> None:
    changed = UNCOVERED[name](QUOTE)
    assert changed != QUOTE
    assert changed.digest == QUOTE.digest


def test_every_field_is_decided_on() -> None:
    decided = {name.partition(".")[0].split()[0] for name in (*COVERED, *UNCOVERED)} | {"blockers"}
    assert decided == {field.name for field in fields(Quote)}
    assert set(CONFIGURATIONS) == {field.name for field in fields(Configuration)}
    assert {*SERVERS, *SERVERS_UNCOVERED} == {field.name for field in fields(Server)}


def test_each_change_has_a_digest_of_its_own() -> None:
    digests = [QUOTE.digest, *(change(QUOTE).digest for change in COVERED.values())]
    assert len(set(digests)) == len(digests)


def test_a_blocked_quote_has_no_digest() -> None:
    assert replace(QUOTE, blockers=(NothingChanges(),)).digest is None


def test_a_digest_is_64_hexadecimal_digits() -> None:
    assert QUOTE.digest is not None
    assert len(bytes.fromhex(QUOTE.digest)) == 32


def test_the_terms_come_back_from_json_as_they_were() -> None:
    assert json.loads(json.dumps(QUOTE.terms)) == QUOTE.terms


SAME: dict[str, Callable[[], Quote]] = {
    "half a day later": lambda: quote(FACTS, WISH, now=T0 + timedelta(hours=12)),
    "more backups": lambda: quote(
        replace(FACTS, servers=tuple(replace(s, backups=50) for s in FACTS.servers)), WISH
    ),
    "renamed servers": lambda: quote(
        replace(FACTS, servers=tuple(replace(s, name=s.name.upper()) for s in FACTS.servers)), WISH
    ),
    "servers read in another order": lambda: quote(replace(FACTS, servers=FACTS.servers[::-1]), WISH),
    "other display names": lambda: quote(
        FACTS,
        WISH,
        catalogue=with_offer(
            replace(
                BLOCKS,
                names={"fr": "Cubes", "en": "Cubes"},
                options=tuple(replace(option, names={"fr": "Nom"}) for option in BLOCKS.options),
            )
        ),
    ),
    "options asked for in another order": lambda: quote(
        FACTS, Configuration.of("blocks", 16, ("dedicated_ip", "backups", "dedicated_ip"), 1)
    ),
    "options sold in another order": lambda: quote(
        FACTS, WISH, catalogue=with_offer(replace(BLOCKS, options=BLOCKS.options[::-1]))
    ),
    "offers in another order": lambda: quote(FACTS, WISH, catalogue=dict(reversed(list(CATALOGUE.items())))),
    "another offer's price": lambda: quote(FACTS, WISH, catalogue=with_offer(replace(CLASSIC, base=9))),
    "more passes": lambda: quote(replace(FACTS, passes=2), WISH),
    "more free addresses": lambda: quote(replace(FACTS, free_addresses=9), WISH),
    "a kept server's address": lambda: quote(
        replace(FACTS, servers=(replace(FACTS.servers[0], address="192.0.2.77:1"), *FACTS.servers[1:])), WISH
    ),
    "other limits": lambda: quote(FACTS, WISH, policy=Policy(min_days_after=2, max_days_after=3000)),
}


@pytest.mark.parametrize("name", SAME)
def test_the_same_is_confirmed_with(name: str) -> None:
    assert QUOTE.digest is not None
    assert SAME[name]().digest == QUOTE.digest


def _other_price(per_slot: int) -> Quote:
    return quote(FACTS, WISH, catalogue=with_offer(replace(BLOCKS, per_slot=per_slot)))


def _marking(first: int, second: int) -> Facts:
    marked = {f"server-{first}", f"server-{second}"}
    return replace(FACTS, servers=tuple(replace(s, marked=s.id in marked) for s in FACTS.servers))


OTHER: dict[str, Callable[[], Quote]] = {
    "another price": lambda: _other_price(101),
    "a renewal": lambda: quote(replace(FACTS, expires_at=FACTS.expires_at + timedelta(days=30)), WISH),
    "other servers marked": lambda: quote(_marking(1, 2), WISH),
    "no pass to be spent": lambda: quote(replace(FACTS, last_committed_at=None), WISH),
    "other slots": lambda: quote(FACTS, replace(WISH, slots=18)),
    "an option less": lambda: quote(FACTS, replace(WISH, options=("backups",))),
}


@pytest.mark.parametrize("name", OTHER)
def test_another_thing_is_confirmed_with(name: str) -> None:
    assert OTHER[name]().digest not in (None, QUOTE.digest)


def test_the_number_created_is_confirmed() -> None:
    facts = replace(SERVICE, free_addresses=2)
    wanted = replace(WANTED, server_count=5)
    fewer = replace(facts, servers=facts.servers[:2], free_addresses=3)
    assert quote(facts, wanted).digest is not None
    assert quote(fewer, wanted).creates == 3
    assert quote(fewer, wanted).digest not in (None, quote(facts, wanted).digest)


# The confirmation digest.


def confirmed(**changes: Any) -> str:
    what: dict[str, Any] = {"quote_digest": "00", "as_of": T0, "new_expires_at": T0 + timedelta(days=25)}
    return confirmation_digest(**(what | changes))


def test_the_confirmation_digest_changes_with_t0_the_new_expiry_and_the_quote() -> None:
    digests = {
        confirmed(),
        confirmed(quote_digest="01"),
        confirmed(as_of=T0 + SECOND),
        confirmed(new_expires_at=T0 + timedelta(days=25) + SECOND),
    }
    assert len(digests) == 4
    assert confirmed() == confirmed()


@given(moments, moments)
def test_t0_and_the_new_expiry_are_not_interchangeable(first: Any, second: Any) -> None:
    there = confirmed(as_of=first, new_expires_at=second)
    back = confirmed(as_of=second, new_expires_at=first)
    assert (there == back) == (first == second)


def test_the_form_that_is_digested_never_changes() -> None:
    """Customers confirm across a release: both sides of it must digest the same bytes."""
    canonical = rb'{"a":[1,null],"b":"Bordeaux \u00e9t\u00e9","c":{"x":true,"y":2}}'
    content = {"c": {"y": 2, "x": True}, "b": "Bordeaux \u00e9t\u00e9", "a": [1, None]}
    assert digest(content) == hashlib.sha256(canonical).hexdigest()


def test_the_names_of_what_is_confirmed_never_change() -> None:
    """Rows and digests of one release are read by the next."""
    assert QUOTE.terms.keys() == {
        "before",
        "after",
        "rate_before",
        "rate_after",
        "expires_at",
        "destroys",
        "creates",
        "spends_pass",
    }
    assert [it.keys() for it in QUOTE.terms["destroys"]] == [{"id", "address"}] * len(QUOTE.destroys) != []
