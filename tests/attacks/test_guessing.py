"""Guessing a code: what is judged is bounded by the database, whatever asks at once, and from where."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest

from changeover.domain.confirmation import ALPHABET, LENGTH, CodePolicy
from changeover.settings import WorkerSettings
from starter.panel.sessions import LIFETIME
from tests.faults.scenarios.common import asked
from tests.faults.story import WRONG, Story, problem
from tests.faults.system import POSTGRESQL, SQLITE, running_system
from tests.starter.api.conftest import api_process
from tests.support.postgres import binaries_or_skip

CODES = len(ALPHABET) ** LENGTH
EACH = 16


@pytest.fixture(params=[SQLITE, POSTGRESQL])
async def story(request: pytest.FixtureRequest) -> AsyncIterator[Story]:
    if request.param == POSTGRESQL:
        binaries_or_skip()
    async with running_system(request.param) as system:
        told = Story(system)
        yield told
        await told.close()


async def test_two_api_processes_guess_at_one_change_and_its_resent_code(story: Story) -> None:
    alice, change_id, code = await asked(story)
    path = f"/v1/plan-changes/{change_id}/code"
    headers = {"Authorization": f"Bearer {story.system.api_key}", "X-Account-Id": alice.account_id}
    with api_process(story.system.environ()) as (second, _):
        limits = httpx.Limits(max_connections=200)
        async with httpx.AsyncClient(headers=headers, timeout=60, limits=limits) as http:

            async def guess(guesses: list[str]) -> Counter[str]:
                calls = [
                    http.post(url + path, json={"code": it})
                    for number, it in enumerate(guesses)
                    for url in ((story.system.api_url, second)[number % 2],)
                ]
                return Counter(problem(answer) for answer in await asyncio.gather(*calls))

            first = await guess(WRONG[:EACH])
            assert first["422 code-wrong"] <= 5
            row = await story.row(change_id)
            assert row is not None
            assert (row["wrong_on_code"], row["wrong_on_change"], row["stage"]) == (5, 5, "awaiting_code")
            locked = await http.post(second + path, json={"code": code})
            assert problem(locked) == "429 code-locked", "void for the right code as well"
            await story.forward(alice, timedelta(seconds=61))
            assert (await alice.resend(change_id)).status_code == 202
            await alice.code(change_id, 2)
            again = await guess(WRONG[EACH : 2 * EACH])
            assert again["422 code-wrong"] <= 5
            row = await story.reaches(change_id, "abandoned")
            assert (row["wrong_on_change"], row["reason"]) == (10, "too-many-tries")
            closed = await http.post(second + path, json={"code": await alice.code(change_id, 2)})
            assert problem(closed) == "409 change-closed"


def test_the_figures_of_the_threat_model_are_those_of_the_code() -> None:
    """docs/threat-model.md, "Guessing": the chances that are written there."""
    policy = CodePolicy()
    assert CODES == 25_600_000_000
    per_change = policy.tries_per_change / CODES
    assert per_change < 4e-10
    assert timedelta(hours=8) == LIFETIME
    mails_per_second = WorkerSettings.model_fields["mails_per_second"].default
    a_second = mails_per_second * policy.tries_per_code
    assert a_second == 50
    assert a_second * LIFETIME.total_seconds() / CODES < 6e-5
