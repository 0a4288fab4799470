"""A small soak in each CI run; a large one is `python -m tests.faults.soak` (docs/faults.md)."""

from tests.faults.checker import HELD, NOT_HELD
from tests.faults.soak.course import Orders, Soak
from tests.faults.system import SQLITE, running_system

SLOW = frozenset({"run terminated", "worker frozen"})
"""What is made good only after a minute, or after heartbeats that stay away."""
ORDERS = Orders(stories=12, concurrency=12, kill_every=1.0, seed=3, at_most=8, without=SLOW)


async def test_every_story_comes_to_an_end_while_parts_die() -> None:
    async with running_system(SQLITE) as system:
        result = await Soak(system, ORDERS, print).run()
    assert result.broken == []
    assert not [it.invariant for it in result.findings if it.verdict == NOT_HELD]
    assert "I11" in {it.invariant for it in result.findings if it.verdict == HELD}, "some services expire"
    assert result.begun == ORDERS.stories
    assert result.ends["completed"] > 0
    assert result.faults.total() > 0
