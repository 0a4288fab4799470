"""Run a module as a program that gives hosts up after seconds, not hours: `... impatient SECONDS MODULE`.

A server's clock can't be skipped over an activity that is being retried, so six hours are made short instead.
"""

import runpy
import sys
from datetime import timedelta

from temporalio.common import RetryPolicy

from workflows import policies


def main() -> None:
    seconds, module = float(sys.argv[1]), sys.argv[2]
    sys.argv = [module, *sys.argv[3:]]
    policies.HOST_PATIENCE = timedelta(seconds=seconds)
    policies.HOST_RETRY = RetryPolicy(maximum_interval=timedelta(seconds=2))
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
