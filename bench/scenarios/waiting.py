"""Changes that wait for their code: their weight, new ones beside them, all deadlines at once."""

import asyncio
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial

from sqlalchemy import func, select

from bench.completeness import check_complete
from bench.customers import Facade, Times, change, drive, timed, wish
from bench.figures import Result
from bench.run import Bench
from bench.system import System
from changeover.storage.tables import plan_changes
from starter.seed_many import Customer

_AT_ONCE = 32
_STEP = 1_000
_EVERY_SECONDS = 10
"""How often a new customer comes while all deadlines are due."""


async def run(bench: Bench, database: str) -> Result:
    """Fill up from level to level. There is one round: so many can't be made to wait again and again."""
    result = Result("waiting", database)
    most = min(200, bench.most_waiting) if bench.quick else bench.most_waiting
    levels = [level for level in (1_000, 5_000, 20_000) if level < most] + [most]
    beside = bench.size(40, 4)
    # Long enough that none runs out while others are still started, at 10 a second.
    window = most // 600 + 5
    async with bench.system(database, confirmation_window_minutes=str(window)) as system:
        waiting: list[Customer] = []
        waiting += await _new_beside(system, result, 0, beside)
        at_first = system.our_processes.memory()
        for level in levels:
            while len(waiting) < level:
                waiting += await _fill(system, result, min(_STEP, level - len(waiting)))
                bench.say(f"{len(waiting)} wait")
            await asyncio.sleep(1 if bench.quick else 10)
            for part, megabytes in system.our_processes.memory().items():
                result.add(f"{level} waiting: {part} growth", "MB", megabytes - at_first[part])
            waiting += await _new_beside(system, result, level, beside)
        count = len(waiting)
        await system.sink.has(count)  # all have their code: who has none when the worker stops never gets one
        if bench.quick:
            await _give_up(system, waiting)
            await check_complete(system, result, abandoned=count, mails_each=1)
        else:
            await _stop_until_all_are_due(bench, system)
            began = time.perf_counter()
            newcomers = await _let_all_run_out(system, result, count, began)
            await check_complete(system, result, completed=newcomers, abandoned=count)
            result.add("deadlines, until the last mail", "/s", count / (system.sink.last_at - began))
    return result


async def _request(system: System, customer: Customer) -> str:
    way, one = Facade(system.plans), wish(customer)
    return await way.request(one, await way.quote(one))


async def _fill(system: System, result: Result, count: int) -> list[Customer]:
    customers = await system.customers(count, files=False)
    _, seconds = await drive([partial(_request, system, customer) for customer in customers], _AT_ONCE)
    result.add("started", "/s", count / seconds)  # the rounds of this series are the thousands
    return customers


async def _new_beside(system: System, result: Result, level: int, count: int) -> list[Customer]:
    """Start some changes, one at a time, as new customers beside `level` waiting ones."""
    customers = await system.customers(count, files=False)
    way = Facade(system.plans)
    seconds = []
    for customer in customers:
        digest = await way.quote(wish(customer))
        _, taken = await timed(way.request(wish(customer), digest))
        seconds.append(taken)
    result.add_times(f"{level} waiting: new request", seconds)
    return customers


async def _give_up(system: System, waiting: list[Customer]) -> None:
    """Have every customer cancel: the quick end."""

    async def cancel(customer: Customer) -> None:
        (change,) = await system.plans.history(customer.account_id, customer.service_id)
        await system.plans.cancel(customer.account_id, change.id)

    await drive([partial(cancel, customer) for customer in waiting], _AT_ONCE)


async def _stop_until_all_are_due(bench: Bench, system: System) -> None:
    """Stop the worker until the last deadline is over."""
    async with system.database.read() as connection:
        last = (await connection.execute(select(func.max(plan_changes.c.window_ends_at)))).scalar_one()
    await system.run_workers(0)
    while (left := last + timedelta(seconds=2) - datetime.now(UTC)) > timedelta():
        bench.say(f"all deadlines are over in {left.total_seconds():.0f} s")
        await asyncio.sleep(min(60.0, left.total_seconds()))


async def _let_all_run_out(system: System, result: Result, count: int, began: float) -> int:
    """Start the worker; `count` changes are due. Return how many new customers came meanwhile."""
    over = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        coming = group.create_task(_come_until(over, system))
        await system.run_workers(1)
        while await _abandoned(system) < count:  # noqa: ASYNC110 - another process's work
            await asyncio.sleep(0.5)
        result.add("all deadlines at once", "/s", count / (time.perf_counter() - began))
        over.set()
    newcomers = coming.result()
    result.add_steps("beside all deadlines", newcomers, "request", "code", "whole")
    return len(newcomers)


async def _come_until(over: asyncio.Event, system: System) -> list[Times]:
    """Have a new customer come every few seconds, who makes a whole change, however long it takes."""
    way = Facade(system.plans)
    async with asyncio.TaskGroup() as group:
        changes = []
        while not over.is_set():
            (customer,) = await system.customers(1)
            changes.append(group.create_task(change(system, way, wish(customer))))
            with suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), _EVERY_SECONDS)
    return [one.result() for one in changes]


async def _abandoned(system: System) -> int:
    query = select(func.count()).select_from(plan_changes).where(plan_changes.c.stage == "abandoned")
    async with system.database.read() as connection:
        return int((await connection.execute(query)).scalar_one())
