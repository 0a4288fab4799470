"""A check stands alone: whatever it does, it is a finding, and the others go on."""

import asyncio

import pytest

from changeover.diagnosis import Check, Finding, Status, Verdict, clock, examine, ok, warning, wrong


async def well() -> Verdict:
    return ok("all is well")


async def hangs() -> Verdict:
    await asyncio.sleep(3600)
    raise AssertionError("unreachable")


async def breaks() -> Verdict:
    raise ConnectionRefusedError("postgresql://user:secret@host said alice@example.com")


async def test_one_that_hangs_or_breaks_stops_no_other_and_tells_no_secret() -> None:
    checks = [Check(name=look.__name__, look=look, silent="mend it") for look in (hangs, breaks, well)]
    hung, broken, fine = await examine(checks, seconds=0.05)
    assert hung.verdict == wrong("no answer within 0.05 s", "mend it")
    assert broken.verdict == wrong("no answer (ConnectionRefusedError)", "mend it")
    assert fine.verdict == ok("all is well")


@pytest.mark.parametrize("verdict", [ok("fine"), warning("few", "add some"), wrong("none", "add some")])
def test_a_finding_is_one_json_object_and_back(verdict: Verdict) -> None:
    finding = Finding(check="addresses", verdict=verdict)
    assert set(finding.record) == {"check", "status", "ok", "message", "advice"}
    assert finding.record["ok"] is (verdict.status is not Status.WRONG)
    assert Finding.of_record(finding.record) == finding


@pytest.mark.parametrize(
    ("ahead", "within", "status"),
    [
        (0.0, 0.0, Status.OK),
        (2.0, 0.0, Status.OK),
        (2.01, 0.0, Status.WARNING),
        (-2.01, 0.0, Status.WARNING),
        (2.5, 0.6, Status.OK),  # the answer took so long that it may be right
        (30.0, 0.0, Status.WARNING),
        (30.01, 0.0, Status.WRONG),
        (-3600.0, 0.0, Status.WRONG),
    ],
)
def test_a_clock_is_judged_by_what_is_certain(ahead: float, within: float, status: Status) -> None:
    verdict = clock("its clock", ahead, within)
    assert verdict.status is status
    assert bool(verdict.advice) is (status is not Status.OK)
