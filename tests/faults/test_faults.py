"""The fault matrix as tests: a sample by default, what remains by `-m whole_matrix`."""

from collections.abc import Iterator

import pytest
from _pytest.mark import ParameterSet

from tests.faults import scenarios
from tests.faults.matrix import FAULTS, SCENARIOS, Scenario
from tests.faults.runner import run
from tests.faults.system import FaultySystem

scenarios.load()


def _each() -> Iterator[ParameterSet]:
    for scenario in sorted(SCENARIOS, key=lambda it: it.fault):
        for kind in scenario.databases:
            marks = () if scenario.sample == kind else (pytest.mark.whole_matrix,)
            name = f"{scenario.fault}-{scenario.name.replace(' ', '-')}-{kind}"
            yield pytest.param(scenario, kind, marks=marks, id=name)


@pytest.mark.parametrize(("scenario", "system"), list(_each()), indirect=["system"])
async def test_every_invariant_holds_under(scenario: Scenario, system: FaultySystem) -> None:
    outcome = await run(scenario, system)
    assert outcome.broken == []


def test_every_fault_has_a_scenario() -> None:
    assert {scenario.fault for scenario in SCENARIOS} == set(FAULTS) > set(range(1, 38))


def test_no_two_scenarios_of_a_fault_have_one_name() -> None:
    names = [(scenario.fault, scenario.name) for scenario in SCENARIOS]
    assert len(names) == len(set(names))
