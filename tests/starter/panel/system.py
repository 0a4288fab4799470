"""The real system with the panel in front of it: real processes, real mails, real files."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select, update

from changeover.storage.database import Database
from changeover.storage.tables import accounts, plan_changes, services
from starter.api.links import make_link
from tests.e2e.running import CODE, Up, clean_environment, free_port_base, running_up, wait_until

EXTRA = 90
"""So many customers beside the sample ones: each story takes one of its own."""

CATALOGUE = Path("changeover/storage/catalogue.example.toml")
SEED_CUSTOMER = {"fr": 1, "en": 0}


def chromium() -> str | None:
    """Return where the browser is, or None."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


class PanelSystem:
    """A running system, the panel's address, and customers that no story has used yet."""

    def __init__(self, up: Up, url: str) -> None:
        self.up = up
        self.url = url
        self._used: set[int] = set()

    def customer(self, language: str, servers: int) -> str:
        """Return the e-mail address of a customer nobody else gets: 1 server is `cs2-public`, 2 `cs2-eco`,
        3 `cs2-club`.
        """
        for number in range(12, EXTRA + 1):
            fits = number % 2 == SEED_CUSTOMER[language] and 1 + number % 3 == servers
            if fits and number not in self._used:
                self._used.add(number)
                return f"customer-{number:05}@example.com"
        raise AssertionError("more stories than customers: raise EXTRA")

    async def link(self, account_id: str) -> str:
        """Return a one-time link, made as the host's API makes it."""
        database = Database(self.up.settings()["CHANGEOVER_DATABASE_URL"])
        link = await make_link(database, account_id, self.url, datetime.now(UTC))
        await database.close()
        return link.url

    async def poor_customer(self) -> str:
        """Return a customer with one server of 20 slots and too few days left for more."""
        email = self.customer("fr", 1)
        its = services.c.account_id == await self.account_id(email)
        soon = datetime.now(UTC) + timedelta(days=1.5)
        await self.execute(update(services).where(its).values(expires_at=soon))
        return email

    async def execute(self, statement: Any) -> None:
        database = Database(self.up.settings()["CHANGEOVER_DATABASE_URL"])
        await database.write(lambda connection: connection.execute(statement))
        await database.close()

    async def pretend_stage(self, change_id: str, stage: str) -> None:
        """Show a change as if it were at another stage; it has ended, so no run minds."""
        await self.execute(update(plan_changes).where(plan_changes.c.id == change_id).values(stage=stage))

    @asynccontextmanager
    async def engine_away(self) -> AsyncIterator[None]:
        """Stop Temporal from answering for a while, and let it go on."""
        (temporal,) = [pid for pid, command in self.up.processes().items() if "start-dev" in command]
        os.kill(temporal, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(temporal, signal.SIGCONT)

    def mails_to(self, email: str) -> list[str]:
        texts = [file.read_text() for file in sorted((self.up.folder / "mail").glob("*.eml"))]
        return [text for text in texts if email in text]

    async def account_id(self, email: str) -> str:
        database = Database(self.up.settings()["CHANGEOVER_DATABASE_URL"])
        async with database.read() as connection:
            query = select(accounts.c.id).where(accounts.c.email == email)
            found: str = (await connection.execute(query)).scalar_one()
        await database.close()
        return found

    def codes_to(self, email: str) -> list[str]:
        """Return the codes that were mailed, in their order; a mail that came twice counts once."""
        found = (CODE.search(text) for text in self.mails_to(email))
        return list(dict.fromkeys(match[0] for match in found if match))

    async def code_for(self, email: str, number: int = 1) -> str:
        """Wait for the customer's `number`-th code and return it."""
        await asyncio.to_thread(wait_until, lambda: len(self.codes_to(email)) >= number)
        return self.codes_to(email)[number - 1]

    async def price(self, offer: str, per_slot: int) -> None:
        """Put another price of an offer in force."""
        file = _catalogue_with(offer, per_slot, self.up.folder / "other-prices.toml")
        done = await asyncio.to_thread(lambda: self.up.run("setup", "--catalogue", str(file), account=None))
        assert done.returncode == 0, done.stderr


def _catalogue_with(offer: str, per_slot: int, file: Path) -> Path:
    """Write the example with another price per slot of one offer."""
    lines, inside = [], False
    for line in CATALOGUE.read_text().splitlines():
        inside = line == f"[offers.{offer}]" or (inside and not line.startswith("["))
        lines.append(f"per_slot = {per_slot}" if inside and line.startswith("per_slot") else line)
    file.write_text("\n".join(lines) + "\n")
    return file


@contextmanager
def running_panel(folder: Path, environ: Mapping[str, str] | None = None) -> Iterator[PanelSystem]:
    """Start a whole system with its panel, with these settings beside its own, and stop it."""
    with running_up(folder, environ) as up:
        seeded = up.run("seed", "--accounts", str(EXTRA), account=None)
        assert seeded.returncode == 0, seeded.stderr
        port = free_port_base()
        command = [sys.executable, "-m", "starter.panel", "--port", str(port), "--demo"]
        log = folder / "log" / "panel.log"
        with log.open("wb") as errors:
            process = subprocess.Popen(
                command,
                env=clean_environment() | up.settings(),
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        try:
            assert process.stdout is not None
            first = process.stdout.readline()
            assert first, log.read_text()
            yield PanelSystem(up, json.loads(first)["panel_url"])
        finally:
            process.terminate()
            process.wait(30)
