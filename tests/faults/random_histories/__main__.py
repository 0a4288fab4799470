"""`python -m tests.faults.random_histories [--examples N] [--steps N] [--seed N] [--database KIND]`."""

import argparse
import random
import sys
import time

from starter.process import leave
from tests.faults.random_histories.machine import open_world, play_random_histories
from tests.faults.system import POSTGRESQL, SQLITE
from tests.support.postgres import find_binaries, running_postgres


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.random_histories", description=__doc__)
    parser.add_argument("--examples", type=int, default=100, help="histories")
    parser.add_argument("--steps", type=int, default=40, help="acts of each, at most")
    parser.add_argument("--seed", type=int, help="what the dice begin with; a random one by default")
    parser.add_argument("--database", choices=[SQLITE, POSTGRESQL], default=SQLITE)
    options = parser.parse_args()
    dice = random.randrange(1_000_000) if options.seed is None else options.seed
    print(f"seed {dice}", file=sys.stderr, flush=True)
    began = time.monotonic()
    if options.database == SQLITE:
        _play(None, options, dice)
    else:
        binaries = find_binaries()
        if binaries is None:
            parser.error("no PostgreSQL here: its server binaries are missing (apt-get install postgresql)")
        with running_postgres(binaries) as server:
            _play(server.create_database("histories"), options, dice)
    print(f"{options.examples} histories agreed with the model, in {time.monotonic() - began:.0f} s")
    return 0


def _play(url: str | None, options: argparse.Namespace, dice: int) -> None:
    with open_world(url) as opened:
        play_random_histories(*opened, examples=options.examples, steps=options.steps, dice=dice)


if __name__ == "__main__":
    leave(main())
