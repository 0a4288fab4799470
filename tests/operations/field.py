"""A running system with customers, whose hosts can be made to fail, and an operator who types commands."""

import asyncio
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select, update

from changeover.domain.catalogue import Configuration
from changeover.settings import Settings
from changeover.storage.database import Database
from changeover.storage.tables import accounts, addresses, plan_changes, servers, tasks
from starter.plan_changes import PlanChanges
from starter.views import Acknowledgement, ServiceView
from tests.e2e.running import CODE, Up, clean_environment
from tests.operations.runbook import sections
from workflows import ids

PATIENCE = 60.0


@dataclass(frozen=True)
class Customer:
    """Somebody with one service, whom no other test uses."""

    email: str
    account_id: str
    service: ServiceView


@dataclass(frozen=True)
class Case:
    """A change, and what the runbook's capitals stand for in it."""

    customer: Customer
    change_id: str
    words: Mapping[str, str]


class Field:
    """Use it as a customer and as a host does; `follow` is the operator, who has the runbook alone."""

    def __init__(self, up: Up, settings: Settings, plans: PlanChanges) -> None:
        self.up = up
        self.settings = settings
        self.plans = plans
        self.database = Database(settings.database_url)
        self._used = 0

    async def customer(self, servers: int) -> Customer:
        """Return a customer nobody else gets, with so many servers (1 to 3)."""
        while True:
            self._used += 1
            if 1 + self._used % 3 == servers:
                email = f"customer-{self._used:05}@example.com"
                query = select(accounts.c.id).where(accounts.c.email == email)
                async with self.database.read() as connection:
                    account_id = str((await connection.execute(query)).scalar_one())
                (service,) = await self.plans.services(account_id)
                return Customer(email, account_id, service)

    async def requested(self, customer: Customer, *, marks: int = 0, more: int = 0, slots: int = 0) -> Case:
        """Ask for a change: give up the last servers, get more, or other slots."""
        service, account_id = customer.service, customer.account_id
        given_up = service.servers[len(service.servers) - marks :]
        for server in given_up:
            await self.plans.mark(account_id, service.id, server.id)
        present = service.configuration
        count = present.server_count - marks + more
        wanted = Configuration.of(present.offer, present.slots + slots, present.options, count)
        quote = await self.plans.quote(account_id, service.id, wanted)
        assert quote.digest is not None, quote.blockers
        requested = await self.plans.request(
            account_id,
            service.id,
            wanted,
            digest=quote.digest,
            acknowledge=Acknowledgement(no_refund=True, destroys=tuple(it.id for it in quote.destroys)),
            idempotency_key="click",
        )
        concerned = ids.server_id(requested.id, 0) if more else (given_up or service.servers)[0].id
        return self._case(customer, requested.id, concerned)

    def _case(self, customer: Customer, change_id: str, server: str) -> Case:
        words = {
            "CHANGE": change_id,
            "SERVICE": customer.service.id,
            "SERVER": server,
            "ACCOUNT": customer.account_id,
            "YOU": "olga",
        }
        return Case(customer, change_id, words)

    async def mailed(self, case: Case) -> str:
        """Wait for the code of the change and return it."""
        reference = case.change_id[:8].upper()

        def found() -> str | None:
            texts = [text for text in self.up.mails(case.customer.email) if reference in text]
            return next((match[0] for text in texts if (match := CODE.search(text))), None)

        code: str = await self.until(lambda: asyncio.to_thread(found), "the code's mail")

        async def handed_over() -> bool:
            view = await self.plans.status(case.customer.account_id, case.change_id)
            return view.code_expires_at is not None

        await self.until(handed_over, "the mail to be handed over")
        return code

    async def confirm(self, case: Case) -> None:
        code = await self.mailed(case)
        await self.plans.submit_code(case.customer.account_id, case.change_id, code)

    # The host.

    @property
    def temporal_ui(self) -> str:
        return str(json.loads((self.up.folder / "up.json").read_text())["temporal_ui_url"])

    def folder(self, server_id: str) -> Path:
        """Return where the host has the server."""
        return self.up.folder / "hosts" / server_id

    def block(self, folder: Path) -> None:
        """Put a link where the host expects a folder: it refuses to touch that."""
        aside = folder.with_name(f"{folder.name}.aside")
        if folder.exists():
            folder.rename(aside)
        else:
            aside.mkdir()
        folder.symlink_to(aside)

    def mend(self, folder: Path, *, empty: bool = False) -> None:
        """Do what the problem's text says: take the link away (and the server with it, if it is `empty`)."""
        folder.unlink()
        aside = folder.with_name(f"{folder.name}.aside")
        if empty:
            shutil.rmtree(aside)
        else:
            aside.rename(folder)

    async def stuck_teardown(self) -> Case:
        """Bring about a teardown that the host refuses, in the middle of it: its data is no folder."""
        customer = await self.customer(2)
        case = await self.requested(customer, marks=1, slots=4)
        self.block(self.folder(case.words["SERVER"]) / "backups")
        await self.confirm(case)
        await self.stage(case, "needs_attention")
        return case

    async def stage(self, case: Case, stage: str, reason: str | None = None) -> None:
        """Wait until the change is at a stage; a run that waits also shows it."""

        async def arrived() -> bool:
            row = await self._row(case)
            return bool(row.stage == stage and reason in {None, row.reason})

        await self.until(arrived, f"{stage} {reason or ''}")
        if stage == "needs_attention":
            await self.until(lambda: self._shown(case), "the runs to show it")

    async def _row(self, case: Case) -> Any:
        query = select(plan_changes).where(plan_changes.c.id == case.change_id)
        async with self.database.read() as connection:
            return (await connection.execute(query)).one()

    async def _shown(self, case: Case) -> bool:
        query = f"ChangeoverNeedsAttention = true AND ChangeoverService = '{case.customer.service.id}'"
        listed = await self.type(f'temporal workflow list --query "{query}"')
        return "plan-change/" in listed

    async def goes_on(self, case: Case) -> str:
        """Wait until what was skipped is over, and return where the change stands then."""

        async def settled() -> str | None:
            stage = str((await self._row(case)).stage)
            waits = select(tasks.c.state).where(tasks.c.server_id == case.words["SERVER"])
            async with self.database.read() as connection:
                state = str((await connection.execute(waits)).scalar_one())
            return stage if stage == "completed" or state == "attention" else None

        return str(await self.until(settled, "the next step, or the end"))

    async def address(self, case: Case) -> Any:
        """Return the pool's row of the address that the server had."""
        query = select(addresses).join(servers, servers.c.address == addresses.c.address)
        async with self.database.read() as connection:
            return (await connection.execute(query.where(servers.c.id == case.words["SERVER"]))).one()

    async def knows_address(self, address: str) -> bool:
        async with self.database.read() as connection:
            query = select(addresses.c.address).where(addresses.c.address == address)
            return (await connection.execute(query)).scalar_one_or_none() is not None

    async def make_older(self, case: Case) -> None:
        """Have the change be two minutes older: what is young, the reconciler leaves alone."""
        its = update(plan_changes).where(plan_changes.c.id == case.change_id)
        row = await self._row(case)
        earlier = timedelta(minutes=2)
        values = {"as_of": row.as_of - earlier}
        if row.committed_at is not None:
            values["committed_at"] = row.committed_at - earlier
        await self.database.write(lambda connection: connection.execute(its.values(**values)))

    # The operator.

    async def follow(self, page: str, heading: str, words: Mapping[str, str], only: str = "") -> str:
        """Type the commands of a section (those that begin so), and return what they answered."""
        commands = [it for it in sections(page)[heading] if it.line.startswith(only)]
        assert commands, f"{page}, {heading}: nothing begins with {only!r}"
        return "\n".join([await self.type(it.filled_in(words), code=it.code) for it in commands])

    async def type(self, line: str, code: int = 0) -> str:
        """Type a line in a terminal of the installation; it ends with this code."""
        binaries = str(Path(sys.executable).parent)
        environ = clean_environment() | self.up.settings() | {"PATH": f"{binaries}:{os.environ['PATH']}"}
        shell = await asyncio.create_subprocess_exec(
            *("bash", "-c", line),
            env=environ | {"COLUMNS": "200"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output = (await asyncio.wait_for(shell.communicate(), PATIENCE))[0].decode()
        assert shell.returncode == code, f"{line}\nended with {shell.returncode}, not {code}:\n{output}"
        return output

    async def until(self, check: Any, what: str) -> Any:
        give_up_at = asyncio.get_running_loop().time() + PATIENCE
        while not (found := await check()):
            assert asyncio.get_running_loop().time() < give_up_at, f"it did not happen in time: {what}"
            await asyncio.sleep(0.1)
        return found

    @contextmanager
    def frozen(self, part: str) -> Iterator[None]:
        """Stop a process of the system from answering, for the block."""
        (pid,) = [pid for pid, command in self.up.processes().items() if re.search(part, command)]
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)


@asynccontextmanager
async def opened(up: Up) -> AsyncIterator[Field]:
    """Give the field of a running system, whose settings are in the environment."""
    settings = Settings()
    plans = await PlanChanges.connect(settings)
    field = Field(up, settings, plans)
    try:
        yield field
    finally:
        await field.database.close()
        await plans.close()
