"""A running installation whose workers are replaced by a newer release, and its customers meanwhile."""

import asyncio
import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from aiosmtpd.smtp import SMTP, Envelope, Session
from sqlalchemy import select
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from changeover.domain.catalogue import Configuration
from changeover.domain.problems import EngineUnavailable
from changeover.settings import Settings
from changeover.storage.database import Database
from changeover.storage.tables import code_tries, receipts, trail
from starter.embedded import temporal_server
from starter.engine import DATA_CONVERTER
from starter.operations import Operations
from starter.plan_changes import PlanChanges
from starter.views import Acknowledgement, ChangeView
from tests.deploy.installation import NAMESPACE, ROOT, Installation, codes_in
from tests.e2e.running import wait_until
from tests.mail.servers import Script

SOURCES = ("changeover", "workflows", "activities", "starter", "worker.py")
PATCH = "a-step-of-the-next-release"
T = TypeVar("T")
_TASK_FAILED = EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
_BEFORE = "        change_id = self._recap.change_id\n"


class Post(Script):
    """A mail server that puts some recipients off."""

    def __init__(self) -> None:
        super().__init__()
        self.deferred: set[str] = set()
        self.asked: Counter[str] = Counter()

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self.asked[address] += 1
        if address in self.deferred:
            return "450 4.2.0 come again later"
        return await super().handle_RCPT(server, session, envelope, address, options)


def next_release(folder: Path) -> Path:
    """Copy the sources, with one more step for every change that ends; old runs know nothing of it."""
    for source in SOURCES:
        copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy2
        copy(ROOT / source, folder / source)
    file = folder / "workflows/plan_change.py"
    text = file.read_text(encoding="utf-8")
    assert text.count(_BEFORE) == 1, "the story has changed: choose another place for the step"
    step = f'        if workflow.patched("{PATCH}"):\n            await workflow.sleep(0.01)\n'
    file.write_text(text.replace(_BEFORE, step + _BEFORE), encoding="utf-8")
    return folder


class Customers:
    """The customers of an installation, through the facade."""

    def __init__(self, system: Installation, post: Post, client: Client) -> None:
        environ = system.environment("api")
        secrets = Path(environ["CHANGEOVER_SECRETS_DIR"])
        settings = Settings(
            database_url=(secrets / "CHANGEOVER_DATABASE_URL").read_text(),
            proof_key=(secrets / "CHANGEOVER_PROOF_KEY").read_text(),
            engine_timeout_seconds=10,
        )
        self.post = post
        self.client = client
        self.plans = PlanChanges(settings, client)
        self.operations = Operations(settings, client)
        self.database = Database(settings.database_url)
        self.hosts = system.servers
        self.accounts: list[dict[str, Any]] = []
        self.changes: dict[str, str] = {}

    @classmethod
    async def move_in(cls, system: Installation, post: Post, number: int) -> "Customers":
        client = await Client.connect(
            system.temporal_address, namespace=NAMESPACE, data_converter=DATA_CONVERTER
        )
        customers = cls(system, post, client)
        seeded = await asyncio.to_thread(system.run, "worker-1", "seed", "--accounts", str(number), "--json")
        customers.accounts = json.loads(seeded.stdout)[-number:]
        return customers

    async def close(self) -> None:
        await self.plans.close()
        await self.database.close()

    async def request(self, account: dict[str, Any], *, gives_up: bool = False) -> str:
        """Ask for four more slots and, with `gives_up`, for one server less; as often as it takes."""
        who, service_id = account["id"], account["services"][0]["id"]
        service = await self.plans.service(who, service_id)
        if gives_up:
            await self.plans.mark(who, service_id, service.servers[-1].id)
        present = service.configuration
        wanted = Configuration.of(
            present.offer, present.slots + 4, present.options, present.server_count - gives_up
        )
        quote = await self.plans.quote(who, service_id, wanted)
        assert quote.digest is not None, quote.blockers
        ours = Acknowledgement(no_refund=True, destroys=tuple(it.id for it in quote.destroys))
        digest = quote.digest
        requested = await again_while_away(
            lambda: self.plans.request(
                who, service_id, wanted, digest=digest, acknowledge=ours, idempotency_key="click"
            )
        )
        self.changes[account["email"]] = requested.id
        return requested.id

    async def confirm(self, account: dict[str, Any]) -> ChangeView:
        change = self.changes[account["email"]]
        await self.until(account, lambda it: it.code_expires_at is not None)
        code = codes_in(self.post, account["email"])[0]
        return await again_while_away(lambda: self.plans.submit_code(account["id"], change, code))

    async def until(self, account: dict[str, Any], is_so: Callable[[ChangeView], bool]) -> ChangeView:
        for _ in range(1800):
            view = await self.plans.status(account["id"], self.changes[account["email"]])
            if is_so(view):
                return view
            await asyncio.sleep(0.05)
        raise AssertionError(f"{account['email']}: {view}")

    async def completed(self, account: dict[str, Any]) -> None:
        await self.until(account, lambda it: it.stage == "completed")

    def block_backups(self, account: dict[str, Any], server_id: str) -> Callable[[], None]:
        """Make the host refuse to delete the server's backups; return what mends it."""
        backups, aside = f"{server_id}/backups", f"{server_id}/backups-moved-away"
        (self.hosts / backups).rename(self.hosts / aside)
        (self.hosts / backups).symlink_to(self.hosts / aside)

        def mend() -> None:
            (self.hosts / backups).unlink()
            (self.hosts / aside).rename(self.hosts / backups)

        return mend

    def move_hosts(self, name: str) -> None:
        """Have the servers' files elsewhere: gone for a worker, there for another."""
        self.hosts = self.hosts.rename(self.hosts.with_name(name))

    # What must hold afterwards.

    async def nothing_twice(self) -> None:
        """Each change has one commit and one of each step, each customer one mail of each kind."""
        async with self.database.read() as connection:
            told = Counter((row.change_id, row.event) for row in await connection.execute(select(trail)))
            steps = Counter(
                (row.change_id, row.server_id, row.step) for row in await connection.execute(select(receipts))
            )
            assert not list(await connection.execute(select(code_tries))), "no code was judged wrong"
        for email, change in self.changes.items():
            for event in ("accepted", "code_mailed", "committed", "completed", "outcome_mailed"):
                assert told[change, event] == 1, (email, event, told)
            sent = [it.rcpt_tos for it in self.post.received].count([email])
            assert sent == 2, (email, sent)
        assert set(steps.values()) <= {1}

    async def runs_without_failed_tasks(self) -> dict[str, list[Any]]:
        """Return the events of every run, none of which may tell of a failed workflow task."""
        found = {}
        async for run in self.client.list_workflows():
            history = await self.client.get_workflow_handle(run.id, run_id=run.run_id).fetch_history()
            failed = [it for it in history.events if it.event_type == _TASK_FAILED]
            assert not failed, (run.id, failed)
            found[run.id] = list(history.events)
        return found


async def again_while_away(call: Callable[[], Awaitable[T]]) -> T:
    """Do what a panel does: while the engine is away, the very same call again."""
    for _ in range(20):
        try:
            return await call()
        except EngineUnavailable:
            await asyncio.sleep(0.2)
    raise AssertionError("the engine stayed away")


def set_current_version(system: Installation, build_id: str) -> None:
    """As docs/operations/upgrade.md says."""
    command = [str(temporal_server.executable()), "worker", "deployment", "set-current-version", "--yes"]
    command += ["--address", system.temporal_address, "--namespace", NAMESPACE]
    command += ["--deployment-name", "changeover", "--build-id", build_id]
    # Refused until Temporal has heard of both its queues, a moment after the worker is ready.
    wait_until(lambda: subprocess.run(command, capture_output=True, check=False).returncode == 0)
