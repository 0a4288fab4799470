"""A seeded SQLite database, and the command line run against it in this process."""

import asyncio
import shutil
from collections.abc import Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import NAMESPACE_URL, uuid5

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import insert, text

from changeover.domain.catalogue import Configuration
from changeover.storage import catalogue_file, schema
from changeover.storage.catalogue import store_catalogue
from changeover.storage.database import Database
from changeover.storage.tables import plan_changes, trail
from starter.cli.main import cli
from starter.seed import Seeded, seed

T = TypeVar("T")

CATALOGUE = Path(catalogue_file.__file__).with_name("catalogue.example.toml")
CLOSED_PORT = "127.0.0.1:1"
"""Nothing listens on port 1: the engine is away."""


def in_thread(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` in a loop of its own, whatever loop the test session has."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


@dataclass(frozen=True, kw_only=True)
class SeededSystem:
    """The seeded customers, in a database of the test's own; no engine answers."""

    url: str
    accounts: list[dict[str, Any]] = field(repr=False)
    environ: Mapping[str, str] = field(repr=False)
    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    def service_id(self, name: str) -> str:
        account = next(it for it in self.accounts if it["email"] == f"{name}@example.com")
        return str(account["services"][0]["id"])

    def run(
        self, *arguments: str, stdin: str | None = None, environ: Mapping[str, str] | None = None
    ) -> Result:
        """Run `changeover` in this process, with `environ` above the system's own settings."""
        runner = CliRunner(env={**self.environ, **(environ or {})})
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(runner.invoke, cli, arguments, input=stdin).result()

    def execute(self, *statements: Any) -> None:
        """Alter the database behind everyone's back."""

        async def work() -> None:
            database = Database(self.url)
            for statement in statements:
                await database.write(lambda connection, it=statement: connection.execute(it))  # type: ignore[misc]
            await database.close()

        in_thread(work())

    def execute_text(self, statement: str) -> None:
        self.execute(text(statement))


def an_open_change(seeded: SeededSystem, name: str, **values: Any) -> dict[str, Any]:
    """Write a change of the customer's service that awaits its code, as `open_change` would."""
    row = {
        "id": str(uuid5(NAMESPACE_URL, f"test-change-{name}")),
        "service_id": seeded.service_id(name),
        "account_id": next(it["id"] for it in seeded.accounts if it["email"] == f"{name}@example.com"),
        "fingerprint": "0" * 64,
        "stage": "awaiting_code",
        "before": Configuration.of("cs2-public", 20, (), 3).record,
        "after": Configuration.of("cs2-public", 24, (), 3).record,
        "terms": {"rate_before": 6000, "rate_after": 7200, "expires_at": seeded.now.isoformat()},
        "destroys": [],
        "creates": 0,
        "spends_pass": False,
        "as_of": seeded.now,
        "window_ends_at": seeded.now + timedelta(hours=1),
        "code_number": 1,
        "code_handed_over_at": seeded.now,
        "code_expires_at": seeded.now + timedelta(minutes=10),
        "wrong_on_code": 0,
        "wrong_on_change": 0,
        **values,
    }
    event = {
        "change_id": row["id"],
        "at": seeded.now,
        "event": "accepted",
        "stage": "awaiting_code",
        "actor": "system",
        "data": {},
    }
    seeded.execute(insert(plan_changes).values(**row), insert(trail).values(**event))
    return row


async def _make(path: Path) -> Seeded:
    url = f"sqlite+aiosqlite:///{path}"
    await schema.upgrade(url)
    database = Database(url)
    now = datetime.now(UTC)
    catalogue = catalogue_file.read_catalogue(CATALOGUE)
    await database.write(lambda connection: store_catalogue(connection, catalogue, now))
    made = await seed(database, now)
    await database.close()
    return made


@pytest.fixture(scope="session")
def _template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Seeded]:
    path = tmp_path_factory.mktemp("seeded") / "template.db"
    return path, in_thread(_make(path))


@pytest.fixture
def seeded(_template: tuple[Path, Seeded], tmp_path: Path) -> SeededSystem:
    """A fresh copy of the seeded database, with settings for it and an engine that is away."""
    template, made = _template
    path = tmp_path / "changeover.db"
    shutil.copy(template, path)
    url = f"sqlite+aiosqlite:///{path}"
    return SeededSystem(
        url=url,
        accounts=made.accounts,
        environ={
            "CHANGEOVER_DATABASE_URL": url,
            "CHANGEOVER_PROOF_KEY": "proofs-of-typed-codes-for-tests-only",
            "CHANGEOVER_ENGINE_TIMEOUT_SECONDS": "1",
            "TEMPORAL_ADDRESS": CLOSED_PORT,
            "LC_ALL": "C.UTF-8",
        },
    )
