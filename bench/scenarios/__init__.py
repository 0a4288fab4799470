"""The scenarios by name. Each makes the system that it needs, and returns what it measured."""

from collections.abc import Awaitable, Callable
from typing import Final

from bench.figures import Result
from bench.run import Bench
from bench.scenarios import (
    change,
    commit,
    fairness,
    quotes,
    startup,
    statements,
    tails,
    teardown,
    waiting,
    workers,
)

BOTH = ("sqlite", "postgresql")

SCENARIOS: Final[dict[str, tuple[Callable[[Bench, str], Awaitable[Result]], tuple[str, ...]]]] = {
    "change": (change.run, BOTH),
    "tails": (tails.run, BOTH),
    "statements": (statements.run, BOTH),
    "commit": (commit.run, BOTH),
    "quotes": (quotes.run, BOTH),
    "fairness": (fairness.run, BOTH),
    "startup": (startup.run, ("none",)),
    "teardown": (teardown.run, ("none",)),
    "workers": (workers.run, BOTH),
    "waiting": (waiting.run, BOTH),
}
"""Each with the databases that it runs on."""
