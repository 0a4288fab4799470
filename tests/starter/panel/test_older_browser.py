"""A browser that tells where a form comes from by `Origin` alone, as Safari did before 16.4."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from changeover.settings import Settings
from starter.panel.__main__ import alone
from starter.plan_changes import PlanChanges
from tests.starter.panel.browsing import Browsing
from tests.starter.panel.system import PanelSystem

pytestmark = pytest.mark.browser


def without_fetch_metadata(app: ASGIApp) -> ASGIApp:
    """Return the application as such a browser meets it."""

    async def older(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name, value) for name, value in scope["headers"] if not name.startswith(b"sec-fetch-")]
        await app({**scope, "headers": headers}, receive, send)

    return older


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[str]:
    """Serve the panel in this process; give its address."""
    config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        task = asyncio.create_task(server.serve(sockets=[listening]))
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/panel/"
        server.should_exit = True
        await task


@pytest.fixture
async def met(system: PanelSystem, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PanelSystem]:
    for name, value in system.up.settings().items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    plans = await PlanChanges.connect(settings)
    async with serving(without_fetch_metadata(alone(plans, settings, demo=False))) as url:
        yield PanelSystem(system.up, url)
    await plans.close()


async def test_a_browser_without_fetch_metadata_makes_a_whole_change(
    met: PanelSystem, system: PanelSystem, browser: Browsing
) -> None:
    async with browser.story(met, system.customer("fr", 3)) as story:
        await story.edit()
        await story.mark_in_editor("server-3")
        await story.go_on()
        await story.confirm()
        await story.right_code()
        assert await story.outcome() == "Votre changement est effectué"


async def test_such_a_browser_signs_out_also_where_a_link_was_over(
    met: PanelSystem, system: PanelSystem, browser: Browsing
) -> None:
    async with browser.story(met, system.customer("en", 2)) as story:
        over = await story.page.goto(f"{met.url}enter?token=over")
        assert over is not None
        assert over.status == 410
        await story.page.locator("form.who button").click()
        signed_out = await story.page.goto(f"{met.url}services")
        assert signed_out is not None
        assert signed_out.status == 401
        story.complaints.clear()  # the browser's own words about both answers
