"""An account that asks for much at once waits for itself, and nobody waits for it."""

import asyncio
from datetime import timedelta

import pytest

from changeover.domain.problems import EngineUnavailable
from starter.turns import MOST_AT_ONCE, Turns

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
