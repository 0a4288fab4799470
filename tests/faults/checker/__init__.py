"""All invariants, judged on the evidence of one run, whatever its fault was about."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.faults.checker import addresses, confirming, course, effects, eyes
from tests.faults.checker.facts import Broken
from tests.faults.evidence import Evidence

HELD, NOT_HELD, NOT_TOUCHED = "held", "NOT HELD", "not touched"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """How one invariant fared; `not touched` when nothing in the run could have broken it."""

    invariant: str
    verdict: str
    broken: tuple[str, ...] = ()


Judge = Callable[[Evidence], Broken] | Callable[[Evidence], Awaitable[Broken]]
JUDGES: dict[str, Judge] = {
    "I1": effects.destroyed_only_what_was_confirmed,
    "I2": effects.changed_once_as_confirmed,
    "I3": effects.destroyed_nothing_before_the_commit,
    "I4": addresses.released_no_address_too_early,
    "I5": confirming.accepted_the_right_code_once,
    "I6": confirming.judged_no_more_tries_than_allowed,
    "I7": course.had_one_open_change_at_most,
    "I8": effects.spent_passes_with_commits,
    "I9": course.came_to_an_end,
    "I10": eyes.told_no_secret,
    "I11": eyes.hid_the_history_of_the_expired,
    "I12": confirming.mailed_within_limits,
    "I13": course.kept_a_true_trail,
    "I14": eyes.kept_accounts_apart,
    "I15": course.replays,
    "I16": effects.left_the_refused_alone,
}


async def judge(evidence: Evidence) -> list[Finding]:
    """Judge every invariant."""
    findings = []
    for invariant, judged_by in JUDGES.items():
        found = judged_by(evidence)
        broken = await found if isinstance(found, Awaitable) else found
        verdict = NOT_TOUCHED if broken is None else NOT_HELD if broken else HELD
        findings.append(Finding(invariant=invariant, verdict=verdict, broken=tuple(broken or ())))
    return findings
