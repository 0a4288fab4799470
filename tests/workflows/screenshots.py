"""`python -m tests.workflows.screenshots --out DIR`: what the Temporal UI shows of a run at every stage.

Starts a Temporal server with its UI and real workers, brings a change to each stage, and takes a picture of
its run. `tests/workflows/test_told.py` holds the words; these are for the eye; those of
`docs/operations` are taken by `tests.operations.screenshots`.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.async_api import Page, ViewportSize
from temporalio.testing import WorkflowEnvironment

from changeover.domain import problems
from changeover.hosts import HostRefused
from changeover.mail import MailDeferred
from starter.engine import DATA_CONVERTER
from starter.namespace import register_search_attributes
from starter.process import leave
from tests.e2e.running import free_port_base
from tests.starter.panel.browsing import browsing
from tests.support.temporal import server_binary
from tests.workflows.faults import Fault
from tests.workflows.system import make_template, short_patience
from tests.workflows.world import World, open_world
from workflows import ids, policies

LOCKED = HostRefused("backup-locked", "a backup is locked: unlock it on the host")
_SIZE: ViewportSize = {"width": 1280, "height": 1100}
_SETTLED_MS = 2000
_PATIENCE_MS = 60_000
Stage = Callable[[World], Awaitable[str]]


async def awaiting_code(world: World) -> str:
    await world.arrives(changed_days_ago=7, passes=1)
    await world.mark(2)
    asked = await world.ask(servers=2)
    await world.mailed(asked.id)
    await world.settled()
    return world.run_of_service().id


async def rejected(world: World) -> str:
    await world.arrives()
    with suppress(problems.NothingChanges):
        await world.ask(slots=20)
    return world.run_of_service().id


async def abandoned(world: World) -> str:
    run = await awaiting_code(world)
    (change,) = await world.table("plan_changes")
    await world.starter.cancel(world.me.account_id, change["id"])
    return run


async def _confirmed(world: World, *failing: str) -> str:
    world.host.faults = [Fault(call=call, error=LOCKED) for call in failing]
    await awaiting_code(world)
    (change,) = await world.table("plan_changes")
    await world.confirm(change["id"])
    return str(change["id"])


async def committed(world: World) -> str:
    world.host.hold("stop")
    await _confirmed(world)
    await world.host.reached("stop")
    return world.run_of_service().id


async def needs_attention(world: World) -> str:
    change_id = await _confirmed(world, "apply_limits", "delete_data")
    await world.happened(change_id, "needs_attention", times=2)
    for run in (world.run_of_service(), world.teardown(2)):
        await world.waits_for_an_operator(run)
    return world.run_of_service().id


async def teardown_needs_attention(world: World) -> str:
    await needs_attention(world)
    return world.teardown(2).id


async def completed(world: World) -> str:
    await world.ends(await _confirmed(world), "completed")
    return world.run_of_service().id


async def teardown_completed(world: World) -> str:
    await completed(world)
    return world.teardown(2).id


async def outcome_mail(world: World) -> str:
    await awaiting_code(world)
    (change,) = await world.table("plan_changes")
    code = await world.mailed(change["id"])
    world.post.broken = MailDeferred(server="mail.example:25", stage="data", code=450)
    await world.type_code(change["id"], code)
    await world.ends(change["id"], "completed")
    return ids.outcome_mail_workflow_id(change["id"])


STAGES: tuple[Stage, ...] = (
    rejected,
    awaiting_code,
    abandoned,
    committed,
    needs_attention,
    teardown_needs_attention,
    completed,
    teardown_completed,
    outcome_mail,
)


@asynccontextmanager
async def temporal_with_ui() -> AsyncIterator[tuple[WorkflowEnvironment, str]]:
    """Run a server and its UI for the block; give both, the UI by its address."""
    ui = free_port_base()
    environment = await WorkflowEnvironment.start_local(
        data_converter=DATA_CONVERTER,
        dev_server_existing_path=server_binary(),
        dev_server_log_level="never",
        ui=True,
        ui_port=ui,
        dev_server_extra_args=["--ui-disable-news-fetch"],
    )
    try:
        await register_search_attributes(environment.client)
        yield environment, f"http://127.0.0.1:{ui}/namespaces/default/workflows"
    finally:
        await environment.shutdown()


async def shoot(page: Page, address: str, says: str, to: Path) -> None:
    """Take the page once it says what it is about; the rest of it comes soon after."""
    await page.goto(address)
    await page.get_by_text(says).first.wait_for(timeout=_PATIENCE_MS)
    await page.wait_for_timeout(_SETTLED_MS)  # it polls for ever, and says nowhere that it is done
    await page.screenshot(path=to, full_page=False)
    sys.stdout.write(f"{to}\n")


async def take_all(out: Path) -> None:
    with tempfile.TemporaryDirectory() as temporary, pytest.MonkeyPatch.context() as patch:
        folder = Path(temporary)
        short_patience(patch)
        patch.setattr(policies, "MAIL_RETRY", policies.HOST_RETRY)
        patch.setattr(policies, "OUTCOME_MAIL_PATIENCE", timedelta(days=1))
        await make_template(folder / "template.db")
        async with temporal_with_ui() as (temporal, address), browsing() as browser:
            page = await browser.browser.new_page(viewport=_SIZE)
            for stage in STAGES:
                name = stage.__name__
                (folder / name).mkdir()
                async with open_world(temporal, folder / name, folder / "template.db") as world:
                    run = await stage(world)
                    described = await temporal.client.get_workflow_handle(run).describe()
                    path = f"{quote(run, safe='')}/{described.run_id}/user-metadata"
                    await shoot(page, f"{address}/{path}", "Current Details", out / f"{name}.png")
                    world.host.release()
            await shoot(page, address, "plan-change/", out / "list.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the folder to write to")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    asyncio.run(take_all(out))
    leave(0)


if __name__ == "__main__":
    main()
