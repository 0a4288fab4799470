"""Whole changes beside the floor, one at a time and many at once."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from bench.completeness import check_complete
from bench.customers import Rest, Times, drive, rest_client
from bench.figures import Result
from bench.run import Bench
from bench.scenarios.kinds import AFTER_A_PAUSE, BY_REST, FLOOR, PLAIN, VARIANTS, Job, Kinds
from bench.usage import Group, used

PLAIN_BY_REST = f"{PLAIN}{BY_REST}"
TYPED = f"one server{AFTER_A_PAUSE}"
"""For the code on a run at rest, as a bare update's is; without a pause it meets the end of the mail."""

_TURNS = 8
"""One at a time, a round goes so often through all kinds: 40 empty workflows in a row are over in half a
second, and one bad second would make or break the ratio of the round."""

_MANY = {10: 200, 16: 400, 50: 600, 200: 200}
"""Changes of a kind in a round, by how many are made at once: one or two must not decide a p99 that is judged
against its own p50. In the first wave everybody asks at the same moment; what comes after is told apart."""

_EMPTY_TIMES = 4
"""So many times as many empty workflows at once as changes, which take about as many times as long: a p99 of
as long a while, and the CPU of what runs without any workflow too weighs as little."""

_LATER_SECONDS = 11
"""Temporal looks at each workflow task once more when the time it could have taken (10 s) is over. That is a
part of what a change costs it, and must not fall into the next kind's time."""


async def run(bench: Bench, database: str) -> Result:
    """Measure the kinds side by side, in every round: a slow minute slows all of them."""
    result = Result("change", database)
    async with bench.system(database) as system, rest_client(system.api_url, system.api_key) as client:
        kinds = Kinds(system, Rest(client))
        await kinds.look_at_histories(result)
        one_at_a_time = [*FLOOR, *VARIANTS, TYPED, PLAIN_BY_REST]
        await _measure(
            bench, kinds, result, dict.fromkeys(one_at_a_time, bench.size(10 * _TURNS, 2)), at_once=1
        )
        for number in bench.rounds_with_warm_up():
            await kinds.look_at_times(result if number else Result("warm-up", database), bench.size(40, 1))
            bench.say(f"step by step: round {number} of {bench.rounds}")
        for at_once, count in bench.size(_MANY, {4: 8}).items():
            counts = dict.fromkeys(["empty", "empty shape", PLAIN, PLAIN_BY_REST], count)
            counts["empty"] *= _EMPTY_TIMES
            await _measure(bench, kinds, result, counts, at_once=at_once)
        for part, megabytes in system.our_processes.memory().items():
            result.add(f"memory of {part} at the end", "MB", megabytes)
        await check_complete(system, result, completed=kinds.changes)
    return result


@dataclass
class _Measured:
    """What a kind took in a round. CPU is in seconds, by the parts that work for it."""

    parts: Group
    times: list[Times] = field(default_factory=list)
    seconds: float = 0
    cpu: Counter[str] = field(default_factory=Counter)

    async def do(self, jobs: list[Job], at_once: int, later: int) -> None:
        """Do some, and wait for what they leave to be done `later` (seconds)."""
        before = self.parts.cpu()
        times, seconds = await drive(jobs, at_once)
        await asyncio.sleep(later)
        self.times += times
        self.seconds += seconds
        self.cpu.update(used(before, self.parts.cpu()))


async def _measure(
    bench: Bench, kinds: Kinds, result: Result, counts: dict[str, int], *, at_once: int
) -> None:
    """Measure each kind, so many of it in a round, `at_once` at a time."""
    system, turns = kinds.system, _TURNS if at_once == 1 else 1
    # One at a time, there is too little of it to be seen.
    later = bench.size(_LATER_SECONDS, 0) if at_once > 1 else 0
    for number in bench.rounds_with_warm_up():
        measured = {
            kind: _Measured(system.floor_processes if kind in FLOOR else system.our_processes)
            for kind in counts
        }
        jobs = {
            kind: await kinds.jobs(kind, count if number else max(2, at_once // 2))
            for kind, count in counts.items()
        }
        for turn in range(turns):
            for kind, of_kind in measured.items():
                await of_kind.do(jobs[kind][turn::turns], at_once, later if number else 0)
        if number:
            _record(result, measured, at_once)
        bench.say(f"{at_once} at once: round {number} of {bench.rounds}")


def _record(result: Result, measured: dict[str, _Measured], at_once: int) -> None:
    for kind, of_kind in measured.items():
        name = f"one at a time: {kind}" if at_once == 1 else f"{at_once} at once: {kind}"
        times = of_kind.times
        result.add_steps(name, times, "quote", "request", "code", "whole")
        result.add(f"{name}: rate", "/s", len(times) / of_kind.seconds)
        result.add(f"{name}: CPU", "ms", 1000 * of_kind.cpu.total() / len(times))
        for part, seconds in of_kind.cpu.items():
            result.add(f"{name}: CPU of {part}", "ms", 1000 * seconds / len(times))
        if at_once > 1:
            result.add_steps(f"{name}, after the first wave", times[at_once:], "request", "whole")
