"""A database that is away: the panel, mounted beside the API, says so; nobody calls it a defect."""

from collections.abc import AsyncIterator

import httpx
import pytest
from sqlalchemy import text

from changeover.settings import Settings
from starter.api.app import create_app
from starter.panel.app import create_panel
from starter.panel.guard import POLICY
from tests.starter.panel.conftest import HERE, Panels, Visitor


@pytest.fixture
async def away(panels: Panels, alice: Visitor) -> AsyncIterator[httpx.AsyncClient]:
    """Alice's browser; her session can't be asked for any more."""
    panel = create_panel(panels.plans, demo_accounts=False, secure_cookies=True)
    app = create_app(panels.plans, Settings(), panel=panel)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    await panels.plans.database.write(
        lambda connection: connection.execute(text("DROP TABLE panel_sessions"))
    )
    async with httpx.AsyncClient(transport=transport, base_url=HERE, cookies=alice.http.cookies) as http:
        yield http


async def test_every_page_says_that_the_database_is_away(
    away: httpx.AsyncClient, alice: Visitor, caplog: pytest.LogCaptureFixture
) -> None:
    service = await alice.service_id()
    ours = {"sec-fetch-site": "same-origin", "accept-language": "en"}
    for method, path in (("GET", "/services"), ("POST", f"/services/{service}/renew")):
        page = await away.request(method, f"/panel{path}", headers=ours)
        assert page.status_code == 503, path
        assert page.headers["retry-after"] == "5"
        assert page.headers["content-security-policy"] == POLICY
        assert "Not available at the moment" in page.text
    assert "\nchangeover_api_errors_total 0.0\n" in (await away.get("/metrics")).text
    assert "the database does not answer: SQLITE_ERROR" in caplog.text
    assert "RuntimeError" not in caplog.text


async def test_what_needs_no_database_is_refused_without_one(
    away: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    elsewhere = await away.post("/panel/sign-out", headers={"sec-fetch-site": "cross-site"})
    nowhere = await away.get("/panel/nowhere")
    assert [elsewhere.status_code, nowhere.status_code] == [403, 404]
    for page in (elsewhere, nowhere):
        assert page.headers["content-type"].startswith("text/html")
        assert page.headers["content-security-policy"] == POLICY
    assert "\nchangeover_api_errors_total 0.0\n" in (await away.get("/metrics")).text
    assert "RuntimeError" not in caplog.text
