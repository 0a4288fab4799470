"""What the API refuses before the facade sees it, and in which order."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from starter.api.keys import PREFIX, ApiKeys
from tests.starter.api.conftest import Api

CONFIGURATION = {"offer": "cs2-public", "slots": 24, "options": [], "server_count": 3}
CONFIRM = {
    "configuration": CONFIGURATION,
    "digest": "0" * 64,
    "acknowledge": {"no_refund": True, "destroys": []},
}
NOWHERE = "00000000-0000-0000-0000-000000000000"


def problem(answer: Any, code: str) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/problem+json"
    told: dict[str, Any] = answer.json()
    assert told["type"] == f"/problems/{code}", told
    assert told["status"] == answer.status_code
    return told


async def test_a_confirm_is_judged_in_the_order_of_the_design(api: Api) -> None:
    service = await api.service()
    here, nowhere = (f"/v1/services/{it}/plan-changes" for it in (service["id"], NOWHERE))
    key = {"Idempotency-Key": "k"}
    answer = await api.call("POST", nowhere, headers={"Authorization": "Bearer chk_wrong"}, content="{")
    problem(answer, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"
    problem(await api.call("POST", nowhere, content="{"), "idempotency-key-missing")
    problem(await api.call("POST", nowhere, headers=key, content="{"), "not-found")
    problem(await api.call("POST", here, headers=key, content="{"), "request-invalid")


@pytest.mark.parametrize(
    "key", ["", " ", "x" * 256, "a b", "\x80".encode("latin-1"), b"\x01", "é".encode("latin-1")]
)
async def test_a_key_that_cannot_be_one_is_refused(api: Api, key: str | bytes) -> None:
    service = await api.service()
    headers: dict[str, Any] = {"Idempotency-Key": key}
    answer = await api.call(
        "POST", f"/v1/services/{service['id']}/renewals", headers=headers, json={"days": 1}
    )
    problem(answer, "request-invalid" if key.strip() else "idempotency-key-missing")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "body"),
        (b"{", "body"),
        (b"\xff\xfe", "body"),
        (b"[]", "body"),
        (b'{"configuration": null}', "configuration"),
        ({"configuration": CONFIGURATION, "more": 1}, "more"),
        ({"configuration": CONFIGURATION | {"more": 1}}, "configuration.more"),
        ({"configuration": CONFIGURATION | {"slots": True}}, "configuration.slots"),
        ({"configuration": CONFIGURATION | {"slots": 20.5}}, "configuration.slots"),
        ({"configuration": CONFIGURATION | {"slots": "20"}}, "configuration.slots"),
        ({"configuration": CONFIGURATION | {"slots": 10**30}}, "configuration.slots"),
        ({"configuration": CONFIGURATION | {"server_count": None}}, "configuration.server_count"),
        ({"configuration": CONFIGURATION | {"offer": "x" * 101}}, "configuration.offer"),
        ({"configuration": CONFIGURATION | {"offer": "a\0b"}}, "configuration.offer"),
        ({"configuration": CONFIGURATION | {"options": ["a"] * 51}}, "configuration.options"),
        ({"configuration": CONFIGURATION | {"options": [1]}}, "configuration.options.0"),
        (
            {"configuration": {name: CONFIGURATION[name] for name in ("offer", "slots")}},
            "configuration.options",
        ),
        (b'{"a": "' + b"x" * 70_000 + b'"}', "body"),
        (b"[" * 5000, "body"),
    ],
    ids=str,
)
async def test_a_malformed_body_is_refused_with_its_field(api: Api, body: Any, field: str) -> None:
    service = await api.service()
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = await api.call("POST", f"/v1/services/{service['id']}/quotes", content=content)
    told = problem(answer, "request-invalid")
    assert answer.status_code == 422
    assert told["field"] == field
    assert told["detail"]


async def test_another_kind_of_content_is_refused(api: Api) -> None:
    service = await api.service()
    answer = await api.call("POST", f"/v1/services/{service['id']}/quotes", data={"slots": "24"})
    assert problem(answer, "request-invalid")["field"] == "Content-Type"


async def test_a_blocked_confirm_needs_no_digest(api: Api) -> None:
    service = await api.service()
    body = CONFIRM | {"digest": None}
    path = f"/v1/services/{service['id']}/plan-changes"
    answer = await api.call("POST", path, headers={"Idempotency-Key": "k"}, json=body)
    problem(answer, "engine-unavailable")


async def test_the_customer_must_be_named_and_known(api: Api) -> None:
    told = problem(await api.call("GET", "/v1/services", headers={"X-Account-Id": ""}), "request-invalid")
    assert told["field"] == "X-Account-Id"
    for stranger in (NOWHERE, "alice@example.com", "x" * 300, "a b"):
        problem(await api.call("GET", "/v1/services", headers={"X-Account-Id": stranger}), "not-found")
        problem(await api.call("POST", "/v1/panel-links", headers={"X-Account-Id": stranger}), "not-found")


async def test_a_key_is_good_until_it_is_revoked_and_never_stored(api: Api) -> None:
    keys: ApiKeys = api.app.state.keys
    made = await keys.create("the panel")
    assert made.key.startswith(PREFIX)
    assert len(made.key) >= len(PREFIX) + 43, "256 bits"
    headers = {"Authorization": f"bearer {made.key}"}
    assert (await api.call("GET", "/v1/services", headers=headers)).status_code == 200
    revoked = await keys.revoke(made.id)
    assert await keys.revoke(made.id) == revoked
    problem(await api.call("GET", "/v1/services", headers=headers), "unauthorized")
    assert made.key not in repr(made)
    for wrong in ("", "Bearer", "Bearer ", f"Basic {api.key}", f"Bearer {api.key}x", "Bearer é".encode()):
        refused: dict[str, Any] = {"Authorization": wrong}
        problem(await api.call("GET", "/v1/services", headers=refused), "unauthorized")


async def test_wrong_routes_and_methods_are_problems_too(api: Api) -> None:
    for path in ("/", "/v1", "/v1/services/", "/v1/services/a/b/c", "/docs", "/redoc"):
        problem(await api.call("GET", path), "not-found")
    answer = await api.call("PATCH", "/v1/services/x/plan-changes")
    assert problem(answer, "method-not-allowed")["allowed"] == ["GET", "POST"]
    assert answer.headers["allow"] == "GET, POST"


async def test_a_defect_is_told_without_a_trace_and_logged_without_its_message(
    api: Api, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "-".join(("BCDF", "GHJK"))

    async def broken(*_arguments: object) -> None:
        raise RuntimeError(secret)

    assert "\nchangeover_api_errors_total 0.0\n" in (await api.client.get("/metrics")).text
    monkeypatch.setattr(api.app.state.plans, "services", broken)
    told = problem(await api.call("GET", "/v1/services", headers={"Accept-Language": "fr"}), "internal-error")
    assert told.keys() == {"type", "title", "status", "detail"}
    assert "RuntimeError" in caplog.text
    assert secret not in caplog.text
    assert "\nchangeover_api_errors_total 1.0\n" in (await api.client.get("/metrics")).text


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.fixed_dictionaries(
    {"configuration": st.fixed_dictionaries(dict.fromkeys(CONFIGURATION, JSON_VALUES)) | JSON_VALUES},
    optional={
        "digest": JSON_VALUES,
        "acknowledge": JSON_VALUES,
        "days": JSON_VALUES,
        "code": JSON_VALUES,
    },
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=JSON_VALUES | FIELDS)
@pytest.mark.parametrize("route", ["quotes", "plan-changes", "renewals"])
async def test_no_body_is_too_strange(api: Api, route: str, body: Any) -> None:
    service = api.seeded.service_id("alice")
    content = json.dumps(body).encode()
    headers = {"Idempotency-Key": "fuzz"}
    answer = await api.call("POST", f"/v1/services/{service}/{route}", headers=headers, content=content)
    assert answer.status_code < 500 or answer.status_code == 503, answer.text
