"""Tearing servers down on the local host, beside `rm -rf` of such trees; verifying stands apart."""

import asyncio
import os
import resource
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from activities.teardown_steps import TeardownSteps
from bench.figures import Result
from bench.run import Bench, folder
from changeover.domain.lifecycle import Stage
from changeover.domain.teardown import STEPS
from changeover.hosts import Contents, LocalHost
from changeover.hosts.port import ServerSpec
from changeover.storage.tasks import Task

_BLOCK = 512  # bytes: the unit of a process's block counts


@dataclass(frozen=True, kw_only=True)
class Size:
    """A server: files in folders of 50, two archives as backups, and a third backup of as many files."""

    files: int
    file_bytes: int
    archive_bytes: int


REALISTIC = Size(files=1_000, file_bytes=16_384, archive_bytes=32 * 2**20)
SMALL = Size(files=50, file_bytes=4_096, archive_bytes=2**20)


class Watched(LocalHost):
    """The local host, which notes how long looking takes: that is what verifying costs."""

    looking = 0.0

    async def find(self, server_id: str) -> Contents | None:
        began = time.perf_counter()
        try:
            return await super().find(server_id)
        finally:
            self.looking += time.perf_counter() - began


async def run(bench: Bench, database: str) -> Result:
    """One server after the other, ours and `rm -rf` in turn, each on trees that were just written."""
    result = Result("teardown", database)
    size = bench.size(REALISTIC, SMALL)
    for count in bench.size((1, 10, 100), (1, 3)):
        for number in range(bench.rounds):
            with folder() as path:
                await _ours(result, f"{count} servers", path, count, size)
                await _rm(result, f"{count} servers", path, count, size)
            bench.say(f"{count} servers: round {number + 1} of {bench.rounds}")
    return result


async def _ours(result: Result, name: str, path: Path, count: int, size: Size) -> None:
    root = path / "ours"
    root.mkdir()
    host = Watched(root)
    servers = [str(uuid4()) for _ in range(count)]
    for server in servers:
        await asyncio.to_thread(_write, root / server, size)
        spec = ServerSpec(
            server_id=server, name="s", address="192.0.2.1:1", game="minecraft", slots=1, options=()
        )
        await host.create(spec)
    await asyncio.to_thread(os.sync)
    steps = TeardownSteps(host, _kept)
    read, written = _blocks(resource.RUSAGE_SELF)
    began = time.perf_counter()
    for server in servers:
        for step in STEPS:
            await steps.take(step, _task(server))
    seconds = time.perf_counter() - began
    result.add(f"{name}: ours", "ms", 1000 * seconds)
    result.add(f"{name}: ours without verifying", "ms", 1000 * (seconds - host.looking))
    result.add(f"{name}: verifying", "ms", 1000 * host.looking)
    now_read, now_written = _blocks(resource.RUSAGE_SELF)
    result.add(f"{name}: ours, read", "MB", now_read - read)
    result.add(f"{name}: ours, written", "MB", now_written - written)
    result.expect("servers that are gone", count - len(list(root.iterdir())), count)


async def _kept(_: str) -> set[str]:
    raise AssertionError("every server is found: nobody asks for its neighbours")


async def _rm(result: Result, name: str, path: Path, count: int, size: Size) -> None:
    root = path / "rm"
    trees = [root / str(uuid4()) for _ in range(count)]
    for tree in trees:
        await asyncio.to_thread(_write, tree, size)
    await asyncio.to_thread(os.sync)
    read, written = _blocks(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    for tree in trees:
        await asyncio.to_thread(subprocess.run, ["rm", "-rf", str(tree)], check=True)
    result.add(f"{name}: rm", "ms", 1000 * (time.perf_counter() - began))
    now_read, now_written = _blocks(resource.RUSAGE_CHILDREN)
    result.add(f"{name}: rm, read", "MB", now_read - read)
    result.add(f"{name}: rm, written", "MB", now_written - written)


def _blocks(whose: int) -> tuple[float, float]:
    """Return the megabytes read from disk and written to it."""
    usage = resource.getrusage(whose)
    return usage.ru_inblock * _BLOCK / 1e6, usage.ru_oublock * _BLOCK / 1e6


def _write(folder: Path, size: Size) -> None:
    _write_files(folder / "data", size)
    _write_files(folder / "backups" / "nightly", size)
    for number in range(2):
        (folder / "backups" / f"weekly-{number}.tar").write_bytes(os.urandom(size.archive_bytes))


def _write_files(folder: Path, size: Size) -> None:
    content = os.urandom(size.file_bytes)
    for number in range(size.files):
        below = folder / f"region-{number // 50}"
        if number % 50 == 0:
            below.mkdir(parents=True)
        (below / f"{number}.dat").write_bytes(content)


def _task(server_id: str) -> Task:
    return Task(
        change_id=str(uuid4()),
        change_stage=Stage.COMMITTED,
        kind="teardown",
        server_id=server_id,
        service_id=str(uuid4()),
        server_name="s",
        address="192.0.2.1:1",
        state="pending",
        problem=None,
        problem_since=None,
        address_held=False,
        slots=1,
        options=(),
        offer="minecraft-start",
    )
