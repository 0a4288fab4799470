"""What is seen while a scenario runs: each look is one state of the database and of the host's folders.

An order can be broken for a moment and be right at the end; only who looks all the time can tell.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from changeover.domain.lifecycle import COMMITTED, OPEN
from changeover.storage import tables

if TYPE_CHECKING:
    from tests.faults.system import FaultySystem


@dataclass
class Seen:
    """What no look may ever show, and the trail as it was first read."""

    looks: int = 0
    touched_before_commit: list[str] = field(default_factory=list)
    released_too_early: list[str] = field(default_factory=list)
    open_twice: list[str] = field(default_factory=list)
    trail: dict[int, dict[str, Any]] = field(default_factory=dict)
    receipts: dict[tuple[str, str, str], dict[str, Any]] = field(default_factory=dict)


class Watch:
    """Looks ten times a second by default, from `begin` to `stop`."""

    def __init__(self, system: "FaultySystem", every_seconds: float = 0.1) -> None:
        self._system = system
        self._every_seconds = every_seconds
        self._task: asyncio.Task[None] | None = None
        self._servers: dict[str, int] = {}
        self.seen = Seen()

    def begin(self, server_ids: tuple[str, ...]) -> None:
        """Watch these servers' folders, too."""
        for server_id in server_ids:
            self._servers[server_id] = self._count(server_id)
        if self._task is None:
            self._task = asyncio.create_task(self._look_on())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    def _count(self, server_id: str) -> int:
        """Count what stands in a server's data and backups; 0 when the server is gone."""
        folder = self._system.host_dir / server_id
        return sum(1 for part in ("data", "backups") for _ in (folder / part).rglob("*"))

    async def _look_on(self) -> None:
        while True:
            with suppress(SQLAlchemyError, OSError):  # the database is away
                await self.look()
            await asyncio.sleep(self._every_seconds)

    async def look(self) -> None:
        """Look first at the files, then at the rows: what the files lack must have been allowed before."""
        if self._system.host_dir.is_dir():
            files = {server_id: self._count(server_id) for server_id in self._servers}
        else:
            files = dict(self._servers)  # the whole host is away
        async with self._system.database.read() as connection:
            rows = {
                table.name: [dict(row) for row in (await connection.execute(select(table))).mappings()]
                for table in (
                    tables.servers,
                    tables.addresses,
                    tables.plan_changes,
                    tables.trail,
                    tables.receipts,
                )
            }
        self.seen.looks += 1
        self._judge_files(files, rows)
        self._judge_addresses(rows)
        for entry in rows["trail"]:
            self.seen.trail.setdefault(entry["seq"], entry)
        for receipt in rows["receipts"]:
            key = (receipt["change_id"], receipt["server_id"], receipt["step"])
            self.seen.receipts.setdefault(key, receipt)
        held = [row["service_id"] for row in rows["plan_changes"] if row["stage"] in OPEN]
        self.seen.open_twice += [it for it in set(held) if held.count(it) > 1]

    def _judge_files(self, files: dict[str, int], rows: dict[str, list[dict[str, Any]]]) -> None:
        committed = {row["id"] for row in rows["plan_changes"] if row["stage"] in COMMITTED}
        by_server = {row["id"]: row for row in rows["servers"]}
        for server_id, count in files.items():
            if count < self._servers[server_id] and by_server[server_id]["destroyed_by"] not in committed:
                self.seen.touched_before_commit.append(server_id)

    def _judge_addresses(self, rows: dict[str, list[dict[str, Any]]]) -> None:
        """An address that isn't its server's any more: the server must have been gone by then."""
        owners = {row["address"]: row["server_id"] for row in rows["addresses"]}
        for row in rows["servers"]:
            released = row["id"] in self._servers and owners.get(row["address"]) != row["id"]
            if released and (self._system.host_dir / row["id"]).exists():
                self.seen.released_too_early.append(row["id"])
