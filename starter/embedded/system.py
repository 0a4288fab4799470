"""The whole system on one machine: what `./run up` keeps in a folder, and `./run demo` in a temporary one."""

import asyncio
import fcntl
import json
import os
import random
import secrets
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from changeover.settings import ENV_FILE
from starter.embedded import temporal_server
from starter.embedded.processes import Part, ProcessFailed

UP_FILE = "up.json"
_CODE_KEY_ID = "embedded"
_QUICK_DEATH_SECONDS = 3.0
_MOST_QUICK_DEATHS = 3
_LISTENERS = range(15_000, 32_760, 5)
"""Below the ports that Linux gives to outgoing connections (`net.ipv4.ip_local_port_range`)."""


class SystemBusy(Exception):
    """Another embedded system uses the folder or a port."""


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Where the parts listen, on 127.0.0.1."""

    temporal: int
    temporal_ui: int
    mail: int
    web: int
    worker: int

    @classmethod
    def from_base(cls, base: int) -> Self:
        """Return fixed ports from `base` on. Raises `SystemBusy` when one is taken."""
        for port in range(base, base + 5):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    raise SystemBusy(
                        f"port {port} is taken, perhaps by another `./run up`; --port-base takes others"
                    ) from None
        return cls(temporal=base, temporal_ui=base + 1, mail=base + 2, web=base + 3, worker=base + 4)

    @classmethod
    def free(cls) -> Self:
        """Return ports that are free at this moment, and that no outgoing connection takes in the next."""
        while True:
            with suppress(SystemBusy):
                return cls.from_base(random.choice(_LISTENERS))  # noqa: S311 - nobody has to guess it


class EmbeddedSystem:
    """Starts the parts, side by side where it can, and stops them. Use it as an async context manager.

    `fill` makes the customers once the database is prepared, while the servers start; what it returns is
    kept in `accounts`.
    """

    def __init__(
        self,
        folder: Path,
        ports: Ports,
        say: Callable[[str], None],
        fill: "Callable[[EmbeddedSystem], Awaitable[list[dict[str, Any]]]]",
    ) -> None:
        self.folder = folder.absolute()
        self.ports = ports
        self.accounts: list[dict[str, Any]] = []
        self._say = say
        self._fill = fill
        self._parts: list[Part] = []
        self._lock: IO[str] | None = None
        self._environ: dict[str, str] = {}
        self.worker: Part | None = None

    @property
    def mail_dir(self) -> Path:
        return self.folder / "mail"

    @property
    def host_dir(self) -> Path:
        return self.folder / "hosts"

    @property
    def database_url(self) -> str:
        return f"sqlite+aiosqlite:///{self.folder / 'changeover.db'}"

    @property
    def temporal_ui_url(self) -> str:
        return f"http://127.0.0.1:{self.ports.temporal_ui}"

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.ports.web}"

    @property
    def worker_url(self) -> str:
        return f"http://127.0.0.1:{self.ports.worker}"

    @property
    def panel_url(self) -> str:
        return f"{self.api_url}/panel/"

    async def __aenter__(self) -> Self:
        self._take_folder()
        try:
            await self._start()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stop()

    def _take_folder(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.host_dir.mkdir(exist_ok=True)
        self._lock = (self.folder / "up.lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise SystemBusy(
                f"another embedded system runs in {self.folder}; --dir takes another folder"
            ) from None

    async def _start(self) -> None:
        ours = self._settings()
        _write_private(self.folder / ENV_FILE, "".join(f"{name}={value}\n" for name, value in ours.items()))
        os.environ.update(ours)
        self._environ = dict(os.environ) | {"PYTHONUNBUFFERED": "1"}
        self._say("starting Temporal and the mail catcher")
        temporal = await self._start_temporal()
        catcher = await self._start_catcher()
        await self._prepare()
        self._say("starting the worker, the API and the panel")
        web = await self._start_web()
        self.accounts, *_ = await asyncio.gather(
            self._fill(self),
            self._start_worker_behind(temporal),
            catcher.first_line(),
            web.first_line(),
        )

    def _settings(self) -> dict[str, str]:
        """Return the settings of the parts; an earlier start's keys stay, since open changes need them."""
        kept: dict[str, str] = {}
        file = self.folder / ENV_FILE
        if file.is_file():
            lines = file.read_text(encoding="utf-8").splitlines()
            kept = dict(
                line.split("=", 1)
                for line in lines
                if line.startswith(("CHANGEOVER_PROOF", "CHANGEOVER_CODE"))
            )
        return {
            "CHANGEOVER_EMBEDDED": "true",
            "CHANGEOVER_DATABASE_URL": self.database_url,
            "CHANGEOVER_PROOF_KEY": kept.get("CHANGEOVER_PROOF_KEY") or secrets.token_hex(32),
            "CHANGEOVER_CODE_KEYS": kept.get("CHANGEOVER_CODE_KEYS")
            or json.dumps({_CODE_KEY_ID: secrets.token_hex(32)}),
            "CHANGEOVER_CODE_KEY_ID": _CODE_KEY_ID,
            "CHANGEOVER_SMTP_HOST": "127.0.0.1",
            "CHANGEOVER_SMTP_PORT": str(self.ports.mail),
            "CHANGEOVER_SMTP_TLS": "none",
            "CHANGEOVER_MAIL_FROM": "panel@host.example",
            "CHANGEOVER_HOST_DIR": str(self.host_dir),
            "CHANGEOVER_LOG_FORMAT": os.environ.get("CHANGEOVER_LOG_FORMAT", "text"),
            "CHANGEOVER_PANEL_URL": self.panel_url.rstrip("/"),
            "TEMPORAL_ADDRESS": f"127.0.0.1:{self.ports.temporal}",
        }

    async def _start_temporal(self) -> Part:
        command = temporal_server.command(
            self.ports.temporal, self.ports.temporal_ui, self.folder / "temporal.db"
        )
        return await self._start_part("Temporal", command, "temporal", answers=False)

    async def _start_catcher(self) -> Part:
        command = [sys.executable, "-m", "changeover.mail.catcher", "--dir", str(self.mail_dir)]
        command += ["--port", str(self.ports.mail)]
        return await self._start_part("the mail catcher", command, "mail")

    async def _start_web(self) -> Part:
        command = [sys.executable, "-m", "starter.api", "--port", str(self.ports.web)]
        return await self._start_part("the API", command, "web")

    async def _start_part(self, name: str, command: list[str], log: str, *, answers: bool = True) -> Part:
        """Start a part that is stopped with the system, whether it ever answers or not."""
        part = await Part.start(name, command, self._environ, self._log(log), answers=answers)
        self._parts.append(part)
        return part

    async def _prepare(self) -> None:
        """Bring the database up to date and load the shipped catalogue if there is none."""
        from starter.setup import prepare  # noqa: PLC0415 - SQLAlchemy is loaded while the servers start

        await prepare(self.database_url)

    async def _start_worker_behind(self, temporal: Part) -> None:
        """Start the worker once Temporal answers."""
        from starter.embedded.readiness import temporal_is_ready  # noqa: PLC0415 - as above

        while not await temporal_is_ready():
            if not temporal.runs:
                raise ProcessFailed(temporal.trouble())
            await asyncio.sleep(0.05)
        await self.start_worker()

    async def start_worker(self) -> Part:
        command = [sys.executable, "-m", "worker"]
        environ = self._environ | {"CHANGEOVER_WORKER_LISTEN": f"127.0.0.1:{self.ports.worker}"}
        worker = await Part.start("the worker", command, environ, self._log("worker"))
        self.worker = worker
        return worker

    async def keep_worker(self) -> None:
        """Start the worker again whenever it ends; give up when it ends at once, three times in a row."""
        loop = asyncio.get_running_loop()
        quick_deaths = 0
        while self.worker is not None:
            since = loop.time()
            await self.worker.process.wait()
            quick_deaths = quick_deaths + 1 if loop.time() - since < _QUICK_DEATH_SECONDS else 0
            if quick_deaths >= _MOST_QUICK_DEATHS:
                raise ProcessFailed(self.worker.trouble())
            self._say("the worker ended; starting it again: nothing is lost")
            await self.start_worker()

    def known_api_key(self) -> str | None:
        """Return the API key that an earlier start wrote down."""
        file = self.folder / UP_FILE
        return json.loads(file.read_text(encoding="utf-8")).get("api_key") if file.is_file() else None

    def write_up_file(self, accounts: list[dict[str, Any]], api_key: str) -> dict[str, Any]:
        """Write what any client needs to be pointed at this system, and return it."""
        content = {
            "api_url": self.api_url,
            "panel_url": self.panel_url,
            "api_key": api_key,
            "worker_url": self.worker_url,
            "temporal_ui_url": self.temporal_ui_url,
            "temporal_address": f"127.0.0.1:{self.ports.temporal}",
            "mail_dir": str(self.mail_dir),
            "host_dir": str(self.host_dir),
            "database_url": self.database_url,
            "accounts": accounts,
            "started_at": datetime.now(UTC).isoformat(),
        }
        _write_private(self.folder / UP_FILE, json.dumps(content, indent=2) + "\n")
        return content

    async def _stop(self) -> None:
        if self.worker is not None:
            worker, self.worker = self.worker, None
            await worker.stop()
        for part in reversed(self._parts):
            await part.stop()
        if self._lock is not None:
            self._lock.close()

    def _log(self, name: str) -> Path:
        return self.folder / "log" / f"{name}.log"


def _write_private(file: Path, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    temporary = file.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        opened.write(text)
    temporary.replace(file)
