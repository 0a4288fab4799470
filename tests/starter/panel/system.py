"""The real system with the panel in front of it: real processes, real mails, real files."""

import asyncio
import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select

from changeover.storage.database import Database
from changeover.storage.tables import accounts, panel_links
from starter.panel.sessions import hashed
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
        """Return a one-time link, as the host's API would make it."""
        token = secrets.token_urlsafe(32)
        database = Database(self.up.settings()["CHANGEOVER_DATABASE_URL"])
        row = {"hash": hashed(token), "account_id": account_id, "expires_at": _soon(), "used_at": None}

        async def work(connection: Any) -> None:
            await connection.execute(insert(panel_links).values(**row))

        await database.write(work)
        await database.close()
        return f"{self.url}enter?token={token}"

    async def code_for(self, email: str, number: int = 1) -> str:
        """Wait for the customer's `number`-th mail with a code and return the code."""
        codes: list[str] = []

        def arrived() -> bool:
            texts = [file.read_text() for file in sorted((self.up.folder / "mail").glob("*.eml"))]
            mine = [text for text in texts if email in text]
            found = (CODE.search(text) for text in mine)
            codes[:] = list(dict.fromkeys(match[0] for match in found if match))
            return len(codes) >= number

        await asyncio.to_thread(wait_until, arrived)
        return codes[number - 1]

    async def account_id(self, email: str) -> str:
        database = Database(self.up.settings()["CHANGEOVER_DATABASE_URL"])
        async with database.read() as connection:
            query = select(accounts.c.id).where(accounts.c.email == email)
            found: str = (await connection.execute(query)).scalar_one()
        await database.close()
        return found

    async def account(self, email: str) -> dict[str, Any]:
        """Return the customer's service as the command line shows it."""
        answer = await asyncio.to_thread(lambda: self.up.json("services", account=email))
        found: dict[str, Any] = answer["services"][0] if isinstance(answer, dict) else answer[0]
        return found

    async def price(self, offer: str, per_slot: int) -> None:
        """Put another price of an offer in force."""
        lines, inside = [], False
        for line in CATALOGUE.read_text().splitlines():
            inside = line == f"[offers.{offer}]" or (inside and not line.startswith("["))
            lines.append(f"per_slot = {per_slot}" if inside and line.startswith("per_slot") else line)
        file = self.up.folder / "other-prices.toml"
        file.write_text("\n".join(lines) + "\n")
        done = await asyncio.to_thread(lambda: self.up.run("setup", "--catalogue", str(file), account=None))
        assert done.returncode == 0, done.stderr


def _soon() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=60)


@contextmanager
def running_panel(folder: Path) -> Iterator[PanelSystem]:
    """Start a whole system with its panel, and stop it."""
    with running_up(folder) as up:
        seeded = up.run("seed", "--accounts", str(EXTRA), account=None)
        assert seeded.returncode == 0, seeded.stderr
        port = free_port_base()
        command = [sys.executable, "-m", "starter.panel", "--port", str(port), "--demo"]
        log = folder / "log" / "panel.log"
        with log.open("wb") as errors:
            process = subprocess.Popen(
                command,
                env=clean_environment() | up.settings() | coverage_of_children(),
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


def coverage_of_children() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("COVERAGE")}
