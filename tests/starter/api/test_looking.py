"""What the API answers without an engine: services, offers, quotes, marks, renewals, links."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from changeover.storage.tables import addresses, offers, panel_links, services
from starter.api.tokens import hashed
from tests.starter.api.conftest import Api

SERVICE_FIELDS = {
    "id",
    "name",
    "configuration",
    "rate",
    "expires_at",
    "days_left",
    "servers",
    "open_change",
    "next_change_at",
}
QUOTE_FIELDS = [
    "as_of",
    "rate_before",
    "rate_after",
    "days_before",
    "days_after",
    "new_expires_at",
    "required_days",
    "spends_pass",
    "destroys",
    "creates",
    "blockers",
    "digest",
]


async def test_a_service_has_the_fields_of_the_design(api: Api) -> None:
    service = await api.service()
    assert service.keys() == SERVICE_FIELDS
    assert service["configuration"].keys() == {"offer", "slots", "options", "server_count"}
    assert service["servers"][0].keys() == {"id", "name", "address", "state", "backups"}
    assert service["rate"] == 6000
    assert service["open_change"] is None
    assert service["expires_at"].endswith("Z")
    alone = await api.call("GET", f"/v1/services/{service['id']}")
    assert alone.json() == service
    assert (await api.service("chloe"))["next_change_at"].endswith("Z")


async def test_offers_speak_the_callers_language(api: Api) -> None:
    service = await api.service()
    path = f"/v1/services/{service['id']}/offers"
    english, french = [
        (await api.call("GET", path, headers={"Accept-Language": language})).json()
        for language in ("en", "fr")
    ]
    present = [offer for offer in english if offer["is_present"]]
    assert [offer["code"] for offer in present] == [service["configuration"]["offer"]]
    assert [offer["code"] for offer in english] == [offer["code"] for offer in french]
    assert english != french


async def test_offers_speak_the_accounts_language_when_the_caller_names_none(api: Api) -> None:
    for who, named, not_named in (("alice", "fr", "en"), ("chloe", "en", "fr")):
        path = f"/v1/services/{(await api.service(who))['id']}/offers"
        plain = (await api.call("GET", path, who=who)).json()
        asked = {
            language: (await api.call("GET", path, who=who, headers={"Accept-Language": language})).json()
            for language in (named, not_named)
        }
        assert plain == asked[named] != asked[not_named]


async def test_a_quote_has_the_fields_of_the_design(api: Api) -> None:
    quote = await api.quote(slots=24)
    assert list(quote) == QUOTE_FIELDS
    assert (quote["rate_before"], quote["rate_after"], quote["creates"]) == (6000, 7200, 0)
    assert len(quote["digest"]) == 64


PAST_ANY_LIMIT = datetime.now(UTC) + timedelta(days=3000)
BLOCKED: dict[str, tuple[str, dict[str, Any], list[Any]]] = {
    "service-expired": ("grace", {"slots": 24}, []),
    "recurring-payment-active": ("farid", {"slots": 24}, []),
    "configuration-invalid": ("alice", {"slots": 21}, []),
    "nothing-changes": ("alice", {}, []),
    "servers-not-marked": ("alice", {"server_count": 2}, []),
    "servers-marked-mismatch": ("hugo", {"server_count": 3}, []),
    "change-too-soon": ("chloe", {"slots": 24}, []),
    "not-convertible": ("alice", {"slots": 24}, [update(offers).values(base=0, per_slot=0)]),
    "insufficient-days": ("bruno", {"slots": 32}, []),
    "too-many-days": ("alice", {"slots": 10}, [update(services).values(expires_at=PAST_ANY_LIMIT)]),
    "no-capacity": ("alice", {"server_count": 5}, [update(addresses).values(held=True)]),
}


@pytest.mark.parametrize("code", BLOCKED)
async def test_each_blocker_stands_in_the_quote_as_a_problem(api: Api, code: str) -> None:
    who, wanted, statements = BLOCKED[code]
    api.seeded.execute(*statements)
    quote = await api.quote(who, **wanted)
    types = [blocker["type"] for blocker in quote["blockers"]]
    assert f"/problems/{code}" in types
    assert quote["digest"] is None


async def test_a_mark_can_be_made_and_taken_back_twice(api: Api) -> None:
    service = await api.service()
    path = f"/v1/services/{service['id']}/servers/{service['servers'][0]['id']}/deletion-mark"
    for method, state in (("PUT", "marked"), ("PUT", "marked"), ("DELETE", "active"), ("DELETE", "active")):
        answer = await api.call(method, path)
        assert (answer.status_code, answer.content) == (204, b"")
        assert (await api.service())["servers"][0]["state"] == state


async def test_a_renewal_is_made_once_per_key_and_answered_the_same(api: Api) -> None:
    before = await api.service()
    path = f"/v1/services/{before['id']}/renewals"
    key = {"Idempotency-Key": "one-click"}
    first, again = [await api.call("POST", path, headers=key, json={"days": 30}) for _ in range(2)]
    assert first.status_code == again.status_code == 201
    assert first.content == again.content
    expires_at = datetime.fromisoformat(before["expires_at"]) + timedelta(days=30)
    assert datetime.fromisoformat(first.json()["expires_at"]) == expires_at
    assert (await api.service())["expires_at"] == first.json()["expires_at"]
    other = await api.call("POST", path, headers=key, json={"days": 31})
    assert other.json()["type"] == "/problems/idempotency-key-reused"


async def test_an_expired_service_shows_no_history(api: Api) -> None:
    service = await api.service("grace")
    answer = await api.call("GET", f"/v1/services/{service['id']}/plan-changes", who="grace")
    assert (answer.status_code, answer.json()) == (200, [])


async def test_a_panel_link_is_kept_as_a_hash_for_the_customer_and_sixty_seconds(api: Api) -> None:
    before = datetime.now(UTC)
    answer = await api.call("POST", "/v1/panel-links", json={})
    assert answer.status_code == 201
    url, token = answer.json()["url"].split("?token=")
    assert url == "http://api.test/panel/enter"
    async with api.app.state.plans.database.read() as connection:
        (row,) = (await connection.execute(select(panel_links))).all()
    assert row.hash == hashed(token)
    assert row.account_id == api.account_id("alice")
    assert row.used_at is None
    assert timedelta(seconds=59) < row.expires_at - before < timedelta(seconds=62)


async def test_without_an_engine_a_confirm_says_when_to_come_back(api: Api) -> None:
    service, quote = await api.service(), await api.quote(slots=24)
    body = {
        "configuration": service["configuration"] | {"slots": 24},
        "digest": quote["digest"],
        "acknowledge": {"no_refund": True, "destroys": []},
    }
    path = f"/v1/services/{service['id']}/plan-changes"
    answer = await api.call("POST", path, headers={"Idempotency-Key": "k"}, json=body)
    assert answer.status_code == 503
    assert answer.json()["type"] == "/problems/engine-unavailable"
    assert answer.headers["retry-after"] == str(answer.json()["retry_after"])
