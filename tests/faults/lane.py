"""An API and a worker beside the system's, on a task queue that nobody else serves.

Whoever kills the worker of one lane disturbs no other: several customers can be struck side by side.
"""

from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from starter.embedded.processes import Part
from tests.faults.system import PATIENCE, FaultySystem, free_port, kill


class Lane:
    """A lane of a running system, from `async with` on; database, Temporal and hosts are the system's."""

    def __init__(self, system: FaultySystem, number: int) -> None:
        self._system = system
        self._port = free_port()
        self._queue: dict[str, Any] = {"CHANGEOVER_TASK_QUEUE": f"lane-{number}"}
        self._api: Part | None = None
        self._worker: Part | None = None

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        self._api = await self._system.launch_api(self._port, **self._queue)
        await self._api.first_line(PATIENCE)
        self._worker = await self._system.start_worker(**self._queue)
        return self

    async def restart_worker(self) -> None:
        """SIGKILL to the lane's worker, and another one."""
        await self._kill_worker()
        self._worker = await self._system.start_worker(**self._queue)

    async def _kill_worker(self) -> None:
        assert self._worker is not None
        await kill(self._worker)
        with suppress(ValueError):
            self._system.workers.remove(self._worker)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._worker is not None:
            await self._kill_worker()
        if self._api is not None:
            await kill(self._api)
