"""Another account's things are not found: every route, every method, whatever else is wrong or right."""

import datetime as dt
from typing import Any

import pytest
from fastapi.routing import APIRoute
from sqlalchemy import insert

from changeover.storage.tables import plan_changes
from starter.api import changes, services
from tests.starter.api.conftest import Api

CHANGE_ID = "0d9d2c5b-6a8f-5b7e-b0a4-9c3b7d1e2f40"
CONFIGURATION = {"offer": "cs2-public", "slots": 24, "options": [], "server_count": 3}
BODIES: dict[str, Any] = {
    "quotes": {"configuration": CONFIGURATION},
    "plan-changes": {
        "configuration": CONFIGURATION,
        "digest": "0" * 64,
        "acknowledge": {"no_refund": True, "destroys": []},
    },
    "renewals": {"days": 30},
    "code": {"code": "BCDF-GHJK"},
}
CALLS = [
    (method, route.path)
    for router in (services.router, changes.router)
    for route in router.routes
    if isinstance(route, APIRoute) and "{" in route.path
    for method in sorted(route.methods or ())
]


def add_change(api: Api, **values: Any) -> None:
    """Write a change of alice's service that awaits its code."""
    now = dt.datetime.now(dt.UTC)
    row = {
        "id": CHANGE_ID,
        "service_id": api.seeded.service_id("alice"),
        "account_id": api.account_id("alice"),
        "fingerprint": "f",
        "stage": "awaiting_code",
        "before": CONFIGURATION,
        "after": CONFIGURATION,
        "terms": {"rate_before": 6000, "rate_after": 7200, "expires_at": now.isoformat()},
        "destroys": [],
        "creates": 0,
        "spends_pass": False,
        "as_of": now,
        "window_ends_at": now + dt.timedelta(hours=1),
        "code_number": 1,
        "wrong_on_code": 0,
        "wrong_on_change": 0,
    }
    api.seeded.execute(insert(plan_changes).values(**row | values))


def test_every_route_with_an_id_is_tried() -> None:
    assert len(CALLS) == 13


@pytest.mark.parametrize(("method", "template"), CALLS)
@pytest.mark.parametrize("body", ["right", "malformed"])
async def test_a_foreign_id_is_not_found(api: Api, method: str, template: str, body: str) -> None:
    add_change(api)
    mine = await api.service("alice")
    path = template.format(service_id=mine["id"], server_id=mine["servers"][0]["id"], change_id=CHANGE_ID)
    if body == "right":
        more: dict[str, Any] = {"json": BODIES.get(path.rpartition("/")[2])}
    else:
        more = {"content": "{"}
    headers = {"Idempotency-Key": "k"}
    foreign = await api.call(method, path, who="bruno", headers=headers, **more)
    assert (foreign.status_code, foreign.json()["type"]) == (404, "/problems/not-found"), foreign.text
    if path.endswith("/events"):
        return  # of one's own change it would go on until that is closed
    own = await api.call(method, path, who="alice", headers=headers, **more)
    assert own.status_code != 404 or path.endswith("deletion-mark")
    assert (await api.service("alice"))["servers"] == mine["servers"] or method in {"PUT", "DELETE"}


@pytest.mark.parametrize("strange", ["%00", "a%20b", "%ff", "x" * 500, "%F0%9F%92%A9"])
async def test_what_cannot_be_an_id_is_not_found(api: Api, strange: str) -> None:
    for method, template in CALLS:
        path = template.format(service_id=strange, server_id=strange, change_id=strange)
        body = BODIES.get(path.rpartition("/")[2])
        answer = await api.call(method, path, headers={"Idempotency-Key": "k"}, json=body)
        assert answer.status_code == 404, (method, path, answer.text)


async def test_an_expired_services_change_is_not_found_and_cannot_be_watched(api: Api) -> None:
    add_change(api, account_id=api.account_id("grace"), service_id=api.seeded.service_id("grace"))
    for path in (f"/v1/plan-changes/{CHANGE_ID}", f"/v1/plan-changes/{CHANGE_ID}/events"):
        assert (await api.call("GET", path, who="grace")).status_code == 404


@pytest.mark.parametrize("wrong", ["-1", "x", "9" * 19, "1.5"])
async def test_a_strange_last_event_id_is_refused(api: Api, wrong: str) -> None:
    add_change(api)
    path = f"/v1/plan-changes/{CHANGE_ID}/events"
    answer = await api.call("GET", path, headers={"Last-Event-ID": wrong})
    assert answer.json()["field"] == "Last-Event-ID"
