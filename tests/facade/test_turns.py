"""An account that asks for much at once waits for itself, and nobody waits for it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from changeover.domain.catalogue import Configuration
from changeover.domain.problems import EngineUnavailable, NotFound
from changeover.settings import Settings
from changeover.storage.database import Database
from starter.plan_changes import PlanChanges
from starter.turns import MOST_AT_ONCE, Turns
from tests.storage.rows import load_catalogue

PATIENT = timedelta(minutes=1)


class Calls:
    """Calls that go on until they are let go."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._go = asyncio.Event()
        self.under_way: list[str] = []

    async def make(self, account_id: str) -> None:
        async with self._turns.of(account_id):
            self.under_way.append(account_id)
            await self._go.wait()

    def let_go(self) -> None:
        self._go.set()


async def settled() -> None:
    """Let everything run that can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_of_one_account_a_few_calls_are_under_way_and_another_account_s_is_at_once() -> None:
    turns = Turns(PATIENT)
    calls = Calls(turns)
    many = [asyncio.create_task(calls.make("many")) for _ in range(5 * MOST_AT_ONCE)]
    await settled()
    one = asyncio.create_task(calls.make("one"))
    await settled()
    assert calls.under_way == ["many"] * MOST_AT_ONCE + ["one"]
    calls.let_go()
    await asyncio.gather(*many, one)
    assert len(calls.under_way) == 5 * MOST_AT_ONCE + 1


async def test_who_waits_too_long_is_told_to_come_again_and_what_is_under_way_goes_on() -> None:
    turns = Turns(timedelta(milliseconds=50))
    calls = Calls(turns)
    under_way = [asyncio.create_task(calls.make("many")) for _ in range(MOST_AT_ONCE)]
    await settled()
    with pytest.raises(EngineUnavailable):
        await calls.make("many")
    calls.let_go()
    await asyncio.gather(*under_way)
    await calls.make("many")  # the turn that was not had was not lost either


async def test_a_call_that_fails_or_is_given_up_passes_its_turn_on_and_a_quiet_account_is_forgotten() -> None:
    turns = Turns(PATIENT)
    calls = Calls(turns)
    tasks = [asyncio.create_task(calls.make("many")) for _ in range(2 * MOST_AT_ONCE)]
    await settled()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for _ in range(MOST_AT_ONCE + 1):
        with pytest.raises(ValueError, match="failed"):
            async with turns.of("many"):
                raise ValueError("failed")
    assert not turns._queues


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings with which nobody who waits for a turn is sent away, however slow the machine."""
    return settings.model_copy(update={"engine_timeout_seconds": PATIENT.total_seconds()})


WANTED = Configuration.of("game", 20, (), 1)
LOOKS: dict[str, Callable[[PlanChanges, str], Coroutine[Any, Any, Any]]] = {
    "quote": lambda plans, account_id: plans.quote(account_id, str(uuid4()), WANTED),
    "services": lambda plans, account_id: plans.services(account_id),
    "service": lambda plans, account_id: plans.service(account_id, str(uuid4())),
    "offers": lambda plans, account_id: plans.offers(account_id, str(uuid4())),
    "status": lambda plans, account_id: plans.status(account_id, str(uuid4())),
    "history": lambda plans, account_id: plans.history(account_id, str(uuid4())),
    "watch": lambda plans, account_id: anext(plans.watch(account_id, str(uuid4()))),
}


@pytest.mark.parametrize("look", LOOKS)
async def test_what_one_account_looks_at_again_and_again_holds_up_nobody_elses_look(
    facade: PlanChanges, database: Database, monkeypatch: pytest.MonkeyPatch, look: str
) -> None:
    await load_catalogue(database)
    looking, enough, read = 0, asyncio.Event(), facade.database.read

    @asynccontextmanager
    async def slow_read() -> AsyncIterator[Any]:
        nonlocal looking
        looking += 1
        await enough.wait()
        async with read() as connection:
            yield connection

    monkeypatch.setattr(facade.database, "read", slow_read)
    many = [asyncio.create_task(LOOKS[look](facade, "many")) for _ in range(5 * MOST_AT_ONCE)]
    await settled()
    one = asyncio.create_task(LOOKS[look](facade, "one"))
    await settled()
    assert looking == MOST_AT_ONCE + 1
    enough.set()
    answers = await asyncio.gather(*many, one, return_exceptions=True)
    assert all(isinstance(answer, NotFound | list) for answer in answers), answers
