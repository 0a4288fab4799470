"""The course of a soak: customers act while parts die; all is healed, comes to an end, and is judged."""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

import httpx
from sqlalchemy.exc import SQLAlchemyError
from temporalio.service import RPCError

from changeover.domain.lifecycle import CLOSED
from changeover.settings import Settings
from changeover.storage import tables
from starter.operations import Operations
from tests.faults.checker import NOT_HELD, Finding, judge
from tests.faults.evidence import Evidence
from tests.faults.soak.havoc import WORKERS, Havoc
from tests.faults.soak.visits import Visit, arrive
from tests.faults.story import Customer, Story
from tests.faults.system import FaultySystem, TooLate
from tests.faults.watch import Watch
from tests.storage.rows import add_rows, rows_of
from workflows import ids

PROBED = 25
"""Customers whose things are all asked for by a stranger: 20 calls each."""
_LOOK_SECONDS = 1.0
_WINDOW = timedelta(minutes=61)
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")
_HEALING_SECONDS = 600
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Orders:
    """How large a soak is. After `at_most` seconds no story and no fault begins.

    `kill_every` is in seconds, too; `without` are kinds of faults that are left out.
    """

    stories: int
    concurrency: int
    kill_every: float
    seed: int
    at_most: float
    without: frozenset[str] = frozenset()


@dataclass(kw_only=True)
class Result:
    """What a soak came to. `left` are changes without an end, `troubles` what customers couldn't do."""

    seconds: float = 0.0
    begun: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    healed: Counter[str] = field(default_factory=Counter)
    left: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def broken(self) -> list[str]:
        """What is wrong, in words."""
        found = [f"{it.invariant}: {what}" for it in self.findings for what in it.broken]
        return [*(f"no end: {it}" for it in self.left), *self.troubles, *found]

    @property
    def held(self) -> bool:
        return not self.broken and all(it.verdict != NOT_HELD for it in self.findings)


class Soak:
    """One soak on a system that is its own."""

    def __init__(self, system: FaultySystem, orders: Orders, say: Say) -> None:
        self._system = system
        self._orders = orders
        self._say = say
        self._story = Story(system)
        self._story.watch = Watch(system, every_seconds=_LOOK_SECONDS)
        self._story.http.event_hooks = {"response": [self._count]}
        self._result = Result()

    async def run(self) -> Result:
        began = time.monotonic()
        try:
            await self._prepare()
            await self._act()
            self._say("healing")
            await self._system.heal()
            await self._end()
            await self._judge()
        finally:
            await self._story.close()
        self._result.seconds = time.monotonic() - began
        return self._result

    async def _count(self, answer: httpx.Response) -> None:
        await answer.aread()
        is_problem = answer.headers.get("content-type", "").startswith("application/problem+json")
        name = " " + answer.json()["type"].rpartition("/")[2] if is_problem else ""
        path = _ID.sub("{id}", answer.request.url.path)
        if path.startswith("/v1/"):
            self._result.answers[f"{answer.request.method} {path}: {answer.status_code}{name}"] += 1

    # The stages.

    async def _prepare(self) -> None:
        free = [
            {"address": f"198.18.{number // 250}.{number % 250}:27015", "server_id": None}
            | {"free_from": datetime.now(UTC) - timedelta(days=1), "held": False}
            for number in range(self._orders.stories)
        ]
        await add_rows(self._system.database, tables.addresses, *free)
        for number in range(self._orders.stories):
            await arrive(self._story, Random(f"{self._orders.seed} arrives {number}"))
        while len(self._system.workers) < WORKERS:
            await self._system.start_worker()
        self._say(f"{self._orders.stories} customers have arrived")

    async def _act(self) -> None:
        havoc = Havoc(self._system, Random(f"{self._orders.seed} havoc"), self._orders.kill_every)
        havoc.leave_out(self._orders.without)
        havoc.running_changes = self._running
        striking = asyncio.create_task(havoc.run(self._orders.at_most))
        telling = asyncio.create_task(self._tell(havoc))
        gate = asyncio.Semaphore(self._orders.concurrency)
        give_up_at = time.monotonic() + self._orders.at_most
        try:
            await asyncio.gather(
                *(
                    self._visit(number, customer, gate, give_up_at)
                    for number, customer in enumerate(self._story.customers)
                )
            )
        finally:
            telling.cancel()
            striking.cancel()
            with suppress(asyncio.CancelledError):
                await striking
        self._result.faults = havoc.done

    async def _visit(
        self, number: int, customer: Customer, gate: asyncio.Semaphore, give_up_at: float
    ) -> None:
        async with gate:
            if time.monotonic() > give_up_at:
                return
            self._result.begun += 1
            visit = Visit(self._story, customer, Random(f"{self._orders.seed} visits {number}"))
            try:
                await visit()
            except (TooLate, AssertionError) as error:
                self._result.troubles.append(f"story {number}: {type(error).__name__}: {error}")

    async def _tell(self, havoc: Havoc) -> None:
        while True:
            await asyncio.sleep(10)
            with suppress(SQLAlchemyError, OSError):
                stages = await self._stages()
                told = ", ".join(f"{count} {stage}" for stage, count in sorted(stages.items()))
                self._say(f"{self._result.begun} stories begun, {havoc.done.total()} faults; {told}")

    async def _stages(self) -> Counter[str]:
        changes = await rows_of(self._system.database, tables.plan_changes)
        return Counter(f"{row['stage']} {row['reason'] or ''}".strip() for row in changes)

    async def _open(self) -> list[dict[str, str]]:
        changes = await rows_of(self._system.database, tables.plan_changes)
        return [row for row in changes if row["stage"] not in CLOSED]

    async def _running(self) -> list[str]:
        with suppress(SQLAlchemyError, OSError):
            return [ids.plan_change_workflow_id(row["service_id"]) for row in await self._open()]
        return []

    async def _end(self) -> None:
        """Let windows run out and have the reconciler look, until every change has its end."""
        settings = Settings(database_url=self._system.database_url, proof_key=self._system.proof_key.decode())
        operations = Operations(settings, await self._system.client())
        give_up_at = time.monotonic() + _HEALING_SECONDS
        try:
            while True:
                waiting = {row["service_id"] for row in await self._open() if row["stage"] == "awaiting_code"}
                customers = [it for it in self._story.customers if it.service_id in waiting]
                gate = asyncio.Semaphore(10)
                await asyncio.gather(*(self._run_out(customer, gate) for customer in customers))
                report = await operations.reconcile(dry_run=False)
                for check in report.checks.values():
                    self._result.healed.update(it.kind for it in check.findings if it.healed)
                left = [f"{row['id']} is {row['stage']}" for row in await self._open()]
                running = [it for it in self._story.customers if await self._story.is_running(it.run)]
                left += [f"{it.run} runs" for it in running]
                if not left or time.monotonic() > give_up_at:
                    break
                self._say(f"{len(left)} without an end yet")
                await asyncio.sleep(5)
        finally:
            await operations.close()
        self._result.left = left
        self._result.ends = await self._stages()

    async def _run_out(self, customer: Customer, gate: asyncio.Semaphore) -> None:
        async with gate:
            if await self._story.is_running(customer.run):
                with suppress(TimeoutError, RPCError, RuntimeError):  # it may end by itself
                    await asyncio.wait_for(self._story.forward(customer, _WINDOW), 30)

    async def _judge(self) -> None:
        self._say("judging")
        await self._story.watch.stop()
        self._result.findings = await judge(await Evidence.gather(self._story, probed=PROBED))
