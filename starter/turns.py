"""Whose turn it is in this process: an account that asks for much at once waits for itself.

Temporal hands out what is queued in turns (`workflows.fairness`); what is under way is beyond that. So an
account gets no more under way than a few calls, and the rest of its calls wait here, holding nothing.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from changeover.domain.problems import EngineUnavailable

MOST_AT_ONCE: Final = 4
"""Calls of one account under way in one process; as many again that only look."""

RETRY_AFTER: Final = timedelta(seconds=5)


@dataclass
class _Queue:
    turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MOST_AT_ONCE))
    calls: int = 0


class Turns:
    """The calls of each account, in the order in which they came; none waits longer than `patience`."""

    def __init__(self, patience: timedelta) -> None:
        self._patience = patience.total_seconds()
        self._queues: dict[str, _Queue] = {}

    @asynccontextmanager
    async def of(self, account_id: str) -> AsyncIterator[None]:
        """Wait for a turn of the account, and keep it for the block. Raises `EngineUnavailable` instead."""
        queue = self._queues.setdefault(account_id, _Queue())
        queue.calls += 1
        try:
            await self._take(queue.turn)
            try:
                yield
            finally:
                queue.turn.release()
        finally:
            queue.calls -= 1
            if not queue.calls:  # an account that is quiet costs nothing
                del self._queues[account_id]

    async def _take(self, turn: asyncio.Semaphore) -> None:
        try:
            async with asyncio.timeout(self._patience):
                await turn.acquire()
        except TimeoutError:
            late = True
        else:
            late = False
        if late:
            raise EngineUnavailable(retry_after=int(RETRY_AFTER.total_seconds()))
