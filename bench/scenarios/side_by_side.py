"""Kinds side by side: in every round each has its turns, so that a slow minute slows all of them."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from bench.customers import Times, drive
from bench.figures import Result
from bench.run import Bench
from bench.scenarios.kinds import FLOOR, Job, Kinds
from bench.usage import Group, used


@dataclass
class _Measured:
    """What a kind took in a round. CPU is in seconds, by the parts that work for it."""

    parts: Group
    times: list[Times] = field(default_factory=list)
    seconds: float = 0
    cpu: Counter[str] = field(default_factory=Counter)

    async def do(self, jobs: list[Job], at_once: int, *, over: float, later: int) -> None:
        before = self.parts.cpu()
        times, seconds = await drive(jobs, at_once, over=over)
        await asyncio.sleep(later)
        self.times += times
        self.seconds += seconds
        self.cpu.update(used(before, self.parts.cpu()))


async def side_by_side(
    bench: Bench,
    kinds: Kinds,
    result: Result,
    counts: dict[str, int],
    *,
    at_once: int,
    turns: int = 1,
    over: float = 0,
    later: int = 0,
    slowest: bool = False,
) -> None:
    """Measure so many of each kind in a round, `at_once` at a time; a turn begins over `over` seconds.

    With `later`, CPU is noted, too: what a kind leaves to be done within so many seconds is its own. With
    `slowest`, where the slowest answers waited.
    """
    system = kinds.system
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
                await of_kind.do(jobs[kind][turn::turns], at_once, over=over, later=later if number else 0)
        if number:
            for kind, of_kind in measured.items():
                name = f"one at a time: {kind}" if at_once == 1 else f"{at_once} at once: {kind}"
                _record(result, name, of_kind, with_cpu=later > 0)
                if slowest:
                    await kinds.look_at_slowest(result, name, of_kind.times)
        bench.say(f"{at_once} at once: round {number} of {bench.rounds}")


def _record(result: Result, name: str, of_kind: _Measured, *, with_cpu: bool) -> None:
    count = len(of_kind.times)
    result.add_steps(name, of_kind.times, "quote", "request", "code", "whole")
    result.add(f"{name}: rate", "/s", count / of_kind.seconds)
    if with_cpu:
        result.add(f"{name}: CPU", "ms", 1000 * of_kind.cpu.total() / count)
        for part, seconds in of_kind.cpu.items():
            result.add(f"{name}: CPU of {part}", "ms", 1000 * seconds / count)
