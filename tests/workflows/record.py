"""Record the histories that every later release must replay: `python -m tests.workflows.record [NAME...]`.

Without a name, those that are missing are recorded. A history that is there is of a release that customers'
changes may still be running on: it is recorded over only before the first release, or by its name.
"""

import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from starter.process import leave
from tests.support.temporal import running_temporal
from tests.workflows.scenarios import SCENARIOS, history_of
from tests.workflows.system import make_template, short_patience
from tests.workflows.world import open_world

HISTORIES = Path(__file__).with_name("histories")
_OF_THE_MACHINE = frozenset({"stackTrace", "identity", "binaryChecksum", "workerInstanceKey"})


def without_the_machine(value: Any) -> Any:
    """Return the history without what names the machine it was recorded on; a replay needs none of it."""
    if isinstance(value, dict):
        return {key: without_the_machine(it) for key, it in value.items() if key not in _OF_THE_MACHINE}
    if isinstance(value, list):
        return [without_the_machine(it) for it in value]
    return value


async def record(names: Sequence[str]) -> None:
    HISTORIES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary, pytest.MonkeyPatch.context() as patch:
        folder = Path(temporary)
        short_patience(patch)
        await make_template(folder / "template.db")
        async with running_temporal() as temporal:
            for name in names:
                (folder / name).mkdir()
                async with open_world(temporal, folder / name, folder / "template.db") as world:
                    history = await history_of(world, name)
                content = without_the_machine(json.loads(history.to_json()))
                text = json.dumps(content, indent=1, ensure_ascii=False)
                (HISTORIES / f"{name}.json").write_text(f"{text}\n", encoding="utf-8")
                sys.stdout.write(f"recorded {name}: {len(history.events)} events\n")


def main(arguments: Sequence[str]) -> None:
    unknown = [name for name in arguments if name not in SCENARIOS]
    if unknown:
        sys.stderr.write(f"unknown: {', '.join(unknown)}; known: {', '.join(SCENARIOS)}\n")
        leave(2)
    missing = [name for name in SCENARIOS if not (HISTORIES / f"{name}.json").exists()]
    asyncio.run(record(arguments or missing))
    leave(0)


if __name__ == "__main__":
    main(sys.argv[1:])
