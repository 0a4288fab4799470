"""How a stream of events ends when it can't go on."""

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

from changeover.domain.problems import EngineUnavailable
from starter.api.events import Events
from starter.api.metrics import Metrics


class Crowded:
    """A facade in which no turn of this account comes."""

    async def watch(self, account_id: str, change_id: str, after: int) -> AsyncIterator[Any]:
        raise EngineUnavailable(retry_after=5)
        yield SimpleNamespace(account_id=account_id, change_id=change_id, after=after)


async def test_a_stream_whose_turn_does_not_come_ends_and_the_browser_comes_back() -> None:
    events = Events(cast("Any", Crowded()), Metrics())
    assert [event async for event in events._stream("a", "c", 0)] == []
