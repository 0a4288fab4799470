"""The OpenAPI document says all there is to know, and a machine that reads it finds nothing wrong."""

import re
from collections.abc import Iterator
from typing import Any

from changeover.domain.problems import PROBLEMS
from starter.api.problems import OWN
from tests.starter.api.conftest import Api

ROUTES = {  # DESIGN, section 5, and the links to the panel
    ("GET", "/v1/services"),
    ("GET", "/v1/services/{service_id}"),
    ("GET", "/v1/services/{service_id}/offers"),
    ("PUT", "/v1/services/{service_id}/servers/{server_id}/deletion-mark"),
    ("DELETE", "/v1/services/{service_id}/servers/{server_id}/deletion-mark"),
    ("POST", "/v1/services/{service_id}/quotes"),
    ("POST", "/v1/services/{service_id}/plan-changes"),
    ("GET", "/v1/services/{service_id}/plan-changes"),
    ("POST", "/v1/services/{service_id}/renewals"),
    ("GET", "/v1/plan-changes/{change_id}"),
    ("GET", "/v1/plan-changes/{change_id}/events"),
    ("POST", "/v1/plan-changes/{change_id}/code"),
    ("POST", "/v1/plan-changes/{change_id}/code/resend"),
    ("POST", "/v1/plan-changes/{change_id}/cancel"),
    ("POST", "/v1/panel-links"),
    ("GET", "/livez"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
}


async def document(api: Api) -> dict[str, Any]:
    found: dict[str, Any] = (await api.client.get("/openapi.json")).json()
    return found


def operations(found: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in found["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


async def test_it_has_exactly_the_routes_of_the_design(api: Api) -> None:
    found = await document(api)
    assert {(method, path) for method, path, _ in operations(found)} == ROUTES


async def test_every_route_says_who_may_call_and_what_may_go_wrong(api: Api) -> None:
    found = await document(api)
    assert found["components"]["securitySchemes"]["apiKey"]["scheme"] == "bearer"
    told: set[str] = set()
    for method, path, operation in operations(found):
        assert operation["summary"]
        if not path.startswith("/v1/"):
            continue
        assert operation["security"] == [{"apiKey": []}], path
        headers = {it["name"]: it for it in operation["parameters"] if it["in"] == "header"}
        assert headers["X-Account-Id"]["required"]
        keyed = (method, path.rpartition("/")[2]) in {("POST", "plan-changes"), ("POST", "renewals")}
        assert ("Idempotency-Key" in headers) == keyed
        assert {"401", "404", "422", "503"} <= operation["responses"].keys()
        for status, response in operation["responses"].items():
            examples = response.get("content", {}).get("application/problem+json", {}).get("examples", {})
            assert int(status) < 400 or examples, (path, status)
            assert all(example["value"]["status"] == int(status) for example in examples.values())
            told |= examples.keys()
    assert told | {own.code for own in OWN} == PROBLEMS.keys() | {own.code for own in OWN}


async def test_every_reference_leads_somewhere_and_bodies_have_examples(api: Api) -> None:
    found = await document(api)
    schemas = found["components"]["schemas"]
    text = (await api.client.get("/openapi.json")).text
    assert set(re.findall(r'#/components/schemas/([^"]+)', text)) <= schemas.keys()
    bodies = [operation["requestBody"] for _, _, operation in operations(found) if "requestBody" in operation]
    assert len(bodies) == 7
    for body in bodies:
        name = body["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        assert schemas[name]["examples"]
        assert schemas[name]["additionalProperties"] is False
