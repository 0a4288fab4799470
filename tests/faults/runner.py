"""Run a scenario on a running system: act, heal, let all come to an end, judge."""

import time
from dataclasses import dataclass

from tests.faults.checker import NOT_HELD, NOT_TOUCHED, Finding, judge
from tests.faults.matrix import FAULTS, Scenario
from tests.faults.story import Story
from tests.faults.system import FaultySystem


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One try of one scenario. `trouble` says what the scenario itself found wrong.

    Of all its `seconds`, `settled` are those from the healing until nothing was open any more.
    """

    scenario: Scenario
    database: str
    seconds: float
    settled: float
    findings: tuple[Finding, ...] = ()
    trouble: str | None = None

    @property
    def broken(self) -> list[str]:
        """What is wrong, in words; nothing when all held and what had to be touched was."""
        found = [
            f"{finding.invariant}: {what}"
            for finding in self.findings
            if finding.verdict == NOT_HELD
            for what in finding.broken
        ]
        untouched = {it.invariant for it in self.findings if it.verdict == NOT_TOUCHED}
        missed = [it for it in self.scenario.must_touch if it in untouched]
        found += [f"{it} was to be touched, and was not" for it in missed]
        return ([self.trouble] if self.trouble else []) + found

    @property
    def title(self) -> str:
        return f"{self.scenario.fault} {FAULTS[self.scenario.fault][1]}"


async def run(scenario: Scenario, system: FaultySystem) -> Outcome:
    """Try a scenario once. Whatever it meets is part of the outcome, so that others can still be tried."""
    began = time.monotonic()
    story = Story(system)
    findings: tuple[Finding, ...] = ()
    settled = 0.0
    trouble = None
    try:
        try:
            await scenario.act(story)
        except Exception as error:  # noqa: BLE001 - the run is judged all the same
            trouble = f"{type(error).__name__}: {error}"
        await system.heal()
        healed = time.monotonic()
        await story.settle()
        settled = time.monotonic() - healed
        findings = tuple(await judge(await story.evidence()))
    finally:
        await story.close()
    return Outcome(
        scenario=scenario,
        database=system.kind,
        seconds=time.monotonic() - began,
        settled=settled,
        findings=findings,
        trouble=trouble,
    )
