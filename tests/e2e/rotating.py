"""An installation whose keys are replaced as docs/operations/rotation.md says, and its customers."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.deploy.installation import Installation, codes_in, installed
from tests.mail.servers import Script
from tests.support.postgres import Postgres

WORKERS = ("worker-1", "worker-2")


class Rotation:
    """Keys are files of `secrets`; whoever is to read new ones is restarted."""

    def __init__(self, system: Installation, post: Script, accounts: list[dict[str, Any]]) -> None:
        self.system = system
        self.post = post
        self.api_key = ""
        self._newcomers = iter(accounts)
        self._environ: dict[str, str] = {}

    # The operator.

    def secret(self, name: str) -> Any:
        return json.loads((self.system.secrets / name).read_text())

    def write(self, name: str, content: object) -> None:
        """Replace the file of a secret; a key stands in it as it is, all else as JSON."""
        text = content if isinstance(content, str) else json.dumps(content)
        (self.system.secrets / name).write_text(text)

    def set(self, **environ: str) -> None:
        """Set what is no secret, for whoever starts from now on."""
        self._environ |= environ

    async def start(self, *services: str) -> None:
        for service in services:
            self.system.start(service, None, tree=None, **self._environ)
            await asyncio.to_thread(self.system.says, service, "ready" if service in WORKERS else "api_url")

    async def restart(self, *services: str) -> None:
        """Restart one after the other, as a rolling restart does."""
        for service in services:
            ended = await asyncio.to_thread(self.system.stop, service)
            log = self.system.log(service)
            assert ended == 0, log.read_text()
            log.write_text("")  # the next one says anew that it is ready
            await self.start(service)

    async def command(self, service: str, *words: str) -> Any:
        """Run a command with the settings of a service, and return what it says as JSON."""
        done = await asyncio.to_thread(self.system.run, service, *words, "--json", **self._environ)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    async def doctor_on_keys(self) -> str:
        """Return what `changeover doctor` says of the keys of codes."""
        done = await asyncio.to_thread(self.system.run, "worker-1", "doctor", "--json", **self._environ)
        found = [json.loads(line) for line in done.stdout.splitlines()]
        return str(next(it["message"] for it in found if it["check"] == "keys"))

    # The customers.

    async def new_change(self) -> "OpenChange":
        """Have a customer whom nobody else uses ask for a change, and wait for the mailed code."""
        account = next(self._newcomers)
        change = OpenChange(self, account["id"], account["email"])
        await change.request(account["services"][0]["id"])
        return change

    async def call(self, account_id: str, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.api_key}", "X-Account-Id": account_id}
        headers |= more.pop("headers", {})
        async with httpx.AsyncClient(base_url=self.system.api_url, timeout=60) as client:
            return await client.request(method, path, headers=headers, **more)


class OpenChange:
    """A change of one customer, through the API."""

    def __init__(self, rotation: Rotation, account_id: str, email: str) -> None:
        self._rotation = rotation
        self._account_id = account_id
        self._email = email
        self.id = ""
        self.code = ""

    async def _call(self, method: str, path: str, **more: Any) -> httpx.Response:
        return await self._rotation.call(self._account_id, method, path, **more)

    async def request(self, service_id: str) -> None:
        path = f"/v1/services/{service_id}"
        present = (await self._call("GET", path)).json()["configuration"]
        wanted = present | {"slots": present["slots"] + 4}
        quote = (await self._call("POST", f"{path}/quotes", json={"configuration": wanted})).json()
        confirm = {
            "configuration": wanted,
            "digest": quote["digest"],
            "acknowledge": {"no_refund": True, "destroys": []},
        }
        click = {"Idempotency-Key": "click"}
        answer = await self._call("POST", f"{path}/plan-changes", json=confirm, headers=click)
        assert answer.status_code == 201, answer.text
        self.id = answer.json()["id"]
        await self._until(lambda it: it["code_expires_at"] is not None)
        (self.code,) = codes_in(self._rotation.post, self._email)

    async def type(self, code: str) -> httpx.Response:
        return await self._call("POST", f"/v1/plan-changes/{self.id}/code", json={"code": code})

    async def wrong(self, letter: str) -> int:
        """Type a wrong code, made of one letter, and return how many tries are left."""
        answer = await self.type(letter * 8)
        assert answer.status_code == 422, answer.text
        return int(answer.json()["tries_left"])

    async def confirm(self) -> None:
        """Type the mailed code: it is right, and the change is carried out."""
        answer = await self.type(self.code)
        assert answer.status_code == 200, answer.text
        done = await self._until(lambda it: it["stage"] == "completed")
        told = [entry["event"] for entry in done["timeline"]]
        assert told.count("committed") == 1, told

    async def _until(self, is_so: Any) -> Any:
        for _ in range(900):
            now = (await self._call("GET", f"/v1/plan-changes/{self.id}")).json()
            if is_so(now):
                return now
            await asyncio.sleep(0.1)
        raise AssertionError(now)


@asynccontextmanager
async def rotating(folder: Path, postgres: Postgres, customers: int) -> AsyncIterator[Rotation]:
    """Install with two workers, an API and so many customers."""
    post = Script()
    async with installed(folder, postgres, post) as system:
        seeded = await asyncio.to_thread(
            system.run, "worker-1", "seed", "--accounts", str(customers), "--json"
        )
        rotation = Rotation(system, post, json.loads(seeded.stdout)[-customers:])
        await rotation.start(*WORKERS, "api")
        made = await rotation.command("setup", "keys", "create", "the panel, from May")
        rotation.api_key = made["key"]
        yield rotation
