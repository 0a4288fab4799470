"""Pages, fast: over a seeded database, with nothing running."""

import re
from contextlib import AsyncExitStack

import pytest
from sqlalchemy import update

from changeover.storage.tables import services
from starter.turns import MOST_AT_ONCE, RETRY_AFTER
from tests.starter.panel.conftest import Panels, Visitor
from tests.starter.panel.reading import text


async def test_a_customer_sees_own_services_only(panels: Panels, alice: Visitor) -> None:
    page = await alice.get("/services")
    assert page.status_code == 200
    assert "Les Renards" in page.text
    assert "20 jours restants" in text(page)
    assert "Clan du Nord" not in page.text


async def test_demo_sign_in_lists_the_sample_customers_and_lets_them_in(panels: Panels) -> None:
    nobody = await panels.visitor(None)
    page = await nobody.get("/sign-in")
    accounts = re.findall(r'name="account" value="([^"]+)"', page.text)
    assert len(accounts) >= 8
    entered = await nobody.post("/sign-in", {"account": accounts[0]})
    assert (entered.status_code, entered.headers["location"]) == (303, "/panel/services")
    assert (await nobody.get("/services")).status_code == 200


async def test_demo_sign_in_is_for_sample_customers(panels: Panels) -> None:
    email = await panels.hostile()
    account = await panels.plans.account(email)
    nobody = await panels.visitor(None)
    assert (await nobody.post("/sign-in", {"account": account.id})).status_code == 404


async def test_without_demo_accounts_nobody_signs_in(panels: Panels) -> None:
    nobody = await panels.visitor(None, demo=False)
    alice = await panels.plans.account("alice@example.com")
    assert (await nobody.get("/sign-in")).status_code == 404
    assert (await nobody.post("/sign-in", {"account": alice.id})).status_code == 404
    assert (await nobody.get("/")).status_code == 401
    assert (await nobody.get("/services")).status_code == 401


@pytest.mark.parametrize("days", ["0", "-3", "3651", "many", "9" * 400, ""])
async def test_a_wrong_number_of_days_is_said_beside_the_field(alice: Visitor, days: str) -> None:
    service = await alice.service_id()
    page = await alice.post(f"/services/{service}/renew", {"days": days, "key": "k"})
    assert page.status_code == 422
    assert 'aria-describedby="days-error days-hint"' in page.text
    assert (await alice.plans.service(alice.account_id, service)).days_left == 20


async def test_the_code_page_tells_all_about_the_code(panels: Panels, alice: Visitor) -> None:
    change = await panels.change("alice@example.com")
    page = await alice.get(f"/changes/{change}")
    said = text(page)
    assert "a***@e***.com" in said
    assert "5 essais restants pour ce code" in said
    assert 'autocomplete="one-time-code"' in page.text
    assert re.search(r'data-seconds="(59\d|600)"', page.text)
    assert re.search(r"<button disabled[^>]*resend-when", page.text)


async def test_what_cannot_be_a_code_is_said_beside_the_field(panels: Panels, alice: Visitor) -> None:
    change = await panels.change("alice@example.com")
    page = await alice.post(f"/changes/{change}/code", {"code": "12"})
    assert page.status_code == 422
    assert 'aria-describedby="code-error code-hint"' in page.text
    assert "le code" in text(page).lower()


async def test_with_the_engine_away_the_code_page_says_so(panels: Panels, alice: Visitor) -> None:
    change = await panels.change("alice@example.com")
    page = await alice.post(f"/changes/{change}/code", {"code": "BCDF-GHJK"})
    assert page.status_code == 503
    assert "Rien n'est perdu" in text(page)


async def test_a_page_that_can_not_be_shown_now_says_when_to_come_again(
    panels: Panels, alice: Visitor
) -> None:
    async with AsyncExitStack() as looks:
        for _ in range(MOST_AT_ONCE):
            await looks.enter_async_context(alice.plans._looks.of(alice.account_id))
        page = await alice.get("/services")
    assert (page.status_code, page.headers["retry-after"]) == (503, str(int(RETRY_AFTER.total_seconds())))


async def test_a_resend_pressed_twice_is_one(panels: Panels, alice: Visitor) -> None:
    change = await panels.change("alice@example.com", code_number=2)
    again = await alice.post(f"/changes/{change}/resend", {"number": "1"})
    assert (again.status_code, again.headers["location"]) == (303, f"/panel/changes/{change}")


@pytest.mark.parametrize(
    ("stage", "more", "expected"),
    [
        ("applying", {}, "Votre changement est en cours"),
        ("needs_attention", {}, "Notre équipe est prévenue"),
        ("completed", {}, "Votre changement est effectué"),
        ("abandoned", {"reason": "window-over"}, "n'a pas eu lieu"),
        ("abandoned", {"reason": "stale", "cause": "prices-changed"}, "les prix"),
        ("rejected", {"reason": "insufficient-days"}, "a été refusé"),
    ],
)
async def test_every_stage_has_its_page(
    panels: Panels, alice: Visitor, stage: str, more: dict[str, str], expected: str
) -> None:
    change = await panels.change("alice@example.com", stage, **more)
    page = await alice.get(f"/changes/{change}")
    assert page.status_code == 200
    assert expected in text(page)
    history = await alice.get(f"/services/{await alice.service_id()}/history")
    assert f"/panel/changes/{change}" in history.text


async def test_the_live_part_is_sent_when_something_happened(panels: Panels, alice: Visitor) -> None:
    change = await panels.change("alice@example.com")
    page = await alice.get(f"/changes/{change}")
    found = re.search(r'hx-get="([^"]+)"', page.text)
    assert found is not None
    seen = found[1].replace("&amp;", "&")
    assert (await alice.http.get(seen)).status_code == 204
    news = await alice.get(f"/changes/{change}/live?phase=code&seen=nothing")
    assert news.status_code == 200
    assert news.text.lstrip().startswith('<div id="live"')
    other = await alice.get(f"/changes/{change}/live?phase=progress&seen=0")
    assert other.headers["hx-refresh"] == "true"


async def test_the_language_is_the_account_s_until_another_is_chosen(panels: Panels) -> None:
    chloe = await panels.visitor("chloe@example.com")
    assert 'lang="en"' in (await chloe.get("/services")).text
    assert '<html lang="fr">' in (await chloe.get("/services?lang=fr")).text
    assert '<html lang="fr">' in (await chloe.get("/services")).text


async def test_the_language_of_a_stranger_is_the_browser_s(panels: Panels) -> None:
    nobody = await panels.visitor(None)
    page = await nobody.get("/sign-in", headers={"accept-language": "en-GB,en;q=0.9"})
    assert '<html lang="en">' in page.text


async def test_an_expired_service_says_why_its_history_is_empty(panels: Panels) -> None:
    change = await panels.change("alice@example.com", "completed")
    alice = await panels.visitor("alice@example.com")
    service = await alice.service_id()
    past = update(services).where(services.c.id == service).values(expires_at=services.c.created_at)
    await panels.plans.database.write(lambda connection: connection.execute(past))
    assert "tant que le service n'a pas expiré" in text(await alice.get(f"/services/{service}/history"))
    assert (await alice.get(f"/changes/{change}")).status_code == 404
