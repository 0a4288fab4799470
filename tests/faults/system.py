"""The whole system as processes on one machine, each of which can be killed, frozen and started again."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from temporalio.client import Client, WorkflowHandle
from temporalio.testing import TimeSkipper

from changeover.failpoints import VARIABLE
from changeover.storage import schema
from changeover.storage.database import Database
from starter.api.keys import ApiKeys
from starter.embedded import temporal_server
from starter.embedded.processes import Part
from starter.embedded.readiness import temporal_is_ready
from starter.engine import DATA_CONVERTER
from tests.e2e.running import clean_environment
from tests.faults.post import PostOffice
from tests.mail.servers import scripted_server
from tests.storage.rows import add_account, load_catalogue
from tests.support.postgres import Postgres, find_binaries, running_postgres
from tests.support.proxy import Proxy, proxy_to

SQLITE, POSTGRESQL = "sqlite", "postgresql"
PATIENCE = 90.0
"""Seconds until something that was to happen is given up."""
ENGINE_TIMEOUT = 4
"""Seconds that the API waits for Temporal before it says 503."""


class TooLate(AssertionError):
    """Something did not happen in time."""


async def eventually(check: Callable[[], Awaitable[Any]], what: str, patience: float = PATIENCE) -> Any:
    """Wait until `check` gives something true, and return it."""
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + patience
    while not (found := await check()):
        if loop.time() > give_up_at:
            raise TooLate(f"waited {patience:.0f} s for {what}")
        await asyncio.sleep(0.05)
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class FaultySystem:
    """Temporal on a database file, a mail server, a worker, the API, and SQLite or PostgreSQL."""

    def __init__(self, folder: Path, post: PostOffice, mail_port: int, database_url: str) -> None:
        self.folder = folder
        self.post = post
        self.mail_port = mail_port
        self.database_url = database_url
        self.database = Database(database_url)
        self.postgres: Postgres | None = None
        self.proxy: Proxy | None = None
        self.host_dir = folder / "hosts"
        self.host_dir.mkdir()
        self.temporal_port, self._ui_port, self._web_port = free_port(), free_port(), free_port()
        self.api_key = ""
        self.temporal: Part | None = None
        self.api: Part | None = None
        self.workers: list[Part] = []
        self._client: Client | None = None
        self._stranger = ""
        self._log_numbers = 0

    # What the parts are told.

    @property
    def kind(self) -> str:
        return SQLITE if self.database.is_sqlite else POSTGRESQL

    @property
    def code_keys(self) -> dict[str, bytes]:
        return {"k1": b"c" * 40}

    @property
    def proof_key(self) -> bytes:
        return b"p" * 40

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self._web_port}"

    def environ(self, *, through_proxy: bool = False) -> dict[str, str]:
        url = self.database_url
        if through_proxy and self.proxy is not None and self.postgres is not None:
            url = url.replace(f":{self.postgres.port}/", f":{self.proxy.port}/")
        keys = {name: key.decode() for name, key in self.code_keys.items()}
        return clean_environment() | {
            "PYTHONUNBUFFERED": "1",
            "CHANGEOVER_EMBEDDED": "true",
            "CHANGEOVER_DATABASE_URL": url,
            "CHANGEOVER_PROOF_KEY": self.proof_key.decode(),
            "CHANGEOVER_CODE_KEYS": json.dumps(keys),
            "CHANGEOVER_CODE_KEY_ID": "k1",
            "CHANGEOVER_SMTP_HOST": "localhost",
            "CHANGEOVER_SMTP_PORT": str(self.mail_port),
            "CHANGEOVER_SMTP_TLS": "none",
            "CHANGEOVER_SMTP_TIMEOUT_SECONDS": "3",
            "CHANGEOVER_MAIL_FROM": "panel@host.test",
            "CHANGEOVER_MAILS_PER_SECOND": "1000",
            "CHANGEOVER_HOST_DIR": str(self.host_dir),
            "CHANGEOVER_ENGINE_TIMEOUT_SECONDS": str(ENGINE_TIMEOUT),
            "TEMPORAL_ADDRESS": f"127.0.0.1:{self.temporal_port}",
        }

    @property
    def logs(self) -> Path:
        return self.folder / "log"

    def _log(self, name: str) -> Path:
        self._log_numbers += 1
        return self.logs / f"{name}-{self._log_numbers:03}.log"

    async def stranger(self) -> str:
        """Return the id of an account that has nothing."""
        if not self._stranger:
            self._stranger = await add_account(self.database, "stranger")
        return self._stranger

    # Temporal.

    async def start_temporal(self) -> None:
        command = temporal_server.command(self.temporal_port, self._ui_port, self.folder / "temporal.db")
        command += ["--dynamic-config-value", "frontend.WorkflowTimeSkippingEnabled=true"]
        self.temporal = await Part.start("Temporal", command, self.environ(), self._log("temporal"))
        await eventually(self._temporal_answers, "Temporal to answer")

    async def _temporal_answers(self) -> bool:
        assert self.temporal is not None
        assert self.temporal.runs, self.temporal.trouble()
        os.environ["TEMPORAL_ADDRESS"] = f"127.0.0.1:{self.temporal_port}"
        return await temporal_is_ready()

    async def kill_temporal(self) -> None:
        assert self.temporal is not None
        await kill(self.temporal)

    async def client(self) -> Client:
        if self._client is None:
            address = f"127.0.0.1:{self.temporal_port}"
            self._client = await Client.connect(address, data_converter=DATA_CONVERTER)
        return self._client

    async def forward(self, handle: WorkflowHandle[Any, Any], by: timedelta) -> None:
        """Move the clock of one run, and of nothing else."""
        await asyncio.wait_for(TimeSkipper(await self.client()).fast_forward(handle, by), PATIENCE)

    # The worker.

    async def start_worker(self, failpoints: str = "", *, wrapper: tuple[str, ...] = (), **more: str) -> Part:
        """Start a worker beside those there are, and return when it serves."""
        environ = self.environ(through_proxy=True) | {VARIABLE: failpoints} | more
        command = [sys.executable, "-m", *wrapper, "worker"]
        worker = await Part.start("the worker", command, environ, self._log("worker"))
        self.workers.append(worker)

        async def ready() -> bool:
            return not worker.runs or "ready: serving" in worker.log.read_text(errors="replace")

        await eventually(ready, "the worker to serve")
        return worker

    async def restart_worker(self, failpoints: str = "", **more: Any) -> Part:
        """Kill the workers there are and start one, perhaps one that is to fail."""
        await self.kill_workers()
        return await self.start_worker(failpoints, **more)

    async def kill_workers(self) -> None:
        for worker in self.workers:
            await kill(worker)
        self.workers.clear()

    async def worker_died(self) -> None:
        """Wait until a failpoint has killed the last worker."""

        async def dead() -> bool:
            return not self.workers[-1].runs

        await eventually(dead, "the failpoint to kill the worker")
        assert self.workers[-1].process.returncode == -signal.SIGKILL, self.workers[-1].trouble()

    # The API.

    async def launch_api(
        self, port: int, failpoints: str = "", *, wrapper: tuple[str, ...] = (), **more: str
    ) -> Part:
        """Start an API on this port; its first line says that it serves."""
        command = [sys.executable, "-m", *wrapper, "starter.api", "--port", str(port)]
        environ = self.environ() | {VARIABLE: failpoints} | more
        return await Part.start("the API", command, environ, self._log("api"), answers=True)

    async def start_api(self, failpoints: str = "", **more: Any) -> None:
        self.api = await self.launch_api(self._web_port, failpoints, **more)
        await self.api.first_line(PATIENCE)

    async def restart_api(self, failpoints: str = "", **more: Any) -> None:
        await self.kill_api()
        await self.start_api(failpoints, **more)

    async def kill_api(self) -> None:
        if self.api is not None:
            await kill(self.api)

    # All of it.

    async def start(self) -> None:
        await schema.upgrade(self.database_url)
        await load_catalogue(self.database)
        self.api_key = (await ApiKeys(self.database).create("faults")).key
        await self.start_temporal()
        await asyncio.gather(self.start_api(), self.start_worker())

    async def heal(self) -> None:
        """End every fault: what is away comes back, what is armed or frozen is replaced."""
        self.post.heal()
        if self.proxy is not None:
            self.proxy.heal()
        if self.postgres is not None and not (self.postgres.data / "postmaster.pid").exists():
            await asyncio.to_thread(self.postgres.start)
        if self.temporal is None or not self.temporal.runs:
            await self.start_temporal()
        if self.api is None or not self.api.runs or _is_special(self.api):
            await self.restart_api()
        if len(self.workers) != 1 or not self.workers[0].runs or _is_special(self.workers[0]):
            await self.restart_worker()

    async def stop(self) -> None:
        await self.kill_workers()
        for part in (self.api, self.temporal):
            if part is not None:
                await kill(part)
        await self.database.close()


def _is_special(part: Part) -> bool:
    """Say whether a process isn't one that production would have: by its environment, as it was started."""
    try:
        environ = Path(f"/proc/{part.process.pid}/environ").read_bytes().decode(errors="replace")
        command = Path(f"/proc/{part.process.pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return True
    variables = dict(entry.partition("=")[::2] for entry in environ.split("\0"))
    return bool(variables.get(VARIABLE)) or "FAULTY" in variables or "tests.faults" in command


async def kill(part: Part) -> None:
    """SIGKILL, by its own process id; a frozen one as well."""
    if part.runs:
        part.process.kill()
    await part.process.wait()


def freeze(part: Part) -> None:
    part.process.send_signal(signal.SIGSTOP)


def thaw(part: Part) -> None:
    part.process.send_signal(signal.SIGCONT)


def is_frozen(part: Part) -> bool:
    """Say whether the process is stopped, as /proc has it."""
    state = Path(f"/proc/{part.process.pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state == "T"


@asynccontextmanager
async def running_system(kind: str) -> AsyncIterator[FaultySystem]:
    """Run a system of its own on free ports, in a temporary folder."""
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="changeover-faults-")))
        post = PostOffice()
        mail_port = await stack.enter_async_context(scripted_server(post))
        postgres, proxy, url = None, None, f"sqlite+aiosqlite:///{folder / 'changeover.db'}"
        if kind == POSTGRESQL:
            binaries = find_binaries()
            assert binaries is not None, "no PostgreSQL here: apt-get install postgresql"
            postgres = stack.enter_context(running_postgres(binaries))
            url = await asyncio.to_thread(postgres.create_database, "faults")
            proxy = await stack.enter_async_context(proxy_to(postgres.port))
        system = FaultySystem(folder, post, mail_port, url)
        system.postgres, system.proxy = postgres, proxy
        try:
            await system.start()
            yield system
        finally:
            await system.stop()
