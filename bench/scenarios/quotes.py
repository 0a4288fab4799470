"""Quotes and pages through one API process, beside few services in the database and beside many."""

import random
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx

from bench.customers import Rest, drive, rest_client
from bench.figures import Result
from bench.pages import PAGES, look
from bench.past import add_past_changes
from bench.run import Bench, folder
from bench.system import environment, fill_pool, start_api
from bench.usage import Group, used
from changeover.storage.database import Database
from starter.embedded.processes import Part
from starter.seed_many import Customer, seed_many
from starter.setup import new_api_key, prepare

_AT_ONCE = 8
_NOBODY = 9  # no Temporal: what is only read doesn't need it


@dataclass
class Shelf:
    """An API over a database with so many services."""

    services: int
    api: Part
    client: httpx.AsyncClient

    def jobs(self, what: str, count: int) -> list[Callable[[], Awaitable[float]]]:
        """Return jobs for customers drawn at random, the same in every run; they return their seconds."""
        draw = random.Random(f"{what}/{self.services}")  # noqa: S311 - a sample, not a secret
        rest = Rest(self.client)
        return [look(rest, what, Customer(number=draw.randint(1, self.services))) for _ in range(count)]


@dataclass
class Asked:
    """What one shelf was asked in the turns of a round: the seconds of each answer, of all, and of CPU."""

    times: list[float] = field(default_factory=list)
    seconds: float = 0
    cpu: float = 0

    def add(self, times: list[float], seconds: float, cpu: float) -> None:
        self.times += times
        self.seconds += seconds
        self.cpu += cpu

    def record(self, result: Result, name: str) -> None:
        result.add_times(name, self.times)
        result.add(f"{name}: rate", "/s", len(self.times) / self.seconds)
        result.add(f"{name}: CPU of api", "ms", 1000 * self.cpu / len(self.times))


async def run(bench: Bench, database: str) -> Result:
    result = Result("quotes", database)
    async with AsyncExitStack() as stack:
        path = stack.enter_context(folder())
        shelves = []
        for services in bench.size((1_000, 100_000), (100, 1_000)):
            bench.say(f"making {services} services")
            shelves.append(await _shelf(bench, stack, path, database, services))
        for number in bench.rounds_with_warm_up():
            for what in ("quote", *PAGES):
                await _measure(result if number else None, shelves, what, _turns(bench, what))
            bench.say(f"round {number} of {bench.rounds}")
    return result


def _turns(bench: Bench, what: str) -> list[int]:
    """Return how much to ask for in each turn. A quote's tail is judged: a slow second must not decide it."""
    return bench.size(10 * [500] if what == "quote" else [400], [20])


async def _measure(result: Result | None, shelves: list[Shelf], what: str, turns: list[int]) -> None:
    """Ask the shelves in turns."""
    asked = [Asked() for _ in shelves]
    for count in turns:
        for shelf, so_far in zip(shelves, asked, strict=True):
            api = Group(api=[shelf.api.process.pid])
            before = api.cpu()
            times, in_all = await drive(shelf.jobs(what, count), _AT_ONCE)
            so_far.add(times, in_all, used(before, api.cpu())["api"])
    if result is None:
        return
    for shelf, all_in_all in zip(shelves, asked, strict=True):
        all_in_all.record(result, f"{shelf.services} services: {what}")


async def _shelf(bench: Bench, stack: AsyncExitStack, path: Path, database: str, services: int) -> Shelf:
    url = bench.database_url(database, path)
    await prepare(url)
    filling = Database(url)
    try:
        now = datetime.now(UTC)
        await seed_many(filling, now, (Customer(number=number) for number in range(1, services + 1)))
        await add_past_changes(filling, now, services)
        await fill_pool(filling, services // 10)
    finally:
        await filling.close()
    await bench.analyse(url)
    environ = environment(path, url, _NOBODY, _NOBODY)
    api, address = await start_api(path / f"api-{services}.log", environ, ["starter.api"])
    stack.push_async_callback(api.stop)
    key = await new_api_key(url, "bench")
    client = await stack.enter_async_context(rest_client(address, key))
    return Shelf(services=services, api=api, client=client)
