"""The system under test: real activities on a real database, real files and real mail, and its patience."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select
from temporalio.common import RetryPolicy
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

import worker
from changeover.adapters import Parts
from changeover.domain.catalogue import Offer
from changeover.settings import WorkerSettings
from changeover.storage import schema
from changeover.storage.catalogue import CatalogueReader, store_catalogue
from changeover.storage.catalogue_file import read_catalogue
from changeover.storage.tables import metadata, plan_changes
from starter.plan_changes import PlanChanges
from starter.seed import Situation
from tests.workflows.faults import PATIENCE, FaultyHost, Post, ShakyDatabase
from workflows import policies


async def eventually(check: Callable[[], Awaitable[Any]], what: str) -> Any:
    """Wait until `check` gives something true, and return it."""
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + PATIENCE
    while not (found := await check()):
        assert loop.time() < give_up_at, f"waited {PATIENCE} s for {what}"
        await asyncio.sleep(0.02)
    return found


def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make what takes hours take a second: retries, the patience with hosts, with mail, with the database."""
    quick = RetryPolicy(initial_interval=timedelta(seconds=0.05), maximum_interval=timedelta(seconds=0.2))
    for name in ("PATIENT_RETRY", "MAIL_RETRY", "HOST_RETRY"):
        monkeypatch.setattr(policies, name, quick)
    monkeypatch.setattr(policies, "LOCAL_RETRY", replace(quick, maximum_attempts=3))
    monkeypatch.setattr(policies, "OUTCOME_MAIL_AT_ONCE", timedelta(seconds=0.5))
    monkeypatch.setattr(policies, "OUTCOME_MAIL_TAKEN_UP", timedelta(seconds=0.3))
    monkeypatch.setattr(policies, "HOST_PATIENCE", timedelta(seconds=15))
    monkeypatch.setattr(policies, "CHILD_RESTART", timedelta(seconds=0.1))
    monkeypatch.setattr(policies, "FIRST_LOOK", timedelta(seconds=0.1))


def no_patience_with_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a transaction that hangs up after a second; a busy machine may need as long for any."""
    monkeypatch.setattr(policies, "LOCAL_TRANSACTION", timedelta(seconds=1))


def no_patience_with_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take a host's second failure for one that was retried for hours, however slow the machine is."""
    monkeypatch.setattr(policies, "HOST_RETRY", replace(policies.HOST_RETRY, maximum_attempts=2))


def little_patience_with_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up by the clock, as after hours: the server ends the retries, and says so around the cause."""
    monkeypatch.setattr(policies, "HOST_PATIENCE", timedelta(seconds=4))


@dataclass(frozen=True, kw_only=True)
class Customer:
    account_id: str
    email: str
    service_id: str
    server_ids: tuple[str, ...]


class System:
    """One system, whose workers stop and start."""

    def __init__(self, temporal: WorkflowEnvironment, folder: Path, post: Post) -> None:
        self.temporal = temporal
        self.folder = folder
        self.post = post
        self.host_dir = folder / "hosts"
        self.host = FaultyHost(self.host_dir)
        self.settings = WorkerSettings(
            embedded=True,
            database_url=f"sqlite+aiosqlite:///{folder / 'changeover.db'}",
            proof_key="p" * 40,
            code_keys={"k1": "c" * 40},
            code_key_id="k1",
            task_queue=f"q-{uuid4().hex[:8]}",
            smtp_host="localhost",
            smtp_tls="none",
            mail_from="no-reply@host.example",
            host_dir=self.host_dir,
            mails_per_second=1000,
            engine_timeout_seconds=30,
        )
        self.database = ShakyDatabase(self.settings.database_url)
        self.starter = PlanChanges(self.settings, temporal.client)
        self.customers: list[Customer] = []
        self._situations: list[Situation] = []
        self.typed: list[str] = []
        self._running: list[asyncio.Task[None]] = []
        self.workers: list[Worker] = []

    # The system.

    async def start_workers(self, *, mails: bool = True) -> None:
        """Start the worker of changes and that of mails; without `mails` those wait for `start_mails`."""
        parts = Parts(
            database=self.database,
            catalogue=CatalogueReader(),
            host=self.host,
            transport=self.post,
            sender_domain="host.example",
        )
        self.workers = worker.build_workers(self.temporal.client, self.settings, parts)
        begun = self.workers if mails else self.workers[:1]
        self._running = [asyncio.create_task(worker.run()) for worker in begun]

    def start_mails(self) -> None:
        self._running.append(asyncio.create_task(self.workers[1].run()))

    async def stop_workers(self) -> None:
        """Stop them as a deploy does: what is cached is lost."""
        await asyncio.gather(*(worker.shutdown() for worker in self.workers))
        await asyncio.gather(*self._running)
        self.workers, self._running = [], []

    async def restart_workers(self) -> None:
        await self.stop_workers()
        await self.start_workers()

    async def close(self) -> None:
        await self.stop_workers()
        await self.starter.close()
        await self.database.close()

    # The database's side.

    async def rows(self, query: Any) -> list[Any]:
        async with self.database.read() as connection:
            return list(await connection.execute(query))

    async def row(self, change_id: str) -> Any:
        found = await self.rows(select(plan_changes).where(plan_changes.c.id == change_id))
        return found[0] if found else None

    async def table(self, name: str) -> list[dict[str, Any]]:
        """Return all rows of a table, in the order of their keys."""
        table = metadata.tables[name]
        found = await self.rows(select(table).order_by(*table.primary_key.columns))
        return [dict(row._mapping) for row in found]

    async def events(self, change_id: str) -> list[str]:
        return [row["event"] for row in await self.table("trail") if row["change_id"] == change_id]

    async def execute(self, statement: Any) -> None:
        async def work(connection: Any) -> None:
            await connection.execute(statement)

        await self.database.write(work)

    async def load_catalogue(self, change: Callable[[dict[str, Offer]], None]) -> None:
        """Put a new version of the catalogue in force, as `changeover setup` does."""
        async with self.database.read() as connection:
            present = dict(await CatalogueReader().current(connection))
        change(present)
        await self.database.write(lambda it: store_catalogue(it, present, datetime.now(UTC)))


async def make_template(file: Path) -> None:
    """Make a database with the schema and the catalogue that is shipped."""
    url = f"sqlite+aiosqlite:///{file}"
    await schema.upgrade(url)
    database = ShakyDatabase(url)
    shipped = Path(schema.__file__).with_name("catalogue.example.toml")
    offers = read_catalogue(shipped)
    await database.write(lambda connection: store_catalogue(connection, offers, datetime.now(UTC)))
    await database.close()
