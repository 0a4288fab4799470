"""Run a module as a program whose clock is off: `python -m tests.faults.clock SECONDS MODULE [ARGUMENTS]`.

Only the process's own idea of the date is off: what it measures (`time.monotonic`) and others' clocks aren't.
"""

import runpy
import sys
from datetime import UTC, datetime, timedelta

import time_machine


def main() -> None:
    seconds, module = float(sys.argv[1]), sys.argv[2]
    sys.argv = [module, *sys.argv[3:]]
    destination = datetime.now(UTC) + timedelta(seconds=seconds)
    with time_machine.travel(destination, tick=True):
        runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
