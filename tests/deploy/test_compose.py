"""The services of the compose file are complete: as plain processes they make one whole plan change."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from tests.deploy.installation import codes_in, installed
from tests.e2e.running import ALICE
from tests.mail.servers import Script
from tests.support.postgres import Postgres


async def test_the_compose_file_makes_a_plan_change(tmp_path: Path, postgres: Postgres) -> None:
    post = Script()
    async with installed(tmp_path, postgres, post) as system:
        for service in ("worker-1", "worker-2", "api"):
            system.start(service)
        seeded = await asyncio.to_thread(system.run, "worker-1", "seed", "--json")
        (alice,) = [it for it in json.loads(seeded.stdout) if it["email"] == ALICE]
        made = await asyncio.to_thread(system.run, "setup", "keys", "create", "panel", "--json")
        await asyncio.to_thread(system.says, "api", "api_url")
        for worker in ("worker-1", "worker-2"):
            await asyncio.to_thread(system.says, worker, "ready")
        key = json.loads(made.stdout)["key"]
        headers = {"Authorization": f"Bearer {key}", "X-Account-Id": alice["id"]}
        async with httpx.AsyncClient(base_url=system.api_url, headers=headers, timeout=60) as client:
            assert (await client.get("/readyz")).status_code == 200
            done = await change_plan(client, post, alice["services"][0]["id"])
        assert done["stage"] == "completed"

        checked = await asyncio.to_thread(system.run, "worker-1", "doctor", "--json")
        assert checked.returncode == 0, checked.stdout
        for service in ("worker-1", "worker-2", "api"):
            assert await asyncio.to_thread(system.stop, service) == 0, system.log(service).read_text()


async def change_plan(client: httpx.AsyncClient, post: Script, service_id: str) -> Any:
    """Make a whole change through the API: one server less, twenty slots each."""
    path = f"/v1/services/{service_id}"
    service = (await client.get(path)).json()
    server = service["servers"][-1]
    (await client.put(f"{path}/servers/{server['id']}/deletion-mark")).raise_for_status()
    wanted = service["configuration"] | {
        "slots": 24,
        "server_count": service["configuration"]["server_count"] - 1,
    }
    quote = (await client.post(f"{path}/quotes", json={"configuration": wanted})).json()
    assert quote["blockers"] == []
    confirm = {
        "configuration": wanted,
        "digest": quote["digest"],
        "acknowledge": {"no_refund": True, "destroys": [server["id"]]},
    }
    answer = await client.post(f"{path}/plan-changes", json=confirm, headers={"Idempotency-Key": "click"})
    assert answer.status_code == 201, answer.text
    change = f"/v1/plan-changes/{answer.json()['id']}"
    await until(client, change, lambda it: it["code_expires_at"] is not None)
    (code,) = codes_in(post, ALICE)
    (await client.post(f"{change}/code", json={"code": code})).raise_for_status()
    return await until(client, change, lambda it: it["stage"] in {"completed", "needs_attention"})


async def until(client: httpx.AsyncClient, change: str, is_so: Callable[[Any], bool]) -> Any:
    for _ in range(1200):
        now = (await client.get(change)).json()
        if is_so(now):
            return now
        await asyncio.sleep(0.1)
    raise AssertionError(now)
