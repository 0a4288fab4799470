"""`python -m tests.faults.soak [--stories N] [--kill-every S] [--seed N] [--database KIND]`.

Prints how it goes, and a table at the end: stories by end, faults by kind, answers, invariants.
"""

import argparse
import asyncio
import random
import shutil
import sys
import time
from collections import Counter
from pathlib import Path

from tests.faults.soak.course import Orders, Result, Soak
from tests.faults.system import POSTGRESQL, SQLITE, running_system


def _print(result: Result) -> None:
    def block(title: str, counts: Counter[str]) -> None:
        print(f"\n{title}: {counts.total()}")
        for name, count in sorted(counts.items(), key=lambda it: (-it[1], it[0])):
            print(f"{count:>7}  {name}")

    block("changes by end", result.ends)
    block("faults", result.faults)
    block("healed by the reconciler", result.healed)
    block("answers", result.answers)
    print("\ninvariants")
    for finding in result.findings:
        print(f"{finding.invariant:>7}  {finding.verdict}")
    for what in result.broken:
        print(f"  BROKEN  {what}")
    print(f"\n{result.begun} stories in {result.seconds:.0f} s: {'all held' if result.held else 'NOT HELD'}")


async def _soak(orders: Orders, kind: str, keep_logs: Path | None) -> Result:
    began = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s  {what}", file=sys.stderr, flush=True)

    async with running_system(kind) as system:
        try:
            return await Soak(system, orders, say).run()
        finally:
            if keep_logs is not None:
                shutil.copytree(system.logs, keep_logs, dirs_exist_ok=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--stories", type=int, default=300, help="customers, one random script each")
    parser.add_argument("--concurrency", type=int, default=50, help="customers at once")
    parser.add_argument("--kill-every", type=float, default=4.0, help="seconds between two faults")
    parser.add_argument("--seed", type=int, help="what the dice begin with; a random one by default")
    parser.add_argument("--database", choices=[SQLITE, POSTGRESQL], default=SQLITE)
    parser.add_argument("--minutes", type=float, default=20, help="after these no story and no fault begins")
    parser.add_argument(
        "--keep-logs", type=Path, metavar="DIR", help="where the processes' logs are copied to"
    )
    options = parser.parse_args()
    seed = random.randrange(1_000_000) if options.seed is None else options.seed
    print(f"seed {seed}", file=sys.stderr)
    orders = Orders(
        stories=options.stories,
        concurrency=options.concurrency,
        kill_every=options.kill_every,
        seed=seed,
        at_most=options.minutes * 60,
    )
    result = asyncio.run(_soak(orders, options.database, options.keep_logs))
    _print(result)
    return 0 if result.held else 1


if __name__ == "__main__":
    from starter.process import leave

    leave(main())
