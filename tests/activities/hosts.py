"""A real host that does as it is told, but now and then fails, waits, or loses its answer."""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any, TypeVar

from changeover.hosts import Contents, HostError, HostUnavailable, Limits, LocalHost, ServerSpec

T = TypeVar("T")


class TroubledHost:
    """Passes every call on to a local host, and keeps `calls` by name and server.

    `answer_lost` names calls whose effect happens and whose answer doesn't come, once each, by name and how
    often it was called before. `failing` calls never happen. `frozen` ones wait for `thawed` before they do.
    """

    deletion_frees_address = False

    def __init__(self, local: LocalHost) -> None:
        self._local = local
        self.calls: list[tuple[str, str]] = []
        self.answer_lost: set[tuple[str, int]] = set()
        self.failing: dict[tuple[str, str], HostError] = {}
        self.frozen: set[str] = set()
        self.reached = asyncio.Event()
        self.thawed = asyncio.Event()
        self._counts: Counter[str] = Counter()

    async def _pass(self, name: str, server_id: str, call: Coroutine[Any, Any, T]) -> T:
        number = self._counts[name]
        self._counts[name] += 1
        self.calls.append((name, server_id))
        failure = self.failing.get((name, server_id)) or self.failing.get((name, "any"))
        if failure is not None:
            call.close()
            raise failure
        if name in self.frozen:
            self.frozen.discard(name)
            self.reached.set()
            await self.thawed.wait()
        answer = await call
        if (name, number) in self.answer_lost:
            self.answer_lost.discard((name, number))
            raise HostUnavailable("answer-lost", "done, but the answer was lost")
        return answer

    async def find(self, server_id: str) -> Contents | None:
        return await self._pass("find", server_id, self._local.find(server_id))

    async def servers(self) -> list[str]:
        return await self._pass("servers", "any", self._local.servers())

    async def create(self, spec: ServerSpec) -> None:
        await self._pass("create", spec.server_id, self._local.create(spec))

    async def apply_limits(self, server_id: str, limits: Limits) -> None:
        await self._pass("apply_limits", server_id, self._local.apply_limits(server_id, limits))

    async def stop(self, server_id: str) -> None:
        await self._pass("stop", server_id, self._local.stop(server_id))

    async def delete_backup(self, server_id: str, backup_id: str) -> None:
        await self._pass("delete_backup", server_id, self._local.delete_backup(server_id, backup_id))

    async def delete_data(self, server_id: str) -> None:
        await self._pass("delete_data", server_id, self._local.delete_data(server_id))

    async def release_address(self, server_id: str, address: str) -> None:
        await self._pass("release_address", server_id, self._local.release_address(server_id, address))

    async def check(self) -> None:
        await self._local.check()

    @property
    def destructive(self) -> list[str]:
        return [name for name, _ in self.calls if name != "find"]
