"""Whole changes beside the floor, one at a time and many at once."""

import asyncio

from bench.completeness import check_complete
from bench.customers import Rest, Times, drive, rest_client
from bench.figures import Result
from bench.run import Bench
from bench.scenarios.kinds import AFTER_A_PAUSE, BY_REST, FLOOR, PLAIN, VARIANTS, Kinds
from bench.usage import used

PLAIN_BY_REST = f"{PLAIN}{BY_REST}"
TYPED = f"one server{AFTER_A_PAUSE}"
"""For the code on a run at rest, as a bare update's is; without a pause it meets the end of the mail."""

_MANY = {10: 200, 16: 200, 50: 600, 200: 200}
"""Changes of a kind in a round, by how many are made at once: one or two must not decide a p99 that is judged
against its own p50. In the first wave everybody asks at the same moment; what comes after is told apart."""

_LATER_SECONDS = 11
"""Temporal looks at each workflow task once more when the time it could have taken (10 s) is over. That is a
part of what a change costs it, and must not fall into the next kind's time."""


async def run(bench: Bench, database: str) -> Result:
    """Measure each kind after the other, in every round: a slow minute slows all of them."""
    result = Result("change", database)
    async with bench.system(database) as system, rest_client(system.api_url, system.api_key) as client:
        kinds = Kinds(system, Rest(client))
        await kinds.look_at_histories(result)
        await _measure(
            bench,
            kinds,
            result,
            [*FLOOR, *VARIANTS, TYPED, PLAIN_BY_REST],
            at_once=1,
            count=bench.size(40, 2),
        )
        for number in bench.rounds_with_warm_up():
            await kinds.look_at_times(result if number else Result("warm-up", database), bench.size(40, 1))
            bench.say(f"step by step: round {number} of {bench.rounds}")
        for at_once, count in bench.size(_MANY, {4: 8}).items():
            names = ["empty", "empty shape", PLAIN, PLAIN_BY_REST]
            await _measure(bench, kinds, result, names, at_once=at_once, count=count)
        for part, megabytes in system.our_processes.memory().items():
            result.add(f"memory of {part} at the end", "MB", megabytes)
        await check_complete(system, result, completed=kinds.changes)
    return result


async def _measure(
    bench: Bench, kinds: Kinds, result: Result, names: list[str], *, at_once: int, count: int
) -> None:
    for number in bench.rounds_with_warm_up():
        for kind in names:
            jobs = await kinds.jobs(kind, count if number else max(2, at_once // 2))
            system = kinds.system
            processes = system.floor_processes if kind in FLOOR else system.our_processes
            before = processes.cpu()
            times, seconds = await drive(jobs, at_once)
            if number:
                if at_once > 1:  # one at a time, there is too little of it to be seen
                    await asyncio.sleep(bench.size(_LATER_SECONDS, 0))
                name = f"one at a time: {kind}" if at_once == 1 else f"{at_once} at once: {kind}"
                _record(result, name, times, len(times) / seconds, used(before, processes.cpu()))
                if at_once > 1:
                    result.add_steps(f"{name}, after the first wave", times[at_once:], "request", "whole")
        bench.say(f"{at_once} at once: round {number} of {bench.rounds}")


def _record(result: Result, name: str, times: list[Times], rate: float, cpu: dict[str, float]) -> None:
    result.add_steps(name, times, "quote", "request", "code", "whole")
    result.add(f"{name}: rate", "/s", rate)
    result.add(f"{name}: CPU", "ms", 1000 * sum(cpu.values()) / len(times))
    for part, seconds in cpu.items():
        result.add(f"{name}: CPU of {part}", "ms", 1000 * seconds / len(times))
