"""Workers are replaced while changes stand at every stage and more come in: nothing lost, nothing twice."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.installation import Installation, installed
from tests.e2e.upgrading import PATCH, Customers, Post, next_release, set_current_version
from tests.support.postgres import Postgres

VERSIONED = {"CHANGEOVER_WORKER_DEPLOYMENT": "changeover"}


@pytest.mark.parametrize("versioned", [False, True], ids=["patched", "versioned"])
async def test_a_rolling_upgrade_loses_nothing(
    tmp_path: Path, postgres: Postgres, *, versioned: bool
) -> None:
    post = Post()
    async with installed(tmp_path, postgres, post) as system:
        customers = await Customers.move_in(system, post, 9)
        try:
            await upgrade(system, customers, tmp_path / "next", versioned=versioned)
        finally:
            await customers.close()


async def upgrade(system: Installation, customers: Customers, tree: Path, *, versioned: bool) -> None:
    stuck, applying, mail, code, *load = customers.accounts
    customers.move_hosts("servers-of-old")
    old_hosts = {"CHANGEOVER_HOST_DIR": str(customers.hosts)}
    await start(system, "old", "1" if versioned else None, None, **old_hosts)

    # One change at each stage.
    customers.post.deferred.add(mail["email"])
    await asyncio.gather(
        customers.request(mail),
        customers.request(code),
        customers.request(applying, gives_up=True),
        customers.request(stuck, gives_up=True),
    )
    service = await customers.plans.service(stuck["id"], stuck["services"][0]["id"])
    mend = customers.block_backups(stuck, service.servers[-1].id)
    await customers.confirm(stuck)
    await customers.until(stuck, lambda it: it.stage == "needs_attention")
    await customers.until(code, lambda it: it.code_expires_at is not None)
    customers.move_hosts("servers")  # out of the old worker's reach: for it the host is down
    await customers.confirm(applying)
    assert customers.post.asked[mail["email"]] >= 1

    # The load goes on while the workers change places; the new one reaches the host.
    loading = asyncio.create_task(go_on(customers, load))
    await start(system, "new", "2" if versioned else None, tree=None if versioned else next_release(tree))
    assert await asyncio.to_thread(system.stop, "old") == 0, system.log("old").read_text()
    await loading

    # Whoever was under way arrives.
    customers.post.deferred.clear()
    await asyncio.to_thread(mend)
    await customers.operations.retry(customers.changes[stuck["email"]], actor="on call")
    await asyncio.gather(customers.confirm(mail), customers.confirm(code))
    await asyncio.gather(*(customers.completed(it) for it in customers.accounts))
    await outcome_mails(customers)
    await customers.nothing_twice()
    runs = await customers.runs_without_failed_tasks()
    for account in (mail, code, applying, stuck):
        events = runs[f"plan-change/{account['services'][0]['id']}"]
        assert build_id(events) == "2" if versioned else PATCH in str(events[-20:]), account["email"]


async def start(
    system: Installation, name: str, build_id: str | None, tree: Path | None = None, **environ: str
) -> None:
    if build_id is not None:
        environ |= VERSIONED | {"CHANGEOVER_WORKER_BUILD_ID": build_id}
    system.start("worker-1", name, tree=tree, **environ)
    await asyncio.to_thread(system.says, name, "ready")
    if build_id is not None:
        await asyncio.to_thread(set_current_version, system, build_id)


async def go_on(customers: Customers, accounts: list[dict[str, Any]]) -> None:
    """One customer after the other makes a whole change."""
    for account in accounts:
        await customers.request(account)
        await customers.confirm(account)


async def outcome_mails(customers: Customers) -> None:
    """Wait for the last mails: they are sent after a change is completed."""
    for _ in range(600):
        if len(customers.post.received) >= 2 * len(customers.changes):
            return
        await asyncio.sleep(0.05)


def build_id(events: list[Any]) -> str:
    """Return the version that completed the run's last workflow task."""
    done = [it for it in events if it.HasField("workflow_task_completed_event_attributes")]
    attributes = done[-1].workflow_task_completed_event_attributes
    return str(attributes.deployment_version.build_id or attributes.worker_deployment_version)
