"""One account that wants a thousand changes at once, on one host, beside neighbours who want one each.

By REST, since the API too has to take turns; at the default rate of mails, which is the narrowest place. The
thousand are asked for by a process of their own (`bench.burst`): their client would hold up its neighbours.
"""

import asyncio
from collections.abc import Sequence

from sqlalchemy import update

from bench.burst import Burst, Waited, change
from bench.completeness import check_complete
from bench.customers import Rest, Wish, rest_client, wish
from bench.figures import Result
from bench.run import Bench
from bench.system import System
from changeover.storage.tables import services

_EVERY_SECONDS = 0.5
_HEAD_START_SECONDS = 1.0


async def run(bench: Bench, database: str) -> Result:
    """Let neighbours come one by one, alone and then beside a burst, in every round."""
    result = Result("fairness", database)
    burst, neighbours, warm_up = bench.size((1_000, 40, 10), (24, 3, 1))
    changes = 0
    async with (
        bench.system(database, mails_per_second="10") as system,
        rest_client(system.api_url, system.api_key) as client,
    ):
        way = Rest(client)
        await _one_by_one(system, way, await _neighbours(system, warm_up))
        for number in range(1, bench.rounds + 1):
            alone = await _one_by_one(system, way, await _neighbours(system, neighbours))
            many = await _of_one_account(system, burst)
            own = asyncio.create_task(many.whole(system.sink.code))
            await asyncio.sleep(_HEAD_START_SECONDS)
            beside = await _one_by_one(system, way, await _neighbours(system, neighbours))
            result.add("the burst was over before the neighbours", "count", float(own.done()))
            for name, waited in (
                ("beside none", alone),
                ("beside the burst", beside),
                ("the burst", await own),
            ):
                result.add_steps(name, waited, "quote", "request", "mail", "code")
            changes += burst + 2 * neighbours
            await system.sink.has(2 * (warm_up + changes))  # the next round finds nothing of this one
            bench.say(f"round {number} of {bench.rounds}")
        await check_complete(system, result, completed=warm_up + changes)
    return result


async def _neighbours(system: System, count: int) -> list[Wish]:
    return [wish(customer) for customer in await system.customers(count)]


async def _of_one_account(system: System, count: int) -> Burst:
    """Make services of one account, each with a server to destroy, and the process that asks for them."""
    customers = await system.customers(count, servers=2, marked=1)
    account_id = customers[0].account_id
    theirs = [customer.service_id for customer in customers]
    for first in range(0, count, 500):
        moved = update(services).where(services.c.id.in_(theirs[first : first + 500]))
        await system.database.write(
            lambda connection, it=moved: connection.execute(it.values(account_id=account_id))  # type: ignore[misc]
        )
    return await Burst.of(customers, account_id, system.api_url, system.api_key)


async def _one_by_one(system: System, way: Rest, wishes: Sequence[Wish]) -> list[Waited]:
    """Start a change every half second, however long the others take."""
    jobs = []
    for one in wishes:
        jobs.append(asyncio.create_task(change(way, one, system.sink.code)))
        await asyncio.sleep(_EVERY_SECONDS)
    return list(await asyncio.gather(*jobs))
