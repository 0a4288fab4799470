"""The change editor, its quote and its recap, fast: nothing runs behind them."""

import re
from typing import Any

import pytest

from changeover.storage.catalogue_file import MOST_SERVERS
from tests.starter.panel.conftest import Panels, Visitor
from tests.starter.panel.reading import fields, in_language, text

CHANGE = "/services/{}/change"


async def test_the_editor_starts_from_what_there_is(alice: Visitor) -> None:
    page = await alice.get(CHANGE.format(await alice.service_id()))
    assert "Il vous reste 20 jours." in text(page)
    assert "cs2-club" in page.text
    assert "minecraft" not in page.text


@pytest.mark.parametrize(
    ("email", "query", "expected", "way"),
    [
        ("alice@example.com", {"slots": "24"}, "Après ce changement, il vous restera 17 jours", None),
        ("bruno@example.com", {"slots": "32"}, "d'au moins 4 jours", "/renew?days=2&amp;then=change"),
        ("alice@example.com", {"server_count": "2"}, "1 serveur est à marquer", "#servers"),
        ("alice@example.com", {}, "cette configuration", "#offer"),
        ("chloe@example.com", {"slots": "24"}, "the next is possible from December", None),
        ("farid@example.com", {"slots": "24"}, "PayPal", None),
        ("grace@example.com", {"slots": "24"}, "The service expired on", "/renew?days="),
        ("hugo@example.com", {"server_count": "4"}, "2 serveurs", "server_count=2"),
        ("emma@example.com", {"slots": "24"}, "Votre pass de changement instantané sera utilisé", None),
        ("david@example.com", {"slots": "24"}, "After this change you will have", None),
        ("alice@example.com", {"offer": "minecraft-start"}, "Counter-Strike 2 Club", "#offer"),
        ("alice@example.com", {"options": "flexi"}, "Flexi+", "#options"),
        ("alice@example.com", {"slots": "21"}, "10", "#slots"),
    ],
)
async def test_the_quote_says_what_it_does_or_the_way_out(
    panels: Panels, email: str, query: dict[str, str], expected: str, way: str | None
) -> None:
    visitor = await panels.visitor(email)
    service = (await panels.plans.services(visitor.account_id))[0]
    wanted: dict[str, Any] = service.configuration.record | {"shown_offer": service.configuration.offer}
    page = await visitor.get(CHANGE.format(service.id) + "/quote", params=wanted | query)
    assert page.status_code == 200
    assert "<html" not in page.text
    assert expected in text(page)
    if way is not None:
        assert way in page.text


async def test_all_blockers_are_said_at_once(panels: Panels) -> None:
    grace = await panels.visitor("grace@example.com")
    page = await grace.get(
        CHANGE.format(await grace.service_id()) + "?offer=cs2-public&slots=24&server_count=1"
    )
    said = text(page)
    assert "The service expired on" in said
    assert "You need at least" in said
    assert "servers have to be marked" in said


async def test_another_offer_brings_slots_that_it_has(alice: Visitor) -> None:
    query = {"offer": "cs2-eco", "shown_offer": "cs2-public", "slots": "21", "server_count": "3"}
    page = await alice.get(CHANGE.format(await alice.service_id()) + "/quote", params=query)
    assert 'hx-swap-oob="true"' in page.text
    assert re.search(r"<option selected>20</option>", page.text)


async def test_marking_in_the_editor_keeps_what_was_chosen(alice: Visitor) -> None:
    service, server = await alice.service_id(), (await alice.server_ids())[2]
    chosen = {"offer": "cs2-public", "slots": "24", "server_count": "3"}
    marked = await alice.post(f"/services/{service}/servers/{server}/mark", chosen)
    assert marked.status_code == 303
    assert marked.headers["location"].endswith("/change?offer=cs2-public&slots=24&server_count=2#servers")
    page = await alice.http.get(marked.headers["location"])
    assert "détruira définitivement 1 serveur" in text(page)
    undone = await alice.post(f"/services/{service}/servers/{server}/unmark")
    assert undone.headers["location"].endswith(f"/services/{service}#servers")
    assert "détruira" not in text(await alice.get(f"/services/{service}"))


async def test_a_change_without_scripts_up_to_the_request(alice: Visitor) -> None:
    """The engine is away: the request is answered with 503, and the form keeps its key."""
    service, server = await alice.service_id(), (await alice.server_ids())[2]
    await alice.post(f"/services/{service}/servers/{server}/mark")
    recap = await alice.get(CHANGE.format(service) + "/recap?offer=cs2-public&slots=24&server_count=2")
    said = text(recap)
    assert recap.status_code == 200
    assert "server-3 203.0.113.1:27017 3 sauvegardes" in said
    assert "rien n'est remboursé, pas même en jetons" in said
    assert "a***@e***.com" in said
    form = fields(recap.text, "confirm")
    assert form["shown"] == [server]
    unticked = await alice.post(CHANGE.format(service) + "/recap", form)
    assert unticked.status_code == 422
    assert unticked.text.count('aria-invalid="true"') == 2
    assert "<title>Erreur" in unticked.text
    ticked = fields(unticked.text, "confirm") | {"no_refund": "yes", "destroys": [server]}
    away = await alice.post(CHANGE.format(service) + "/recap", ticked)
    assert away.status_code == 503
    assert away.headers["retry-after"] == "5"
    assert fields(away.text, "confirm")["key"] == ticked["key"]
    assert "Rien n'est perdu" in text(away)


async def test_all_but_one_of_the_most_servers_can_be_given_up_at_once(panels: Panels) -> None:
    names = [f"server-{number}" for number in range(1, MOST_SERVERS + 1)]
    email = await panels.newcomer("large@example.com", "Large", names, MOST_SERVERS - 1, days=3)
    visitor = await panels.visitor(email)
    path = CHANGE.format(await visitor.service_id()) + "/recap"
    recap = await visitor.get(f"{path}?offer=cs2-public&slots=20&server_count=1")
    form = fields(recap.text, "confirm")
    assert len(form["shown"]) == MOST_SERVERS - 1
    answer = await visitor.post(path, form | {"no_refund": "yes", "destroys": form["shown"]})
    assert answer.status_code == 503, "the engine is away, and nothing else in the way"


async def test_each_rendering_has_a_key_of_its_own(alice: Visitor) -> None:
    path = CHANGE.format(await alice.service_id()) + "/recap?offer=cs2-public&slots=24&server_count=3"
    first, second = await alice.get(path), await alice.get(path)
    assert fields(first.text, "confirm")["key"] != fields(second.text, "confirm")["key"]


async def test_a_refused_recap_is_of_the_same_change_in_another_language(alice: Visitor) -> None:
    service, server = await alice.service_id(), (await alice.server_ids())[2]
    await alice.post(f"/services/{service}/servers/{server}/mark")
    recap = await alice.get(CHANGE.format(service) + "/recap?offer=cs2-public&slots=24&server_count=2")
    unticked = await alice.post_form(recap, "confirm")
    assert unticked.status_code == 422
    english = in_language(unticked.text, "en")
    assert "slots=24" in english
    assert "Slots per server 20 24" in text(await alice.http.get(english))


async def test_a_recap_that_is_no_longer_true_is_shown_anew(alice: Visitor) -> None:
    service = await alice.service_id()
    recap = await alice.get(CHANGE.format(service) + "/recap?offer=cs2-public&slots=24&server_count=3")
    form = fields(recap.text, "confirm") | {"no_refund": "yes"}
    await alice.post(f"/services/{service}/servers/{(await alice.server_ids())[0]}/mark")
    stale = await alice.post(CHANGE.format(service) + "/recap", form)
    assert stale.status_code == 409
    assert not (await alice.plans.history(alice.account_id, service))


async def test_a_blocked_recap_is_the_editor_again(panels: Panels) -> None:
    bruno = await panels.visitor("bruno@example.com")
    path = CHANGE.format(await bruno.service_id()) + "/recap?offer=cs2-public&slots=32&server_count=1"
    page = await bruno.get(path)
    assert page.status_code == 409
    assert "autofocus" in page.text
    assert "insuffisant" in text(page)


async def test_a_renewal_leads_back_to_the_change_that_needed_it(panels: Panels) -> None:
    bruno = await panels.visitor("bruno@example.com")
    service = await bruno.service_id()
    query = "days=2&then=change&offer=cs2-public&slots=32&server_count=1"
    form = fields((await bruno.get(f"/services/{service}/renew?{query}")).text, "roomy")
    done = await bruno.post(f"/services/{service}/renew", form)
    again = await bruno.post(f"/services/{service}/renew", form)
    assert done.headers["location"] == again.headers["location"]
    page = await bruno.http.get(done.headers["location"])
    assert "Le service est renouvelé." in text(page)
    assert "Après ce changement, il vous restera 1 jour" in text(page)


async def test_a_refused_renewal_leads_to_the_same_change_in_another_language(panels: Panels) -> None:
    bruno = await panels.visitor("bruno@example.com")
    query = "days=2&then=change&offer=cs2-public&slots=32&server_count=1"
    page = await bruno.get(f"/services/{await bruno.service_id()}/renew?{query}")
    wrong = await bruno.post_form(page, "roomy", days="0")
    assert wrong.status_code == 422
    english = await bruno.http.get(in_language(wrong.text, "en"))
    assert "Days to add" in text(english)
    form = fields(english.text, "roomy")
    assert (form["then"], form["slots"], form["days"]) == ("change", "32", "2")
