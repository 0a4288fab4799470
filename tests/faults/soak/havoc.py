"""Random faults every few seconds, and a supervisor that starts again what died."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random

from temporalio.service import RPCError

from changeover.failpoints import NAMES
from starter.embedded.processes import Part, ProcessFailed
from tests.faults.postgresql import no_writes
from tests.faults.system import FaultySystem, TooLate, freeze, kill, thaw
from tests.mail.servers import DROP

WORKERS = 2
_KILLING = [name for name in NAMES if name not in {"api.asked", "transaction.before", "transaction.after"}]
"""Failpoints of a worker at which it dies once; those of every transaction would never let it start."""


class Havoc:
    """Begins a fault at once, then one about every `every` seconds; dice choose its kind and its victim."""

    def __init__(self, system: FaultySystem, dice: Random, every: float) -> None:
        self._system = system
        self._dice = dice
        self._every = every
        self._busy: set[str] = set()
        self._faults: set[asyncio.Task[None]] = set()
        self.done: Counter[str] = Counter()
        self.running_changes: Callable[[], Awaitable[list[str]]] | None = None
        self._kinds: dict[str, tuple[str, Callable[[], Awaitable[None]]]] = {
            "worker killed": ("worker", self._kill_a_worker),
            "worker killed at a failpoint": ("worker", self._arm_a_worker),
            "worker frozen": ("worker", self._freeze_a_worker),
            "API killed": ("api", self._kill_api),
            "API frozen": ("api", self._freeze_api),
            "Temporal killed": ("temporal", self._kill_temporal),
            "mail server refuses": ("mail", self._refuse_mail),
            "mail server's answers lost": ("mail", self._lose_mail_answers),
            "hosts away": ("hosts", self._hide_hosts),
            "run terminated": ("run", self._terminate_a_run),
        }
        if system.postgres is not None:
            self._kinds["PostgreSQL stopped at once"] = ("postgres", self._stop_postgres)
            self._kinds["PostgreSQL's connections cut"] = ("postgres", self._cut_connections)
            self._kinds["PostgreSQL takes no writes"] = ("postgres", self._take_writes_away)

    def leave_out(self, kinds: frozenset[str]) -> None:
        """Do without these faults."""
        self._kinds = {kind: fault for kind, fault in self._kinds.items() if kind not in kinds}

    async def run(self, seconds: float) -> None:
        """Strike for so long, supervise until cancelled; then wait until every fault has been taken back."""
        strike_until = time.monotonic() + seconds
        keepers = [asyncio.create_task(keep()) for keep in (self._keep_workers, self._keep_api)]
        try:
            while True:
                if time.monotonic() < strike_until:
                    self._strike()
                await asyncio.sleep(self._every * self._dice.uniform(0.5, 1.5))
                for ended in [keeper for keeper in keepers if keeper.done()]:
                    await ended  # a supervisor without an end has failed: nothing would be started again
        finally:
            await asyncio.gather(*self._faults)
            for keeper in keepers:
                keeper.cancel()
            await asyncio.gather(*keepers, return_exceptions=True)

    def _strike(self) -> None:
        kind = self._dice.choice(list(self._kinds))
        victim, fault = self._kinds[kind]
        if victim in self._busy:
            return
        self._busy.add(victim)
        task = asyncio.create_task(self._strike_with(kind, victim, fault))
        self._faults.add(task)
        task.add_done_callback(self._faults.discard)

    async def _strike_with(self, kind: str, victim: str, fault: Callable[[], Awaitable[None]]) -> None:
        try:
            await fault()
            self.done[kind] += 1
        except _NobodyToStrike:
            pass
        finally:
            self._busy.discard(victim)

    async def _for_a_while(self, most: float) -> None:
        await asyncio.sleep(self._dice.uniform(0.2, most))

    # The faults. Each takes itself back, or leaves that to the supervisor.

    def _a_worker(self) -> Part:
        alive = [worker for worker in self._system.workers if worker.runs]
        if not alive:
            raise _NobodyToStrike
        return self._dice.choice(alive)

    async def _kill_a_worker(self) -> None:
        await kill(self._a_worker())

    async def _arm_a_worker(self) -> None:
        """Replace a worker by one that dies by itself at a random moment of a change."""
        victim = self._a_worker()
        failpoint = f"{self._dice.choice(_KILLING)}=kill@{self._dice.randint(1, 3)}"
        self._system.workers.remove(victim)
        await kill(victim)
        with suppress(TooLate):
            await self._system.start_worker(failpoint)

    async def _freeze_a_worker(self) -> None:
        victim = self._a_worker()
        await self._frozen(victim, 20)

    async def _frozen(self, victim: Part, most: float) -> None:
        freeze(victim)
        try:
            await self._for_a_while(most)
        finally:
            if victim.runs:
                thaw(victim)

    async def _kill_api(self) -> None:
        if self._system.api is None or not self._system.api.runs:
            raise _NobodyToStrike
        await kill(self._system.api)

    async def _freeze_api(self) -> None:
        if self._system.api is None or not self._system.api.runs:
            raise _NobodyToStrike
        await self._frozen(self._system.api, 5)

    async def _kill_temporal(self) -> None:
        await self._system.kill_temporal()
        await self._for_a_while(3)
        await self._system.start_temporal()

    async def _refuse_mail(self) -> None:
        self._system.post.answers["RCPT"] = ["450 not now"] * 10_000
        await self._for_a_while(10)
        self._system.post.heal()

    async def _lose_mail_answers(self) -> None:
        self._system.post.answers["DATA"] = [DROP] * self._dice.randint(1, 5)
        await self._for_a_while(10)
        self._system.post.heal()

    async def _hide_hosts(self) -> None:
        away = self._system.host_dir.with_name("hosts-away")
        self._system.host_dir.rename(away)
        try:
            await self._for_a_while(10)
        finally:
            away.rename(self._system.host_dir)

    async def _terminate_a_run(self) -> None:
        """Do what an operator must never do."""
        assert self.running_changes is not None
        running = await self.running_changes()
        if not running:
            raise _NobodyToStrike
        handle = (await self._system.client()).get_workflow_handle(self._dice.choice(running))
        try:
            await asyncio.wait_for(handle.terminate("a soak"), 5)
        except (RPCError, TimeoutError):
            raise _NobodyToStrike from None

    async def _stop_postgres(self) -> None:
        assert self._system.postgres is not None
        await asyncio.to_thread(self._system.postgres.stop_immediately)
        await self._for_a_while(3)
        await asyncio.to_thread(self._system.postgres.start)

    async def _cut_connections(self) -> None:
        assert self._system.proxy is not None
        self._system.proxy.reset()

    async def _take_writes_away(self) -> None:
        async with no_writes(self._system):
            await self._for_a_while(5)

    # The supervisor.

    async def _keep_workers(self) -> None:
        """Start workers until there are enough; one that can't serve is started again."""
        system = self._system
        while True:
            await asyncio.sleep(0.5)
            for dead in [worker for worker in system.workers if not worker.runs]:
                system.workers.remove(dead)
            if len(system.workers) < WORKERS and "worker" not in self._busy:
                try:
                    await system.start_worker()
                except TooLate:
                    await kill(system.workers.pop())

    async def _keep_api(self) -> None:
        system = self._system
        while True:
            await asyncio.sleep(0.5)
            if system.api is None or not system.api.runs:
                try:
                    await system.start_api()
                except ProcessFailed:
                    await system.kill_api()


class _NobodyToStrike(Exception):
    """The fault had no victim at this moment."""
