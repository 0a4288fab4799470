"""Ids: what is made can be read back, and the same thing has the same id."""

from uuid import UUID, uuid4

import pytest

from workflows import ids


def test_a_workflow_id_gives_its_service_back() -> None:
    service = str(uuid4())
    assert ids.service_id_from(ids.plan_change_workflow_id(service)) == service


def test_a_teardown_id_gives_its_server_back() -> None:
    server = str(uuid4())
    assert ids.server_id_from(ids.teardown_workflow_id(server)) == server


@pytest.mark.parametrize("foreign", ["", "x", "teardown", "other/1", "Plan-change/1", " plan-change/1"])
def test_an_id_of_another_kind_is_refused(foreign: str) -> None:
    for read in (ids.service_id_from, ids.server_id_from):
        with pytest.raises(ValueError, match="doesn't begin with"):
            read(foreign)


def test_the_kinds_are_not_taken_for_each_other() -> None:
    with pytest.raises(ValueError, match="doesn't begin with"):
        ids.service_id_from(ids.teardown_workflow_id("1"))
    with pytest.raises(ValueError, match="doesn't begin with"):
        ids.server_id_from(ids.plan_change_workflow_id("1"))
    assert not ids.outcome_mail_workflow_id("1").startswith(("plan-change/", "teardown/"))


def test_the_same_click_is_the_same_change() -> None:
    assert ids.change_id("a", "s", "k") == ids.change_id("a", "s", "k")
    assert str(UUID(ids.change_id("a", "s", "k"))) == ids.change_id("a", "s", "k")


def test_no_two_clicks_are_the_same_change() -> None:
    clicks = [
        ("a", "s", "k"),
        ("b", "s", "k"),
        ("a", "t", "k"),
        ("a", "s", "l"),
        ("as", "", "k"),
        ("", "as", "k"),
    ]
    assert len({ids.change_id(*click) for click in clicks}) == len(clicks)


def test_ids_of_changes_never_change() -> None:
    """They are in rows, in histories and with customers: another namespace would lose them all."""
    assert ids.change_id("account", "service", "key") == "6d677d92-8ed5-584f-84a4-906aafbeecf7"
    assert ids.server_id("6d677d92-8ed5-584f-84a4-906aafbeecf7", 0) == "95689b83-4637-5646-adcf-21cd19f01155"


def test_updates_are_told_apart_by_change_number_and_proof() -> None:
    made = {
        ids.code_update_id(1, "p"),
        ids.code_update_id(2, "p"),
        ids.code_update_id(1, "q"),
        ids.resend_update_id("c", 1),
        ids.resend_update_id("c", 2),
        ids.cancel_update_id("c"),
        ids.cancel_update_id("d"),
    }
    assert len(made) == 7


def test_new_servers_have_ids_of_their_own() -> None:
    change = str(uuid4())
    assert len({ids.server_id(change, index) for index in range(10)}) == 10
    assert ids.server_id(change, 3) == ids.server_id(change, 3)


def test_mails_have_a_queue_beside_the_one_of_changes() -> None:
    assert ids.mail_queue("changeover") == "changeover-mail"
