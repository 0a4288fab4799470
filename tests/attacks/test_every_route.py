"""Who isn't let in, on every route and method there is: a new route without a lock turns these red."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from starlette.routing import Route

from changeover.storage.tables import panel_links
from starter.api.tokens import hashed
from starter.panel.app import create_panel
from starter.panel.guard import POLICY
from tests.starter.api.conftest import Api
from tests.starter.api.test_scope import BODIES, CHANGE_ID, add_change
from tests.starter.panel.conftest import HERE, Panels, Visitor

OPEN_TO_ALL = {"/livez", "/readyz", "/metrics", "/openapi.json"}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT")
ELSEWHERE = ("https://evil.example/", "//evil.example")


async def operations(api: Api) -> list[tuple[str, str]]:
    """Return every method and path of the document, ids filled in with alice's things."""
    add_change(api)
    service = await api.service("alice")
    ids = {"service_id": service["id"], "server_id": service["servers"][0]["id"], "change_id": CHANGE_ID}
    document = (await api.client.get("/openapi.json")).json()
    found = [(method.upper(), path.format(**ids)) for path, it in document["paths"].items() for method in it]
    assert len(found) >= 18
    return found


def routes_of_app(api: Api) -> set[str]:
    """Return the paths that are served, in the document or not."""
    routers: list[Any] = [getattr(route, "original_router", None) or api.app for route in api.app.routes]
    return {route.path for router in routers for route in router.routes if hasattr(route, "path")}


async def test_the_document_hides_no_route(api: Api) -> None:
    document = (await api.client.get("/openapi.json")).json()
    assert routes_of_app(api) == {*document["paths"], "/openapi.json"}


async def test_nobody_calls_any_route_without_a_good_key(api: Api) -> None:
    before = await api.service("alice")
    for method, path in await operations(api):
        if path in OPEN_TO_ALL:
            continue
        for headers in (
            {},
            {"Authorization": "Bearer chk_" + "x" * 43},
            {"Authorization": f"Basic {api.key}"},
            {"Cookie": f"__Host-changeover={api.key}; changeover-session={api.key}"},
            {"X-Api-Key": api.key},
        ):
            sent = {"X-Account-Id": api.account_id("alice"), "Idempotency-Key": "k", **headers}
            body = BODIES.get(path.rpartition("/")[2])
            answer = await api.client.request(method, f"{path}?key={api.key}", headers=sent, json=body)
            assert answer.status_code == 401, (method, path, headers, answer.text)
    after = await api.service("alice")
    assert (after["servers"], after["expires_at"]) == (before["servers"], before["expires_at"])


async def test_another_account_finds_nothing_on_any_route_with_an_id(api: Api) -> None:
    mine = await api.service("alice")
    for method, path in await operations(api):
        if mine["id"] not in path and CHANGE_ID not in path:
            continue
        body = BODIES.get(path.rpartition("/")[2])
        answer = await api.call(method, path, who="bruno", headers={"Idempotency-Key": "k"}, json=body)
        assert answer.status_code == 404, (method, path, answer.text)
        assert mine["name"] not in answer.text
        assert mine["servers"][0]["address"] not in answer.text


async def test_an_account_is_named_once_and_by_its_id_alone(api: Api) -> None:
    """An e-mail address, two headers or one list name nobody: a proxy and we could read them differently."""
    path = "/v1/services"
    alice, bruno = api.account_id("alice"), api.account_id("bruno")
    for named in ("alice@example.com", f"{alice},{bruno}", f"{alice} ", "' OR 1=1 --", "%", "*"):
        headers = {"Authorization": f"Bearer {api.key}", "X-Account-Id": named}
        answer = await api.client.get(path, headers=headers)
        found = [it["id"] for it in answer.json()] if answer.status_code == 200 else []
        assert found in ([], [api.seeded.service_id("alice")]), named
        assert not found or named.strip() == alice
    twice = [("Authorization", f"Bearer {api.key}"), ("X-Account-Id", alice), ("X-Account-Id", bruno)]
    assert (await api.client.get(path, headers=twice)).status_code == 422


async def test_other_methods_do_nothing_on_any_route(api: Api) -> None:
    known = await operations(api)
    before = await api.service("alice")
    for path in {path for _, path in known}:
        for method in METHODS:
            if (method, path) in known:
                continue
            answer = await api.call(method, path, headers={"Idempotency-Key": "k"}, json={"days": 3})
            assert answer.status_code == 405, (method, path)
    assert await api.service("alice") == before


async def test_a_method_in_a_header_or_a_query_is_none(api: Api) -> None:
    service = await api.service("alice")
    path = f"/v1/services/{service['id']}/servers/{service['servers'][0]['id']}/deletion-mark"
    for how in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
        answer = await api.call("POST", f"{path}?_method=PUT", headers={how: "PUT"})
        assert answer.status_code == 405
    assert await api.service("alice") == service


# The panel.


def panel_routes(panels: Panels) -> Iterator[Route]:
    panel = create_panel(panels.plans, demo_accounts=True, secure_cookies=True)
    for route in panel.routes:
        assert isinstance(route, Route), "a mount or a socket would need tests of its own"
        yield route


async def filled(panels: Panels, alice: Visitor, route: Route) -> str:
    change = await panels.change("alice@example.com") if "{change_id}" in route.path else ""
    return route.path.format(
        service_id=await alice.service_id(),
        server_id=(await alice.server_ids())[0],
        change_id=change,
        file="style.css",
    )


async def test_every_page_keeps_itself_from_frames_caches_and_other_sites(
    panels: Panels, alice: Visitor
) -> None:
    changed: set[str] = set()
    for route in panel_routes(panels):
        if "{change_id}" in route.path and changed:
            path = route.path.format(change_id=next(iter(changed)))
        else:
            path = await filled(panels, alice, route)
            changed |= {path.split("/")[2]} if "{change_id}" in route.path else set()
        for method in route.methods or ():
            answer = await alice.http.request(
                method, f"/panel{path}", headers={"sec-fetch-site": "same-origin"}
            )
            headers = answer.headers
            assert headers["content-security-policy"] == POLICY, path
            assert "frame-ancestors 'none'" in POLICY
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "strict-origin", path
            assert headers["cross-origin-opener-policy"] == "same-origin"
            public = route.name == "static" and answer.status_code == 200
            assert public or headers["cache-control"] == "no-store", path


async def test_no_page_leads_to_another_site(panels: Panels, alice: Visitor) -> None:
    """Whatever an address or a form brings along, redirects and links stay where they are."""
    names = ("next", "then", "url", "return", "redirect", "back", "lang", "notice", "offer", "token")
    for route in panel_routes(panels):
        if route.name == "static" or "{change_id}" in route.path:
            continue
        path = await filled(panels, alice, route)
        for method in sorted({"GET", "POST"} & set(route.methods or ())):
            for target in ELSEWHERE:
                fields = dict.fromkeys(names, target) | {"days": "3"}
                headers = {"sec-fetch-site": "same-origin", "referer": target}
                sent: dict[str, Any] = {"params": fields} if method == "GET" else {"data": fields}
                answer = await alice.http.request(method, f"/panel{path}", headers=headers, **sent)
                where = urlsplit(answer.headers.get("location", "/panel/"))
                assert (where.scheme, where.netloc) == ("", ""), (path, answer.headers)
                assert where.path.startswith("/panel/")
                assert f'href="{target}' not in answer.text
                assert f'action="{target}' not in answer.text
                if path == "/sign-out":
                    return_to = await panels.visitor("alice@example.com")
                    alice.http.cookies = return_to.http.cookies


async def test_a_session_that_was_there_before_is_not_the_one_after(panels: Panels) -> None:
    """No session can be fixed: whoever planted the cookie has nothing after the customer came in."""
    visitor = await panels.visitor(None)
    planted = "planted-by-someone-who-waits"
    name = visitor.parts.session_cookie
    visitor.http.cookies.set(name, planted, domain="panel.example", path="/")
    account = await panels.plans.account("alice@example.com")
    entered = await visitor.post("/sign-in", {"account": account.id})
    cookie = entered.headers["set-cookie"]
    assert planted not in cookie
    thief = await panels.visitor(None)
    thief.http.cookies.set(name, planted, domain="panel.example", path="/")
    assert (await thief.get("/services")).status_code == 401


async def test_a_head_request_uses_up_no_link(panels: Panels) -> None:
    """Previews and scanners of links ask with HEAD."""
    account = await panels.plans.account("alice@example.com")
    until = datetime.now(UTC) + timedelta(seconds=60)
    await panels.insert(panel_links, hash=hashed("a-token"), account_id=account.id, expires_at=until)
    visitor = await panels.visitor(None)
    looked = await visitor.http.head("/panel/enter?token=a-token")
    assert "set-cookie" not in looked.headers
    assert (await visitor.get("/enter?token=a-token")).status_code == 303


@pytest.mark.parametrize("host", ["evil.example", "panel.example.evil.example", "evil.example#panel.example"])
async def test_a_wrong_host_header_makes_no_request_ours(alice: Visitor, host: str) -> None:
    path = f"/panel/services/{await alice.service_id()}/renew"
    headers = {"origin": HERE, "host": host}
    assert (await alice.http.post(path, data={"days": "3"}, headers=headers)).status_code == 403
