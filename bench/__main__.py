"""`./run bench`: measure, show, write."""

import argparse
import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from rich.console import Console

from bench import machine, plots, report
from bench.against import Load, run_against
from bench.figures import Result
from bench.goals import judge_all
from bench.run import Bench, make_durable
from bench.scenarios import BOTH, SCENARIOS
from starter.process import leave, settle
from tests.support.postgres import find_binaries, running_postgres

INCOMPLETE = 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./run bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a little of everything: shows that it runs")
    parser.add_argument(
        "--scenario", action="append", choices=sorted(SCENARIOS), help="only this one; may be repeated"
    )
    parser.add_argument("--database", choices=BOTH, help="only this one (default: both)")
    parser.add_argument("--rounds", type=int, help="rounds, each with all that is compared (default: 5)")
    parser.add_argument(
        "--waiting", type=int, default=20_000, help="most changes that wait (default: %(default)s)"
    )
    parser.add_argument(
        "--show",
        type=Path,
        action="append",
        metavar="JSON",
        help="measure nothing: judge and draw what earlier runs wrote; may be repeated",
    )
    parser.add_argument("--against", metavar="ADDRESS", help="load a Changeover that runs: its API's address")
    parser.add_argument("--key", help="with --against: an API key (or CHANGEOVER_BENCH_KEY)")
    parser.add_argument(
        "--services", type=int, default=100, help="with --against: as many as `changeover seed` made"
    )
    parser.add_argument(
        "--requests", action="store_true", help="with --against: also request changes, and cancel them"
    )
    parser.add_argument("--at-once", type=int, default=8, help="with --against (default: %(default)s)")
    parser.add_argument(
        "--out", type=Path, default=Path("var/bench"), help="folder of the JSON and the plots (%(default)s)"
    )
    return parser


def main() -> NoReturn:
    options = _parser().parse_args()
    console = Console(stderr=False, width=None if sys.stdout.isatty() else 140)
    if options.show:
        _show(options, console)
        leave(0)
    settle()  # whoever measures must not stand still meanwhile
    try:
        work = _against(options, console) if options.against else _run(options, console)
        complete = asyncio.run(work)
    except KeyboardInterrupt:
        leave(130)
    leave(0 if complete else INCOMPLETE)


async def _run(options: argparse.Namespace, console: Console) -> bool:
    found = machine.describe()
    report.show_machine(console, found)
    with contextlib.ExitStack() as stack:
        bench = Bench(
            quick=options.quick,
            rounds=options.rounds or (1 if options.quick else 5),
            say=lambda text: console.print(f"[dim]  {text}[/]"),
            most_waiting=options.waiting,
        )
        databases = [options.database] if options.database else list(BOTH)
        binaries = find_binaries()
        if "postgresql" in databases and binaries is None:
            console.print("[yellow]no PostgreSQL here (apt-get install postgresql): SQLite only[/]")
            databases.remove("postgresql")
        elif "postgresql" in databases and binaries is not None:
            bench.postgres = stack.enter_context(running_postgres(binaries))
            await make_durable(bench.postgres)
        results = await _measure(bench, options.scenario or list(SCENARIOS), databases, console)
    goals = judge_all(results)
    if not options.quick:
        report.show_goals(console, goals)
    _write(options, found, bench, results, console)
    return not any(result.incomplete for result in results)


def _show(options: argparse.Namespace, console: Console) -> None:
    """Put the runs together: a scenario needs its own rounds side by side, not those of another scenario."""
    results = report.read_runs(options.show)
    goals = judge_all(results)
    report.show_goals(console, goals)
    drawn = plots.draw(results, goals, options.out)
    console.print(f"written: {', '.join(map(str, drawn))}")


async def _against(options: argparse.Namespace, console: Console) -> bool:
    key = options.key or os.environ.get("CHANGEOVER_BENCH_KEY")
    if not key:
        console.print("--key is missing: `changeover keys create bench` makes one")
        return False
    load = Load(
        address=options.against,
        key=key,
        services=options.services,
        at_once=options.at_once,
        rounds=options.rounds or 5,
        requests=options.requests,
    )
    result = await run_against(load, lambda text: console.print(f"[dim]  {text}[/]"))
    report.show_result(console, result)
    options.out.mkdir(parents=True, exist_ok=True)
    how = {"against": options.against, "services": options.services, "at once": options.at_once}
    report.write_json(report.as_json({}, how, [result], []), options.out / "against.json")
    return not result.incomplete


async def _measure(
    bench: Bench, names: Sequence[str], databases: Sequence[str], console: Console
) -> list[Result]:
    results = []
    for name, (run, runs_on) in SCENARIOS.items():
        for database in runs_on:
            if name not in names or database not in (*databases, "none"):
                continue
            console.print(f"[bold]{name}[/] on {database}")
            began = time.monotonic()
            result = await run(bench, database)
            result.details["seconds"] = round(time.monotonic() - began, 1)
            report.show_result(console, result)
            results.append(result)
    return results


def _write(
    options: argparse.Namespace, found: dict[str, str], bench: Bench, results: list[Result], console: Console
) -> None:
    goals = judge_all(results)
    how: dict[str, Any] = {"quick": bench.quick, "rounds": bench.rounds, "waiting": bench.most_waiting}
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "bench.json"
    report.write_json(report.as_json(found, how, results, goals), file)
    drawn = plots.draw(results, [] if bench.quick else goals, options.out)
    console.print(f"written: {', '.join(str(path) for path in (file, *drawn))}")


if __name__ == "__main__":
    main()
