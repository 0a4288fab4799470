"""A quote as plain JSON values: the members of the design (section 5), and nothing lost on the way."""

import json
from dataclasses import replace
from datetime import timedelta

from hypothesis import given

from changeover.domain import problems
from changeover.domain.catalogue import Configuration
from changeover.domain.quote import assess, to_record
from tests.unit.strategies import Situation, situations
from tests.unit.world import PRESENT, SERVICE, T0, quote, servers


def test_an_open_quote_has_the_designs_members() -> None:
    facts = replace(SERVICE, servers=servers(3, marked=1))
    given_quote = quote(facts, replace(PRESENT, server_count=2))
    assert to_record(given_quote) == {
        "as_of": "2026-03-10T12:00:00+00:00",
        "rate_before": 6000,
        "rate_after": 4000,
        "days_before": 20,
        "days_after": 30,
        "new_expires_at": (T0 + timedelta(days=30)).isoformat(),
        "required_days": 1,
        "spends_pass": False,
        "destroys": [
            {"id": "server-3", "name": "Arena 3", "address": "192.0.2.3:25565", "backups": 3},
        ],
        "creates": 0,
        "blockers": [],
        "digest": given_quote.digest,
    }


def test_a_blocked_quote_has_null_for_its_digest_and_for_what_cannot_be_worked_out() -> None:
    record = to_record(quote(wanted=replace(PRESENT, slots=7)))
    unknown = ("rate_after", "days_after", "new_expires_at", "required_days", "digest")
    assert [record[name] for name in unknown] == [None] * 5
    assert [blocker["code"] for blocker in record["blockers"]] == ["configuration-invalid"]


@given(situations())
def test_any_quote_comes_back_from_json_as_it_was(situation: Situation) -> None:
    fresh = assess(situation.facts, situation.wanted, situation.catalogue, situation.policy, situation.now)
    record = json.loads(json.dumps(to_record(fresh)))
    assert record == to_record(fresh)
    assert tuple(problems.from_record(blocker) for blocker in record["blockers"]) == fresh.blockers


def test_a_configuration_is_recorded_with_its_options_as_a_list() -> None:
    configuration = Configuration.of("blocks", 16, ("dedicated_ip", "backups"), 2)
    assert configuration.record == {
        "offer": "blocks",
        "slots": 16,
        "options": ["backups", "dedicated_ip"],
        "server_count": 2,
    }
