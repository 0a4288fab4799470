"""Faults that may come at any stage: Temporal's death, wrong clocks, changed code, curious eyes."""

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

from tests.faults.matrix import scenario
from tests.faults.scenarios.common import SMALLER, asked, completes, with_a_pass
from tests.faults.story import WRONG, Story, problem
from tests.faults.system import SQLITE, eventually

ROOT = Path(__file__).parents[3]
PARIS = ZoneInfo("Europe/Paris")
TEN_MINUTES = 600
RATE = 5, 4
"""`SMALLER` costs 4800 where it was 6000: what is left lasts 5/4 as long."""


async def _temporal_dies(story: Story) -> None:
    """SIGKILL, and a start from the same file; a worker that gave up is started again, as a host would."""
    await story.system.kill_temporal()
    await asyncio.sleep(1)
    await story.system.start_temporal()
    if not story.system.workers[-1].runs:
        await story.system.restart_worker()


@scenario(33)
async def temporal_killed_while_a_change_waits(story: Story) -> None:
    alice, change_id, code = await asked(story)
    await _temporal_dies(story)
    assert problem(await alice.typed(change_id, WRONG[0])) == "422 code-wrong"
    await _temporal_dies(story)
    await completes(story, alice, change_id, code)


@scenario(33)
async def temporal_killed_during_a_teardown(story: Story) -> None:
    alice, change_id, code = await asked(story)
    await story.system.restart_worker("teardown.stop=sleep:3")
    assert (await alice.typed(change_id, code)).status_code == 200
    await _temporal_dies(story)
    await story.reaches(change_id, "completed")


@scenario(34)
async def changed_code_against_recorded_histories(story: Story) -> None:
    """The stored histories replay, and swapped or left out steps are noticed; so does what runs here."""
    alice, change_id, code = await asked(story)
    replay = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "replays or noticed"),
        "tests/workflows/test_replay.py",
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await replay.communicate()
    assert replay.returncode == 0, said.decode()[-2000:]
    assert b" passed" in said
    await completes(story, alice, change_id, code)


async def _clock_is_off(story: Story, seconds: int) -> None:
    wrapper = "tests.faults.clock", str(seconds)
    await story.system.restart_worker(wrapper=wrapper)
    await story.system.restart_api(wrapper=wrapper)
    alice = await with_a_pass(story)
    change_id = await alice.confirmed(**SMALLER)
    code = await alice.code(change_id)
    row = await story.row(change_id)
    assert row is not None
    now = datetime.now(UTC)
    assert abs(row["as_of"] - now) < timedelta(minutes=2), "T0 is by the server's clock"
    assert abs(row["code_handed_over_at"] - now) < timedelta(minutes=2)
    assert row["code_expires_at"] - row["code_handed_over_at"] == timedelta(minutes=10)
    assert problem(await alice.typed(change_id, WRONG[0])) == "422 code-wrong"
    await completes(story, alice, change_id, code)


@scenario(35)
async def clocks_ten_minutes_fast(story: Story) -> None:
    await _clock_is_off(story, TEN_MINUTES)


@scenario(35)
async def clocks_ten_minutes_slow(story: Story) -> None:
    await _clock_is_off(story, -TEN_MINUTES)


def _changes_of_clocks() -> list[datetime]:
    """Return the next moments at which clocks in Paris are moved, to the hour."""
    hours = [datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=9)]
    hours += [hours[0] + timedelta(hours=it) for it in range(1, 24 * 380)]
    pairs = pairwise(hours)
    return [to for at, to in pairs if at.astimezone(PARIS).utcoffset() != to.astimezone(PARIS).utcoffset()]


@scenario(35, sample=SQLITE)
async def an_expiry_in_the_hour_that_is_moved(story: Story) -> None:
    """The days that are kept end half an hour before and behind each change of clocks."""
    for change_of_clocks in _changes_of_clocks():
        for offset in (timedelta(minutes=-30), timedelta(minutes=30)):
            now = datetime.now(UTC).replace(microsecond=0)
            left = (change_of_clocks + offset - now) * RATE[1] // RATE[0]
            expires_at = now + timedelta(seconds=int(left.total_seconds()))
            alice = await with_a_pass(story, expires_at=expires_at)
            change_id = await alice.confirmed(**SMALLER)
            await completes(story, alice, change_id, await alice.code(change_id))
            row = await story.row(change_id)
            assert row is not None
            assert abs(row["new_expires_at"] - change_of_clocks) < timedelta(minutes=45)
            shown = row["new_expires_at"].astimezone(PARIS).strftime("%H:%M")
            assert shown in alice.mails[0].text, "the customer reads the hour of Paris"


@scenario(36, touches=("I16",), sample=SQLITE)
async def every_text_that_could_tell_a_secret(story: Story) -> None:
    """A mail server that quotes what it was told, tries right and wrong, a refusal, a failing database."""
    alice = await with_a_pass(story)
    story.system.post.answers["RCPT"] = [f"450 4.2.0 <{alice.email}> is busy, so BCDF-GHJK must wait"]
    change_id = await alice.confirmed(**SMALLER)
    code = await alice.code(change_id)
    for guess in (*WRONG[:2], "nonsense", alice.email):
        await alice.typed(change_id, guess)
    story.system.post.answers["DATA"] = [f"554 5.7.1 {alice.email} hates spam"]
    await completes(story, alice, change_id, code)
    bruno = await with_a_pass(story)
    story.system.post.answers["RCPT"] = [f"550 5.1.1 <{bruno.email}> is unknown here"]
    refused = await bruno.confirmed(**SMALLER)
    await story.reaches(refused, "abandoned")

    async def told() -> bool:
        return not await story.is_running(alice.run)

    await eventually(told, "the outcome to be told, or given to a run of its own")
