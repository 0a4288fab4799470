"""Heartbeats: a worker that is gone is noticed in seconds, and the UI shows what is being done.

The first is due after some seconds: most activities are done by then, and each heartbeat is a call to the
server (and an action that Temporal Cloud bills).
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from temporalio import activity

_EVERY_SECONDS = 4.0


@asynccontextmanager
async def heartbeating() -> AsyncIterator[Callable[..., None]]:
    """Send heartbeats while the body runs. The callable given says what is being done, to the next one.

    What it is given beside is for the next attempt, if this one fails.
    """
    doing: tuple[object, ...] = ("",)

    def say(what: str, *known: object) -> None:
        nonlocal doing
        doing = (what, *known)

    async def beat() -> None:
        while True:
            await asyncio.sleep(_EVERY_SECONDS)
            activity.heartbeat(*doing)

    beating = asyncio.create_task(beat())
    try:
        yield say
    finally:
        beating.cancel()
        with suppress(asyncio.CancelledError):
            await beating
