"""The command line against a real database, with no engine: what customers see, and each exit code."""

import json
from collections.abc import Iterator
from typing import Any

import click
import pytest
from click.testing import Result
from sqlalchemy import insert, update

from changeover.domain.proration import whole_second
from changeover.storage.tables import plan_changes, services
from starter.cli.exits import EXIT_CODES
from starter.cli.lazy import COMMANDS, LazyGroup
from starter.texts.words import NBSP
from tests.starter.conftest import SeededSystem, an_open_change

ALICE = ("--account", "alice@example.com")
BRUNO = ("--account", "bruno@example.com")
CHLOE = ("--account", "chloe@example.com")
FARID = ("--account", "farid@example.com")
GRACE = ("--account", "grace@example.com")
HUGO = ("--account", "hugo@example.com")


def shown(result: Result) -> Any:
    """Return the one JSON object of a command."""
    return json.loads(result.stdout)


def said(result: Result) -> str:
    return result.output.replace(NBSP, " ")


def test_services_are_shown_in_the_account_s_language(seeded: SeededSystem) -> None:
    french, english = seeded.run("services", *ALICE), seeded.run("services", *CHLOE)
    assert (french.exit_code, english.exit_code) == (0, 0)
    assert "Jours restants" in french.stdout
    assert "203.0.113.1:27015" in french.stdout
    assert "Days left" in english.stdout
    assert "Days left" in seeded.run("services", *ALICE, "--lang", "en").stdout


def test_a_service_as_json_has_the_fields_of_the_api(seeded: SeededSystem) -> None:
    service = shown(seeded.run("services", *ALICE, "--json"))["services"][0]
    assert set(service) == {
        "id", "name", "configuration", "rate", "expires_at", "days_left", "servers", "open_change",
        "next_change_at",
    }  # fmt: skip
    assert service["configuration"] == {
        "offer": "cs2-public", "slots": 20, "options": [], "server_count": 3
    }  # fmt: skip
    assert service["expires_at"].endswith("Z")
    assert set(service["servers"][0]) == {"id", "name", "address", "state", "backups"}
    assert shown(seeded.run("services", "Les Renards", *ALICE, "--json")) == service


def test_offers_tell_options_and_ranges(seeded: SeededSystem) -> None:
    offers = shown(seeded.run("offers", *ALICE, "--json"))["offers"]
    public = next(offer for offer in offers if offer["is_present"])
    assert public["code"] == "cs2-public"
    assert public["slots"] == {"min": 10, "max": 32, "step": 2}
    assert {"code", "name", "price", "per"} == set(public["options"][0])
    assert "Counter-Strike 2 Éco" in seeded.run("offers", *ALICE).stdout


def test_a_quote_shows_old_and_new_and_what_is_destroyed(seeded: SeededSystem) -> None:
    result = seeded.run("quote", *HUGO, "--slots", "24")
    assert result.exit_code == 0
    for text in ("Actuel", "Nouveau", "server-3", "server-4", "Aucun remboursement", "digest"):
        assert text in result.stdout


def test_a_quote_keeps_what_is_not_given_and_the_servers_not_marked(seeded: SeededSystem) -> None:
    quote = shown(seeded.run("quote", *HUGO, "--option", "flexi_plus", "--json"))
    assert quote["after"] == {
        "offer": "cs2-public", "slots": 20, "options": ["flexi_plus"], "server_count": 2
    }  # fmt: skip
    assert {server["name"] for server in quote["destroys"]} == {"server-3", "server-4"}
    assert len(quote["digest"]) == 64
    assert quote["as_of"].endswith("Z")
    david = ("--account", "david@example.com")
    assert shown(seeded.run("quote", *david, "--no-option", "flexi_plus", "--json"))["after"]["options"] == []


def test_a_blocked_quote_tells_all_blockers(seeded: SeededSystem) -> None:
    result = seeded.run("quote", *GRACE, "--slots", "13", "--servers", "1", "--json")
    quote = shown(result)
    assert result.exit_code == 1
    assert [blocker["type"] for blocker in quote["blockers"]] == [
        "service-expired", "configuration-invalid", "servers-not-marked"
    ]  # fmt: skip
    assert quote["blockers"][1]["allowed"] == {"min": 10, "max": 32, "step": 2}
    assert quote["digest"] is quote["new_expires_at"] is None


def test_too_few_days_are_said_in_the_host_s_sentence(seeded: SeededSystem) -> None:
    result = seeded.run("quote", *BRUNO, "--slots", "32")
    assert result.exit_code == 1
    assert "Vous devez disposer d'au moins 4 jours pour pouvoir le faire." in said(result)
    assert "Il vous reste actuellement : 2 jours." in said(result)


def test_marks_are_set_and_taken_back_as_often_as_one_likes(seeded: SeededSystem) -> None:
    for command, state in (
        ("mark", "marked"),
        ("mark", "marked"),
        ("unmark", "active"),
        ("unmark", "active"),
    ):
        result = seeded.run(command, "server-2", "server-3", *ALICE, "--json")
        assert result.exit_code == 0
        states = {server["name"]: server["state"] for server in shown(result)["servers"]}
        assert states == {"server-1": "active", "server-2": state, "server-3": state}


def test_a_renewal_with_the_same_key_adds_days_once(seeded: SeededSystem) -> None:
    first = shown(seeded.run("renew", *ALICE, "--days", "30", "--key", "k", "--json"))
    again = shown(seeded.run("renew", *ALICE, "--days", "30", "--key", "k", "--json"))
    other = seeded.run("renew", *ALICE, "--days", "31", "--key", "k", "--json")
    assert first == again
    assert first["idempotency_key"] == "k"
    assert (other.exit_code, shown(other)["type"]) == (1, "idempotency-key-reused")
    assert "expire le" in seeded.run("renew", *ALICE, "--days", "1").stdout


def test_a_renewal_of_no_days_is_bad_usage(seeded: SeededSystem) -> None:
    result = seeded.run("renew", *ALICE, "--days", "0", "--json")
    assert (result.exit_code, shown(result)["type"], shown(result)["field"]) == (2, "request-invalid", "days")


def test_history_is_empty_at_first(seeded: SeededSystem) -> None:
    assert shown(seeded.run("history", *ALICE, "--json")) == {"plan_changes": []}
    assert "Aucun changement d'offre" in seeded.run("history", *ALICE).stdout


def test_the_open_change_needs_no_name(seeded: SeededSystem) -> None:
    change = an_open_change(seeded, "alice")
    by_itself, by_prefix = (
        shown(seeded.run("status", *named, *ALICE, "--json")) for named in ((), (change["id"][:6],))
    )
    assert by_itself == by_prefix
    assert by_itself["stage"] == "awaiting_code"
    assert by_itself["as_of"].endswith("Z")
    assert by_itself["sent_to"] == "a***@e***.com"
    assert "en attente du code" in seeded.run("status", *ALICE).stdout
    assert change["id"] in seeded.run("history", *ALICE).stdout


def test_without_an_open_change_one_must_be_named(seeded: SeededSystem) -> None:
    result = seeded.run("status", *ALICE)
    assert result.exit_code == 3
    assert "Aucun changement d'offre n'est en cours" in result.stderr


@pytest.mark.parametrize(
    "command", [("code", "BBBB-BBBB"), ("resend",), ("cancel",)], ids=lambda command: str(command[0])
)
def test_an_engine_that_is_away_is_told(seeded: SeededSystem, command: tuple[str, ...]) -> None:
    an_open_change(seeded, "alice")
    result = seeded.run(*command, *ALICE, "--json")
    assert (result.exit_code, shown(result)["type"]) == (4, "engine-unavailable")
    assert shown(result)["retry_after"] > 0


def test_what_cannot_be_a_code_never_reaches_the_engine(seeded: SeededSystem) -> None:
    an_open_change(seeded, "alice")
    assert seeded.run("code", "12345678", *ALICE).exit_code == 2


def test_a_request_that_is_blocked_says_why(seeded: SeededSystem) -> None:
    result = seeded.run("request", *FARID, "--yes", "--json")
    assert result.exit_code == 1
    assert shown(result)["type"] == "recurring-payment-active"
    assert [it["type"] for it in shown(result)["blockers"]] == ["recurring-payment-active", "nothing-changes"]
    assert "PayPal" in seeded.run("request", *FARID, "--yes").stdout


def test_a_request_insists_on_the_quote_it_names(seeded: SeededSystem) -> None:
    result = seeded.run("request", *ALICE, "--slots", "24", "--yes", "--digest", "another", "--json")
    assert (result.exit_code, shown(result)["type"]) == (1, "quote-stale")
    assert shown(result)["quote"]["digest"]


def test_nothing_is_requested_where_nobody_can_be_asked(seeded: SeededSystem) -> None:
    result = seeded.run("request", *ALICE, "--slots", "24", stdin="oui\n")
    assert result.exit_code == 2
    assert "--yes" in result.stderr


def test_a_service_is_named_by_id_beginning_or_name(seeded: SeededSystem) -> None:
    service = seeded.service_id("alice")
    for name in (service, service.upper(), service[:4], "les renards"):
        assert seeded.run("services", name, *ALICE).exit_code == 0, name
    for name in (service[:3], "nobody's", seeded.service_id("bruno")):
        assert seeded.run("services", name, *ALICE).exit_code == 3, name


def test_an_ambiguous_name_is_not_guessed(seeded: SeededSystem) -> None:
    first, second = "aaaa1111-0000-0000-0000-000000000000", "aaaa2222-0000-0000-0000-000000000000"
    alice = next(account["id"] for account in seeded.accounts if account["email"].startswith("alice"))
    row = {
        "account_id": alice, "offer_code": "cs2-eco", "slots": 8, "options": [], "server_count": 0,
        "expires_at": seeded.now, "recurring_payment_active": False, "created_at": seeded.now,
    }  # fmt: skip
    seeded.execute(
        insert(services).values(id=first, name="Twins", **row),
        insert(services).values(id=second, name="Twins", **row),
    )
    for name in ("aaaa", "Twins"):
        result = seeded.run("services", name, *ALICE, "--json")
        assert (result.exit_code, shown(result)["type"]) == (2, "request-invalid")
        assert first in shown(result)["title"]
    assert seeded.run("services", "aaaa1", *ALICE).exit_code == 0
    assert seeded.run("offers", *ALICE).exit_code == 2  # three services, none named


def test_another_s_things_are_not_found(seeded: SeededSystem) -> None:
    change = an_open_change(seeded, "alice")
    for command in (("status", change["id"]), ("code", "--change", change["id"], "BBBBBBBB")):
        assert seeded.run(*command, *CHLOE).exit_code == 3
    assert seeded.run("services", "--account", "nobody@example.com").exit_code == 3


def test_whose_services_must_be_said(seeded: SeededSystem) -> None:
    assert "CHANGEOVER_ACCOUNT" in seeded.run("services").stderr
    assert seeded.run("services").exit_code == 2
    assert seeded.run("services", environ={"CHANGEOVER_ACCOUNT": "alice@example.com"}).exit_code == 0


def test_a_name_can_t_command_the_terminal(seeded: SeededSystem) -> None:
    its = services.c.id == seeded.service_id("alice")
    seeded.execute(update(services).where(its).values(name="\x1b[2J[red]Evil"))
    result = seeded.run("services", *ALICE)
    assert "\x1b" not in result.stdout
    assert "[red]Evil" in result.stdout


def test_a_closed_change_can_t_be_cancelled(seeded: SeededSystem) -> None:
    change = an_open_change(seeded, "alice")
    closed = {"stage": "abandoned", "reason": "window-over", "closed_at": whole_second(seeded.now)}
    seeded.execute(update(plan_changes).where(plan_changes.c.id == change["id"]).values(**closed))
    result = seeded.run("cancel", change["id"], *ALICE, "--json")
    assert result.exit_code == 1
    assert (shown(result)["type"], shown(result)["reason"]) == ("change-closed", "window-over")
    assert "non confirmé à temps" in seeded.run("status", change["id"], *ALICE).stdout


def test_watching_ends_with_the_change(seeded: SeededSystem) -> None:
    change = an_open_change(seeded, "alice")
    seeded.execute(
        update(plan_changes)
        .where(plan_changes.c.id == change["id"])
        .values(stage="abandoned", reason="stale")
    )
    result = seeded.run("watch", change["id"], *ALICE, "--json")
    assert result.exit_code == 1  # the change came to nothing
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["event"] for line in lines] == ["accepted"]
    assert set(lines[0]) == {"seq", "at", "event", "stage", "actor", "data"}
    assert "Demande acceptée" in seeded.run("watch", change["id"], *ALICE).stdout


@pytest.mark.parametrize(
    ("environ", "kind"),
    [
        ({"CHANGEOVER_PROOF_KEY": "short"}, "settings-invalid"),
        ({"CHANGEOVER_DATABASE_URL": "sqlite+aiosqlite:////nowhere/at/all.db"}, "database-unavailable"),
        ({"CHANGEOVER_DATABASE_URL": "postgresql+asyncpg://me@127.0.0.1:1/x"}, "database-unavailable"),
    ],
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # aiosqlite's thread
def test_surroundings_that_can_t_work_are_told(
    seeded: SeededSystem, environ: dict[str, str], kind: str
) -> None:
    result = seeded.run("services", *ALICE, "--json", environ=environ)
    assert (result.exit_code, shown(result)["type"]) == (5, kind)
    assert "Traceback" not in result.output
    assert "short" not in result.output.replace("at least", "")


def test_a_missing_catalogue_is_told(seeded: SeededSystem) -> None:
    for table in ("offer_options", "offers", "catalogues"):
        seeded.execute_text(f"DELETE FROM {table}")
    result = seeded.run("services", *ALICE)
    assert result.exit_code == 5
    assert "changeover setup" in result.stderr


def test_debug_shows_the_traceback(seeded: SeededSystem) -> None:
    result = seeded.run("--debug", "services", "nothing", *ALICE)
    assert result.exit_code == 3
    assert "Traceback" in result.stderr


def test_help_tells_every_exit_code(seeded: SeededSystem) -> None:
    result = seeded.run("--help")
    assert all(f"{code:3}  {text}" in result.stdout for code, text in EXIT_CODES.items())
    assert seeded.run("nonsense").exit_code == 2


def leaves(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        for inner, child in command.commands.items():
            yield from leaves(child, f"{name} {inner}")
    else:
        yield name, command


def test_every_command_takes_json() -> None:
    group = LazyGroup()
    found = {name: group.get_command(click.Context(group), name) for name in COMMANDS}
    every = [leaf for name, command in found.items() if command for leaf in leaves(command, name)]
    assert len(every) > len(COMMANDS)
    assert [name for name, it in every if not any("--json" in option.opts for option in it.params)] == []
