"""The timeline of a change as server-sent events, resumable by `Last-Event-ID`."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Final

from fastapi import Response
from sqlalchemy.exc import SQLAlchemyError
from sse_starlette import EventSourceResponse, ServerSentEvent

from changeover.domain.lifecycle import CLOSED, Stage
from changeover.domain.problems import EngineUnavailable, NotFound
from changeover.storage.database import condition
from starter.api.change_answers import TimelineAnswer
from starter.api.metrics import Metrics
from starter.plan_changes import PlanChanges
from starter.views import TimelineEntry

_log = logging.getLogger("changeover.api")

HEARTBEAT_SECONDS: Final = 15
LIFETIME_SECONDS: Final = 600
"""A stream ends by itself; the client's EventSource comes back with the last id."""
SLOW_SECONDS: Final = 20
MOST_STREAMS: Final = 500
_RETRY_SECONDS: Final = 5


class Events:
    """The streams of one application."""

    def __init__(
        self, plans: PlanChanges, metrics: Metrics, lifetime_seconds: float = LIFETIME_SECONDS
    ) -> None:
        self._plans = plans
        self._metrics = metrics
        self._lifetime = lifetime_seconds
        self._open = 0

    async def answer(self, account_id: str, change_id: str, after: int) -> Response:
        """Return the stream from behind entry `after` on; 204 when there is no more and never will be.

        204 is what makes an EventSource stop coming back. Raises `NotFound`, and `EngineUnavailable` when
        too many streams are open.
        """
        present = await self._plans.status(account_id, change_id)
        if Stage(present.stage) in CLOSED and all(entry.seq <= after for entry in present.timeline):
            return Response(status_code=204)
        if self._open >= MOST_STREAMS:
            raise EngineUnavailable(retry_after=_RETRY_SECONDS)
        return EventSourceResponse(
            self._stream(account_id, change_id, after),
            ping=HEARTBEAT_SECONDS,
            send_timeout=SLOW_SECONDS,
            sep="\n",
        )

    async def _stream(self, account_id: str, change_id: str, after: int) -> AsyncIterator[ServerSentEvent]:
        ends_at = asyncio.get_running_loop().time() + self._lifetime
        self._open += 1
        self._metrics.streams.set(self._open)
        try:
            async with aclosing(self._plans.watch(account_id, change_id, after)) as entries:
                while entry := await asyncio.wait_for(anext(entries, None), self._left(ends_at)):
                    yield _event(entry)
        except (TimeoutError, NotFound, EngineUnavailable):
            return  # its time is over, the service has expired, its turn doesn't come: coming back tells
        except (SQLAlchemyError, OSError) as error:
            _log.warning("an event stream ended: %s", condition(error))
        finally:
            self._open -= 1
            self._metrics.streams.set(self._open)

    @staticmethod
    def _left(ends_at: float) -> float:
        return max(0.0, ends_at - asyncio.get_running_loop().time())


def _event(entry: TimelineEntry) -> ServerSentEvent:
    told = TimelineAnswer.of(entry).model_dump(mode="json")
    return ServerSentEvent(
        json.dumps(told, ensure_ascii=False), event=entry.event, id=str(entry.seq), sep="\n"
    )
