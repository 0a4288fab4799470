"""The API over a seeded database, in this process or as one of its own; no engine answers."""

import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from changeover.settings import Settings
from changeover.storage.database import Database
from starter.api.app import create_app
from starter.api.keys import ApiKeys
from starter.plan_changes import PlanChanges
from tests.e2e.running import clean_environment
from tests.starter.conftest import SeededSystem, in_thread


@dataclass(kw_only=True)
class Api:
    """The API as the host's panel calls it, for one customer after the other."""

    client: httpx.AsyncClient
    app: FastAPI
    key: str
    seeded: SeededSystem

    def account_id(self, name: str) -> str:
        return str(next(it["id"] for it in self.seeded.accounts if it["email"] == f"{name}@example.com"))

    def headers(self, name: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}", "X-Account-Id": self.account_id(name)}

    async def call(self, method: str, path: str, *, who: str = "alice", **more: Any) -> httpx.Response:
        headers = self.headers(who) | more.pop("headers", {})
        return await self.client.request(method, path, headers=headers, **more)

    async def service(self, who: str = "alice") -> dict[str, Any]:
        services = (await self.call("GET", "/v1/services", who=who)).json()
        found: dict[str, Any] = services[0]
        return found

    async def quote(self, who: str = "alice", **wanted: Any) -> dict[str, Any]:
        service = await self.service(who)
        body = {"configuration": service["configuration"] | wanted}
        answer = await self.call("POST", f"/v1/services/{service['id']}/quotes", who=who, json=body)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


@pytest.fixture
async def api(seeded: SeededSystem, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Api]:
    for name, value in seeded.environ.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    plans = await PlanChanges.connect(settings)
    app = create_app(plans, settings)
    key = (await ApiKeys(plans.database).create("tests")).key
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as client:
        yield Api(client=client, app=app, key=key, seeded=seeded)
    await plans.close()


@contextmanager
def api_process(environ: Mapping[str, str], **more: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run `python -m starter.api` for the block; give its URL and the process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "starter.api", "--port", "0"],
        env=clean_environment() | dict(environ) | more,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())["api_url"], process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(30)
        process.stdout.close()


def new_key(url: str) -> str:
    """Make an API key in the database at `url`."""

    async def make() -> str:
        database = Database(url)
        try:
            return (await ApiKeys(database).create("tests")).key
        finally:
            await database.close()

    return in_thread(make())
