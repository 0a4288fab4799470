"""The real adapters, each of which can be told to fail: a host, a mail server, a database."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from changeover.hosts import Contents, HostError, Limits, LocalHost, ServerSpec
from changeover.mail import MailError, OutgoingMail, SmtpOptions, SmtpTransport
from changeover.mail.catcher import catching
from changeover.storage.database import Database

T = TypeVar("T")

FOR_EVER = 1_000_000
PATIENCE = 40.0
"""Seconds until a test gives up waiting."""


@dataclass
class Fault:
    """What a call meets, `times` more times; `server_id` None stands for every server."""

    call: str
    error: HostError
    server_id: str | None = None
    times: int = FOR_EVER


async def _until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not happened():  # noqa: ASYNC110 - any of many calls
            await asyncio.sleep(0.01)


class FaultyHost:
    """The local host with real files. It notes every call, and fails where a fault says so."""

    deletion_frees_address = False

    def __init__(self, root: Path) -> None:
        self._root = root
        self._host = LocalHost(root)
        self.faults: list[Fault] = []
        self.calls: list[tuple[str, str]] = []
        self._held: dict[str, asyncio.Event] = {}

    async def _reach(self, call: str, server_id: str) -> None:
        self.calls.append((call, server_id))
        if call in self._held:
            await self._held[call].wait()
        for fault in self.faults:
            if fault.call == call and fault.server_id in {None, server_id} and fault.times > 0:
                fault.times -= 1
                raise fault.error

    def hold(self, call: str) -> None:
        """Let every such call wait until `release`."""
        self._held[call] = asyncio.Event()

    def release(self, *calls: str) -> None:
        """Let the calls go on, or all that is held."""
        for call in calls or tuple(self._held):
            self._held.pop(call).set()

    def lose(self, server_id: str) -> None:
        """Let the server be gone, as after a fire."""
        shutil.rmtree(self._root / server_id)

    async def reached(self, call: str, times: int = 1) -> None:
        """Wait until such a call has come."""
        await _until(lambda: [name for name, _ in self.calls].count(call) >= times)

    async def find(self, server_id: str) -> Contents | None:
        await self._reach("find", server_id)
        return await self._host.find(server_id)

    async def servers(self) -> list[str]:
        return await self._host.servers()

    async def create(self, spec: ServerSpec) -> None:
        await self._reach("create", spec.server_id)
        await self._host.create(spec)

    async def apply_limits(self, server_id: str, limits: Limits) -> None:
        await self._reach("apply_limits", server_id)
        await self._host.apply_limits(server_id, limits)

    async def stop(self, server_id: str) -> None:
        await self._reach("stop", server_id)
        await self._host.stop(server_id)

    async def delete_backup(self, server_id: str, backup_id: str) -> None:
        await self._reach("delete_backup", server_id)
        await self._host.delete_backup(server_id, backup_id)

    async def delete_data(self, server_id: str) -> None:
        await self._reach("delete_data", server_id)
        await self._host.delete_data(server_id)

    async def release_address(self, server_id: str, address: str) -> None:
        await self._reach("release_address", server_id)
        await self._host.release_address(server_id, address)

    async def check(self) -> None:
        await self._host.check()


class Post(SmtpTransport):
    """The real way out by SMTP. It keeps what was handed over, and fails as often as it is told to."""

    def __init__(self, options: SmtpOptions) -> None:
        super().__init__(options)
        self.sent: list[OutgoingMail] = []
        self.attempts = 0
        self.faults: list[MailError] = []
        self.lost: list[MailError] = []
        self.broken: MailError | None = None
        self.hold: asyncio.Event | None = None

    def hold_mails(self) -> None:
        """Let every mail wait until `release`."""
        self.hold = asyncio.Event()

    def release(self) -> None:
        if self.hold is not None:
            self.hold.set()
            self.hold = None

    async def reached(self) -> None:
        """Wait until a mail has come."""
        await _until(lambda: self.attempts > 0)

    async def send(self, mail: OutgoingMail) -> None:
        self.attempts += 1
        if self.hold is not None:
            await self.hold.wait()
        if self.broken is not None:
            raise self.broken
        if self.faults:
            raise self.faults.pop(0)
        await super().send(mail)
        self.sent.append(mail)
        if self.lost:
            raise self.lost.pop(0)


@asynccontextmanager
async def post_office(folder: Path) -> AsyncIterator[Post]:
    """Run a mail server that keeps everything in `folder`, and give the way to it."""
    async with catching(folder) as (host, port):
        yield Post(SmtpOptions(host=host, port=port, tls="none", sender="no-reply@host.example"))


class ShakyDatabase(Database):
    """The real database, whose next writes fail, hang, or are committed without an answer."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.away = 0
        self.hangs = False
        self.answers_lost = 0

    async def write(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        while self.hangs:  # noqa: ASYNC110 - a plain switch for tests
            await asyncio.sleep(0.02)
        if self.away > 0:
            self.away -= 1
            raise _no_answer()
        result = await super().write(work)
        if self.answers_lost > 0:
            self.answers_lost -= 1
            raise _no_answer()
        return result


def _no_answer() -> OperationalError:
    statement: Any = None
    return OperationalError(statement, None, ConnectionResetError("the database is away"))
