"""The fault matrix as tests: a sample by default, what remains by `-m whole_matrix`."""

from collections.abc import Iterator

import pytest

from tests.faults import scenarios
from tests.faults.matrix import SCENARIOS, Scenario
from tests.faults.runner import run
from tests.faults.system import FaultySystem

scenarios.load()


def _each() -> Iterator[object]:
    for scenario in sorted(SCENARIOS, key=lambda it: it.fault):
        for kind in scenario.databases:
            marks = () if scenario.sample else (pytest.mark.whole_matrix,)
            name = f"{scenario.fault}-{scenario.name.replace(' ', '-')}-{kind}"
            yield pytest.param(scenario, kind, marks=marks, id=name)


@pytest.mark.parametrize(("scenario", "system"), _each(), indirect=["system"])
async def test_every_invariant_holds_under(scenario: Scenario, system: FaultySystem) -> None:
    outcome = await run(scenario, system)
    assert outcome.broken == []


def test_no_two_scenarios_of_a_fault_have_one_name() -> None:
    names = [(scenario.fault, scenario.name) for scenario in SCENARIOS]
    assert len(names) == len(set(names))
