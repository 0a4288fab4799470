"""A whole system of its own for each scenario: Temporal, database, mail sink, workers, API, on free ports."""

import asyncio
import json
import os
import secrets
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from temporalio.client import Client

from bench.mail_sink import SENDER_DOMAIN, MailSink, taking_mail
from bench.usage import Group
from changeover.hosts.sample import SampleServer, create_samples
from changeover.settings import Settings
from changeover.storage.database import Database
from changeover.storage.tables import addresses
from starter.embedded import temporal_server
from starter.embedded.processes import Part, ProcessFailed
from starter.embedded.system import Ports
from starter.engine import COMPRESSION, DATA_CONVERTER
from starter.plan_changes import PlanChanges
from starter.seed_many import Customer, seed_many
from starter.setup import new_api_key, prepare

FLOOR_QUEUE = "floor"
_READY_SECONDS = 60
_SAMPLES = TypeAdapter(list[SampleServer])


@dataclass
class System:
    """What runs, and how to reach it. `floor` is the worker of the floor, `workers` are ours."""

    folder: Path
    database_url: str
    environ: dict[str, str]
    temporal: Part
    floor: Part
    sink: MailSink
    ours: Client
    stock: Client
    plans: PlanChanges
    database: Database
    api_key: str
    database_pid: int | None = None
    workers: list[Part] = field(default_factory=list)
    apis: list[Part] = field(default_factory=list)
    api_url: str = ""
    _next_customer: int = 1

    @property
    def host_dir(self) -> Path:
        return self.folder / "hosts"

    async def start_api(self, *module: str) -> str:
        """Start an API process, and return its address."""
        name = f"api-{len(self.apis)}"
        api, address = await start_api(self.folder / "log" / f"{name}.log", self.environ, module)
        self.apis.append(api)
        return address

    async def stop(self) -> None:
        """Stop our workers and the APIs."""
        await self.run_workers(0)
        while self.apis:
            await self.apis.pop().stop()

    async def run_workers(self, count: int, module: Sequence[str] = ("worker",)) -> None:
        """Have so many worker processes of ours; those too many are stopped, missing ones started."""
        while len(self.workers) > count:
            await self.workers.pop().stop()
        started = [await self._start_worker(module) for _ in range(count - len(self.workers))]
        self.workers += started
        await asyncio.gather(*(_says(worker, "ready: serving") for worker in started))

    async def _start_worker(self, module: Sequence[str]) -> Part:
        log = self.folder / "log" / f"worker-{secrets.token_hex(4)}.log"
        return await Part.start("a worker", [sys.executable, "-m", *module], self.environ, log)

    async def customers(
        self, count: int, *, servers: int = 1, marked: int = 0, files: bool = True
    ) -> list[Customer]:
        """Make customers that no run has used yet, with their servers' files."""
        first, self._next_customer = self._next_customer, self._next_customer + count
        made = [
            Customer(number=number, servers=servers, marked=marked) for number in range(first, first + count)
        ]
        await seed_many(self.database, datetime.now(UTC), iter(made))
        if files:
            samples = _SAMPLES.validate_python([server for customer in made for server in customer.on_host()])
            await create_samples(samples, self.host_dir)
        return made

    @property
    def our_processes(self) -> Group:
        """The Temporal server, our workers, and the database if it is a server."""
        return Group(
            temporal=[self.temporal.process.pid],
            worker=[worker.process.pid for worker in self.workers],
            database=[self.database_pid] if self.database_pid else [],
            api=[api.process.pid for api in self.apis],
        )

    @property
    def floor_processes(self) -> Group:
        """The Temporal server, and the floor's worker."""
        return Group(temporal=[self.temporal.process.pid], worker=[self.floor.process.pid])


async def start_api(log: Path, environ: dict[str, str], module: Sequence[str]) -> tuple[Part, str]:
    """Start an API on a free port; return it with its address."""
    command = [sys.executable, "-m", *module, "--port", "0"]
    api = await Part.start("the API", command, environ, log, answers=True)
    return api, str(json.loads(await api.first_line(_READY_SECONDS))["api_url"])


async def _says(part: Part, words: str) -> None:
    """Wait until the log of `part` has `words`. Raises `ProcessFailed` when it ends, or takes too long."""
    for _ in range(_READY_SECONDS * 20):
        if words in part.log.read_text(encoding="utf-8", errors="replace"):
            return
        if not part.runs:
            break
        await asyncio.sleep(0.05)
    raise ProcessFailed(part.trouble())


def environment(folder: Path, database_url: str, mail_port: int, temporal_port: int) -> dict[str, str]:
    """Return the environment of our programs: this one's, without its settings, and those of the bench."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CHANGEOVER_", "TEMPORAL_"))}
    return kept | {
        "CHANGEOVER_EMBEDDED": "true",
        "CHANGEOVER_DATABASE_URL": database_url,
        "CHANGEOVER_PROOF_KEY": secrets.token_hex(32),
        "CHANGEOVER_CODE_KEYS": json.dumps({"bench": secrets.token_hex(32)}),
        "CHANGEOVER_CODE_KEY_ID": "bench",
        "CHANGEOVER_SMTP_HOST": "127.0.0.1",
        "CHANGEOVER_SMTP_PORT": str(mail_port),
        "CHANGEOVER_SMTP_TLS": "none",
        "CHANGEOVER_MAIL_FROM": f"panel@{SENDER_DOMAIN}",
        "CHANGEOVER_HOST_DIR": str(folder / "hosts"),
        "CHANGEOVER_MAILS_PER_SECOND": "100000",  # the default is a kindness to the host's mail server
        "CHANGEOVER_ENGINE_TIMEOUT_SECONDS": "60",
        "TEMPORAL_ADDRESS": f"127.0.0.1:{temporal_port}",
        "PYTHONUNBUFFERED": "1",
    }


async def _connected(part: Part, address: str, **how: Any) -> Client:
    while True:
        try:
            return await Client.connect(address, **how)
        except RuntimeError:
            if not part.runs:
                raise ProcessFailed(part.trouble()) from None
            await asyncio.sleep(0.05)


@asynccontextmanager
async def running_system(
    folder: Path, database_url: str, *, database_pid: int | None = None, **settings: str
) -> AsyncIterator[System]:
    """Run a system with one worker for the block.

    `database_pid` is the database's process, if it is a server. `settings` replace ours, by their names
    without `CHANGEOVER_`.
    """
    (folder / "hosts").mkdir(parents=True)
    ports = Ports.free()
    address = f"127.0.0.1:{ports.temporal}"
    async with AsyncExitStack() as stack:
        sink = await stack.enter_async_context(taking_mail())
        environ = environment(folder, database_url, sink.port, ports.temporal)
        environ |= {f"CHANGEOVER_{name.upper()}": value for name, value in settings.items()}

        async def start(name: str, command: Sequence[str], *, answers: bool = False) -> Part:
            part = await Part.start(name, command, environ, folder / "log" / f"{name}.log", answers=answers)
            stack.push_async_callback(part.stop)
            return part

        serve = temporal_server.command(ports.temporal, ports.temporal_ui, folder / "temporal.db")
        temporal = await start("temporal", serve)
        await prepare(database_url)
        database = Database(database_url)
        stack.push_async_callback(database.close)
        await fill_pool(database, 1_000)
        client = await _connected(
            temporal, address, data_converter=DATA_CONVERTER, grpc_compression=COMPRESSION
        )
        stock = await _connected(temporal, address)
        floor = [sys.executable, "-m", "bench.floor_worker", address, FLOOR_QUEUE]
        floor_part = await start("floor", floor, answers=True)
        plans = PlanChanges(_facade_settings(environ), client)
        stack.push_async_callback(plans.close)
        system = System(
            folder=folder,
            database_url=database_url,
            environ=environ,
            temporal=temporal,
            floor=floor_part,
            sink=sink,
            ours=client,
            stock=stock,
            plans=plans,
            database=database,
            api_key=await new_api_key(database_url, "bench"),
            database_pid=database_pid,
        )
        await floor_part.first_line(_READY_SECONDS)
        stack.push_async_callback(system.stop)
        system.api_url = await system.start_api("starter.api")
        await system.run_workers(1)
        yield system


def _facade_settings(environ: dict[str, str]) -> Settings:
    names = {f"CHANGEOVER_{name.upper()}": name for name in Settings.model_fields}
    return Settings.model_validate({names[key]: value for key, value in environ.items() if key in names})


async def fill_pool(database: Database, count: int) -> None:
    """Put `count` free addresses into the pool."""
    now = datetime.now(UTC)
    rows = [
        {
            "address": f"198.51.100.{number // 1000 + 1}:{20_000 + number % 1000}",
            "server_id": None,
            "free_from": now,
            "held": False,
        }
        for number in range(count)
    ]
    await database.write(lambda connection: connection.execute(addresses.insert(), rows))
