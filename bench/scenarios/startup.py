"""Until anything happens: the command line beside the bare interpreter, and `./run up` until it is ready."""

import asyncio
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.customers import OTHER_SLOTS
from bench.figures import Result
from bench.run import Bench, folder
from bench.system import environment
from changeover.storage.database import Database
from starter.seed_many import Customer, seed_many
from starter.setup import prepare
from tests.e2e.running import Up, free_port_base

_NOBODY = 9  # no Temporal: neither help nor a quote needs it
_ENDED_WELL = "calls that ended well"


async def run(bench: Bench, database: str) -> Result:
    """Measure CPU, which a busy machine slows less than it slows the clock, and the clock beside it."""
    result = Result("startup", database)
    with folder() as path:
        customer = Customer(number=1)
        environ = await _system_of_one(path, customer)
        program = str(Path(sys.executable).with_name("changeover"))
        commands = {
            "interpreter": [sys.executable, "-c", "pass"],
            "help": [program, "--help"],
            "quote": [program, "quote", "--account", customer.account_id, "--slots", str(OTHER_SLOTS)],
        }
        for number in bench.rounds_with_warm_up():
            times = bench.size(7, 2)
            found = await asyncio.to_thread(_side_by_side, commands, environ, times, result)
            if number:
                _record(result, found)
            bench.say(f"command line: round {number} of {bench.rounds}")
        for number in range(1, bench.size(bench.rounds, 1) + 1):
            await asyncio.to_thread(_up, path / f"up-{number}", result)
            bench.say(f"up: round {number} of {bench.rounds}")
    return result


async def _system_of_one(path: Path, customer: Customer) -> dict[str, str]:
    """Make a database with one customer, and return the environment that points at it."""
    url = f"sqlite+aiosqlite:///{path / 'startup.db'}"
    await prepare(url)
    filling = Database(url)
    try:
        await seed_many(filling, datetime.now(UTC), iter([customer]))
    finally:
        await filling.close()
    return environment(path, url, _NOBODY, _NOBODY)


def _side_by_side(
    commands: dict[str, list[str]], environ: dict[str, str], times: int, result: Result
) -> dict[str, tuple[float, float]]:
    """Call one after the other, again and again; return the medians of CPU and clock, in seconds."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for _ in range(times):
        for name, command in commands.items():
            status, *seconds = _call(command, environ)
            result.expect(_ENDED_WELL, int(status == 0), 1)
            taken[name].append((seconds[0], seconds[1]))
    return {
        name: (statistics.median(cpu for cpu, _ in each), statistics.median(clock for _, clock in each))
        for name, each in taken.items()
    }


def _call(command: Sequence[str], environ: dict[str, str]) -> tuple[int, float, float]:
    """Return exit status, CPU seconds and seconds of a program."""
    began = time.perf_counter()
    process = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, used.ru_utime + used.ru_stime, time.perf_counter() - began


def _record(result: Result, found: dict[str, tuple[float, float]]) -> None:
    bare_cpu, bare_clock = found["interpreter"]
    for name, (cpu, clock) in found.items():
        result.add(f"{name}: CPU", "ms", 1000 * cpu)
        result.add(f"{name}: clock", "ms", 1000 * clock)
        if name != "interpreter":
            result.add(f"{name}: CPU above the interpreter", "ms", 1000 * (cpu - bare_cpu))
            result.add(f"{name}: clock above the interpreter", "ms", 1000 * (clock - bare_clock))


def _up(path: Path, result: Result) -> None:
    """Start the embedded system in a new folder until it says `ready`, and once more in the same one."""
    for name in ("first start", "next start"):
        up = Up(path, free_port_base())
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        try:
            up.start()
            result.add(f"up, {name}: ready", "ms", 1000 * (time.perf_counter() - began))
        finally:
            up.end()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        result.add(f"up, {name}: CPU, its end included", "ms", 1000 * cpu)
