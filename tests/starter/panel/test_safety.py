"""What a stranger, another customer or another site may not do."""

import re
from pathlib import Path

import httpx
import pytest
from starlette.routing import Route

import starter.panel
from changeover.settings import Settings
from starter.engine_calls import EngineCalls
from starter.panel.__main__ import alone
from starter.panel.app import create_panel
from starter.panel.guard import POLICY
from tests.starter.panel.conftest import HERE, Panels, Visitor

NOBODY = "00000000-0000-4000-8000-000000000000"
FOLDER = Path(starter.panel.__file__).parent
FORM = "application/x-www-form-urlencoded"
PUBLIC = {"/", "/static/{file}", "/enter", "/sign-in", "/sign-out"}


def routes(panels: Panels, method: str) -> list[Route]:
    panel = create_panel(panels.plans, demo_accounts=True, secure_cookies=True)
    return [route for route in panel.routes if isinstance(route, Route) and method in (route.methods or ())]


def filled(route: Route, **ids: str) -> str:
    path = route.path
    for name in ("service_id", "server_id", "change_id", "file"):
        path = path.replace(f"{{{name}}}", ids.get(name, NOBODY))
    return path


async def test_every_unsafe_route_refuses_what_comes_from_elsewhere(panels: Panels, alice: Visitor) -> None:
    unsafe = routes(panels, "POST")
    assert len(unsafe) >= 9
    before = await panels.plans.services(alice.account_id)
    ids = {"service_id": before[0].id, "server_id": before[0].servers[0].id}
    for route in unsafe:
        for headers in (
            {"sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "same-site", "origin": HERE},
            {"sec-fetch-site": "none"},
            {"origin": "https://evil.example"},
            {"origin": "null"},
            {"origin": HERE.replace("https", "http")},
            {},
        ):
            answer = await alice.http.post(
                f"/panel{filled(route, **ids)}", data={"days": "3"}, headers=headers
            )
            assert answer.status_code == 403, (route.path, headers)
    assert await panels.plans.services(alice.account_id) == before
    assert (await alice.get("/services")).status_code == 200


async def test_a_browser_that_tells_its_origin_only_is_believed(alice: Visitor) -> None:
    service, server = await alice.service_id(), (await alice.server_ids())[0]
    path = f"/panel/services/{service}/servers/{server}/mark"
    assert (await alice.http.post(path, data={"x": "y"}, headers={"origin": HERE})).status_code == 303


async def test_another_customer_s_things_are_not_found_on_any_route(panels: Panels, alice: Visitor) -> None:
    bruno = await panels.visitor("bruno@example.com")
    ids = {
        "service_id": await bruno.service_id(),
        "server_id": (await bruno.server_ids())[0],
        "change_id": await panels.change("bruno@example.com"),
    }
    for method in ("GET", "POST"):
        for route in routes(panels, method):
            if "{" not in route.path or route.name == "static":
                continue
            for path in (filled(route, **ids), filled(route)):
                answer = await (alice.get(path) if method == "GET" else alice.post(path, {"days": "3"}))
                assert answer.status_code == 404, (method, path)
                assert "Clan du Nord" not in answer.text


async def test_a_server_of_another_service_is_not_found(panels: Panels, alice: Visitor) -> None:
    bruno = await panels.visitor("bruno@example.com")
    theirs = (await bruno.server_ids())[0]
    answer = await alice.post(f"/services/{await alice.service_id()}/servers/{theirs}/mark")
    assert answer.status_code == 404
    assert {it.state for it in (await panels.plans.services(bruno.account_id))[0].servers} == {"active"}


@pytest.mark.parametrize(
    "odd", ["%00", "x" * 300, "%F0%9F%92%A9", "..%2f..%2fetc", "' OR 1=1 --", "%0d%0aX: y"]
)
async def test_odd_ids_are_not_found(alice: Visitor, odd: str) -> None:
    assert (await alice.get(f"/services/{odd}")).status_code == 404
    assert (await alice.get(f"/changes/{odd}")).status_code == 404


async def test_every_page_needs_a_session(panels: Panels) -> None:
    nobody = await panels.visitor(None)
    for method in ("GET", "POST"):
        for route in routes(panels, method):
            if route.path in PUBLIC:
                continue
            path = filled(route)
            answer = await (nobody.get(path) if method == "GET" else nobody.post(path))
            assert answer.status_code == 401, (method, path)


async def test_names_that_would_be_scripts_are_text(panels: Panels) -> None:
    email = await panels.hostile()
    mallory = await panels.visitor(email)
    service = await mallory.service_id()
    change = await panels.change(email, "completed")
    await panels.change(email)
    for path in (
        "/services",
        f"/services/{service}",
        f"/services/{service}/change?offer=%3Cb%3Ex&slots=%22%3E%3Cb%3E",
        f"/services/{service}/change/recap?offer=cs2-public&slots=24&server_count=1",
        f"/services/{service}/history",
        f"/services/{service}/renew?days=%22%3E%3Cscript%3E&then=change&offer=%22%3E%3Cscript%3E",
        f"/changes/{change}?notice=%3Cscript%3E&lang=%3Cscript%3E",
    ):
        page = await mallory.get(path)
        assert page.status_code in {200, 409}, path
        assert "<script>" not in page.text
        assert "<img" not in page.text
        assert "<b>" not in page.text


async def test_headers_keep_every_answer_to_itself(panels: Panels, alice: Visitor) -> None:
    nobody = await panels.visitor(None)
    answers = [
        await alice.get("/services"),
        await alice.get("/no-such-page"),
        await nobody.get("/services"),
        await nobody.post("/sign-out", headers={"sec-fetch-site": "cross-site"}),
        await nobody.get("/enter?token=x"),
        await nobody.get("/"),
    ]
    for answer in answers:
        assert answer.headers["content-security-policy"] == POLICY
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "strict-origin", "a link's address holds a token"
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert [answer.status_code for answer in answers] == [200, 404, 401, 403, 410, 303]


async def test_an_error_of_ours_shows_nothing_of_itself(
    panels: Panels, alice: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_given: object) -> None:
        raise RuntimeError("the secret of the house")

    monkeypatch.setattr(panels.plans, "services", broken)
    page = await alice.get("/services")
    assert page.status_code == 500
    assert "Un problème est survenu" in page.text
    assert "secret" not in page.text
    assert page.headers["content-security-policy"] == POLICY


async def test_alone_too_an_error_of_ours_is_logged_without_what_it_says(
    panels: Panels, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A database driver puts the values of a statement into its errors."""

    async def broken(*_given: object) -> None:
        raise RuntimeError(told)

    told = "invalid input for query argument $1: Les Renards"
    monkeypatch.setattr(panels.plans, "account", broken)
    app = alone(panels.plans, Settings(), demo=True)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=HERE) as http:
        page = await http.get("/panel/sign-in")
    assert page.status_code == 500
    assert page.headers["content-security-policy"] == POLICY
    assert "RuntimeError at GET" in caplog.text
    assert "Les Renards" not in caplog.text


@pytest.mark.parametrize(
    ("page", "content", "kind", "status"),
    [
        ("renew", b"x=1", "text/plain", 415),
        ("renew", b"x=" + b"y" * 40_000, FORM, 413),
        ("renew", b"&".join(b"f%d=1" % n for n in range(300)), FORM, 400),
        ("renew", b"x=\xff\xfe", FORM, 400),
        ("change/recap", b"x=" + b"y" * 130_000, FORM, 413),
        ("change/recap", b"&".join(b"f%d=1" % n for n in range(2300)), FORM, 400),
    ],
)
async def test_what_is_no_form_of_ours_is_refused(
    alice: Visitor, page: str, content: bytes, kind: str, status: int
) -> None:
    path = f"/panel/services/{await alice.service_id()}/{page}"
    headers = {"content-type": kind, "sec-fetch-site": "same-origin"}
    assert (await alice.http.post(path, content=content, headers=headers)).status_code == status


@pytest.mark.parametrize("field", ["offer", "options", "digest", "shown"])
@pytest.mark.parametrize("odd", ["\0", "cs2\u202e", "x" * 101, "alice@example.com"])
async def test_what_can_be_no_code_goes_no_further(
    panels: Panels, alice: Visitor, monkeypatch: pytest.MonkeyPatch, field: str, odd: str
) -> None:
    """PostgreSQL keeps no NUL, so the run would try for ever; and an address would stay in its history."""

    async def started(*_given: object, **_more: object) -> None:
        raise AssertionError("a run was asked for")

    monkeypatch.setattr(EngineCalls, "request", started)
    service = (await panels.plans.services(alice.account_id))[0]
    form = {"offer": "cs2-public", "slots": "24", "server_count": "3", "no_refund": "yes", "digest": "d"}
    form |= {field: odd, "key": "k"} | ({"destroys": odd} if field == "shown" else {})
    page = await alice.post(f"/services/{service.id}/change/recap", form)
    assert page.status_code == 422


async def test_pages_have_nothing_inline_and_nothing_from_elsewhere(panels: Panels, alice: Visitor) -> None:
    service = await alice.service_id()
    change = await panels.change("alice@example.com")
    for path in ("/services", f"/services/{service}", f"/services/{service}/change", f"/changes/{change}"):
        page = (await alice.get(path)).text
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)|hx-on|javascript:", page)
        assert not re.search(r'(?:src|href|action)="(?:https?:)?//', page)
