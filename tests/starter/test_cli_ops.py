"""What operators see and are told with no engine: lists, what is done and left, clear refusals."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from click.testing import Result
from sqlalchemy import insert, update

from changeover.storage.tables import findings, plan_changes, receipts, tasks
from starter.operations import Operations
from starter.operator_views import Decided
from starter.short_runs import ShortRuns
from tests.starter.conftest import SeededSystem, an_open_change
from workflows.messages import EvidenceOutcome, EvidenceResult, Forget, Forgotten
from workflows.reconciling import CheckResult, Finding, ReconcileReport


def shown(result: Result) -> Any:
    return json.loads(result.stdout)


def in_trouble(seeded: SeededSystem) -> tuple[str, str, str]:
    """Return a committed change with a teardown that waits for an operator, its server and its service."""
    change = an_open_change(seeded, "alice")
    service = seeded.service_id("alice")
    server = shown(seeded.run("services", "--account", "alice@example.com", "--json"))["services"][0][
        "servers"
    ][2]
    seeded.execute(
        update(plan_changes)
        .where(plan_changes.c.id == change["id"])
        .values(stage="needs_attention", committed_at=seeded.now),
        insert(tasks).values(
            change_id=change["id"], kind="teardown", server_id=server["id"], address=server["address"],
            state="attention", problem="backups-remain", problem_since=seeded.now,
            address_held=False,
        ),
        insert(receipts).values(
            change_id=change["id"], server_id=server["id"], step="record", at=seeded.now,
            evidence={"found": True},
        ),
    )  # fmt: skip
    return change["id"], server["id"], service


def test_what_waits_is_listed_with_its_time(seeded: SeededSystem) -> None:
    assert shown(seeded.run("ops", "list", "--json")) == {
        "plan_changes": [],
        "without_run": [],
    }
    assert "No plan change." in seeded.run("ops", "list").stdout
    change, _, service = in_trouble(seeded)
    for filters in ((), ("--needs-attention",), ("--stage", "needs_attention")):
        listed = shown(seeded.run("ops", "list", *filters, "--json"))["plan_changes"]
        assert [(it["id"], it["service_id"], it["waiting"]) for it in listed] == [(change, service, 1)]
        assert listed[0]["waiting_since"].endswith("Z")
    assert shown(seeded.run("ops", "list", "--stage", "completed", "--json"))["plan_changes"] == []
    assert "Les Renards" in seeded.run("ops", "list").stdout


def test_a_change_shows_what_is_done_and_what_is_left(seeded: SeededSystem) -> None:
    change, server, service = in_trouble(seeded)
    found = shown(seeded.run("ops", "show", change[:8], "--json"))
    task = found["tasks"][0]
    assert task["steps_done"] == ["record"]
    assert task["steps_left"] == ["stop", "delete_backups", "delete_data", "verify_gone", "release_address"]
    assert task["problem"] == "backups-remain"
    assert [run["id"] for run in found["workflows"]] == [f"plan-change/{service}", f"teardown/{server}"]
    assert found["workflows"][0]["path"] == f"/namespaces/default/workflows/plan-change%2F{service}"
    assert found["change"]["receipts"][0]["step"] == "record"
    screen = seeded.run("ops", "show", change, "--lang", "fr").stdout
    assert "supprimer les sauvegardes" in screen
    assert "backups-remain" in screen


@pytest.mark.parametrize("language", ["en", "fr"])
def test_stages_are_said_in_the_words_of_the_runbook(seeded: SeededSystem, language: str) -> None:
    change, _, _ = in_trouble(seeded)
    for command in (("show", change), ("list",)):
        assert "needs_attention" in seeded.run("ops", *command, "--lang", language).stdout


def test_neither_code_nor_address_of_a_customer_is_shown(seeded: SeededSystem) -> None:
    change, _, _ = in_trouble(seeded)
    assert "alice@example.com" not in seeded.run("ops", "show", change, "--json").stdout


@pytest.mark.parametrize("command", [("retry",), ("skip", "--reason", "disk swapped")], ids=lambda it: it[0])
def test_a_repair_needs_the_engine(seeded: SeededSystem, command: tuple[str, ...]) -> None:
    change, server, _ = in_trouble(seeded)
    for target in ((), ("--server", "server-3"), ("--server", server[:8])):
        result = seeded.run("ops", *command, change, *target, "--json")
        assert (result.exit_code, shown(result)["type"]) == (4, "engine-unavailable")


@pytest.mark.parametrize(
    ("command", "language", "words"),
    [
        (
            ("retry",),
            "en",
            ["Tried again now:", "  Apply new limits (teardown/s-1)", "`changeover ops show "],
        ),
        (("retry",), "fr", ["Nouvel essai, maintenant", "dit où cela en est"]),
        (("skip", "--reason", "burnt"), "en", ["Skipped, and kept in the trail:", "Apply new limits"]),
    ],
)
def test_a_repair_says_what_was_decided_and_where_to_look_next(
    seeded: SeededSystem,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    language: str,
    words: list[str],
) -> None:
    change, _, _ = in_trouble(seeded)

    async def decide(*_: Any, **__: Any) -> tuple[Decided, ...]:
        return (Decided(workflow_id="teardown/s-1", work=("Apply new limits",)),)

    monkeypatch.setattr(Operations, command[0], decide)
    told = seeded.run("ops", *command, change, "--lang", language)
    assert told.exit_code == 0
    assert [it for it in words if it not in told.stdout] == []
    assert shown(seeded.run("ops", *command, change, "--json"))["decided"][0]["work"] == ["Apply new limits"]


def test_a_repair_of_what_does_not_wait_is_refused(seeded: SeededSystem) -> None:
    change = an_open_change(seeded, "alice")["id"]
    for target in ((), ("--server", "server-1")):
        result = seeded.run("ops", "retry", change, *target, "--json")
        assert (result.exit_code, shown(result)["type"]) == (1, "nothing-waits")


def test_a_confirmed_change_can_t_be_cancelled(seeded: SeededSystem) -> None:
    change, _, _ = in_trouble(seeded)
    result = seeded.run("ops", "cancel", change)
    assert result.exit_code == 1
    assert "cannot be undone" in result.stderr


def test_cancelling_again_is_answered_without_the_engine(seeded: SeededSystem) -> None:
    change = an_open_change(seeded, "alice")["id"]
    assert seeded.run("ops", "cancel", change).exit_code == 4
    closed = {"stage": "abandoned", "reason": "cancelled", "closed_at": seeded.now}
    seeded.execute(update(plan_changes).where(plan_changes.c.id == change).values(**closed))
    assert seeded.run("ops", "cancel", change).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("skip", "--reason", "  "), "reason"),
        (("skip", "--reason", "a\0b"), "reason"),
        (("skip", "--reason", "asked by alice@example.com"), "reason"),
        (("skip", "--reason", "gone", "--evidence", "mail of alice@example.com"), "evidence"),
        (("retry", "--actor", "olga@host.example"), "actor"),
        (("skip", "--reason", "gone", "--evidence", "x" * 2001), "evidence"),
        (("retry", "--actor", "customer"), "actor"),
        (("retry", "--actor", "x" * 61), "actor"),
    ],
)
def test_what_the_trail_could_not_keep_is_refused(
    seeded: SeededSystem, arguments: tuple[str, ...], field: str
) -> None:
    change, _, _ = in_trouble(seeded)
    result = seeded.run("ops", arguments[0], change, *arguments[1:], "--json")
    assert (result.exit_code, shown(result)["field"]) == (2, field)


def test_changes_are_named_by_an_unambiguous_beginning(seeded: SeededSystem) -> None:
    first = an_open_change(seeded, "alice", id="beef1111-0000-0000-0000-000000000000")["id"]
    an_open_change(seeded, "chloe", id="beef2222-0000-0000-0000-000000000000")
    assert seeded.run("ops", "show", "beef1").exit_code == 0
    ambiguous = seeded.run("ops", "show", "beef")
    assert ambiguous.exit_code == 2
    assert first in ambiguous.stderr
    assert seeded.run("ops", "show", "bee").exit_code == 2
    assert seeded.run("ops", "show", "%%%%").exit_code == 3
    assert seeded.run("ops", "show", "00000000-0000-0000-0000-000000000000").exit_code == 3


def account_of(seeded: SeededSystem, name: str) -> str:
    return str(next(it["id"] for it in seeded.accounts if it["email"] == f"{name}@example.com"))


def test_forgetting_asks_first_and_needs_the_engine(seeded: SeededSystem) -> None:
    command = ("ops", "forget", "alice@example.com", "--by", "olga")
    asked = seeded.run(*command, stdin="n\n")
    assert asked.exit_code == 130
    assert account_of(seeded, "alice") in asked.stderr
    assert "alice@example.com" not in asked.output
    for sure in (seeded.run(*command, stdin="y\n"), seeded.run(*command, "--yes", "--json")):
        assert sure.exit_code == 4


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("alice@example.com", "--by", "olga", "--json"), 2),  # no question can be asked
        (("alice@example.com", "--by", "customer", "--yes"), 2),
        (("nobody@example.com", "--by", "olga", "--yes"), 3),
        (("no-such-account", "--by", "olga", "--yes"), 3),
    ],
)
def test_forgetting_is_refused(seeded: SeededSystem, arguments: tuple[str, ...], code: int) -> None:
    assert seeded.run("ops", "forget", *arguments).exit_code == code


@pytest.mark.parametrize(
    ("result", "code", "said"),
    [
        (
            {"unexpired": ("s1",), "open_changes": ("c1",)},
            1,
            ["service s1 is not expired", "change c1 is open"],
        ),
        ({"at": datetime(2026, 3, 10, 12, tzinfo=UTC)}, 0, ["on 2026-03-10 12:00:00 UTC, by olga"]),
        (
            {"at": datetime(2026, 3, 10, 12, tzinfo=UTC), "servers_left": 2},
            0,
            ["2 of its servers still stand"],
        ),
    ],
)
def test_what_became_of_forgetting_is_told(
    seeded: SeededSystem,
    monkeypatch: pytest.MonkeyPatch,
    result: dict[str, Any],
    code: int,
    said: list[str],
) -> None:
    async def answer(_self: ShortRuns, _workflow: object, order: Forget, **_: object) -> Forgotten:
        return Forgotten(account_id=order.account_id, actor=order.actor, **result)

    monkeypatch.setattr(ShortRuns, "run", answer)
    command = ("ops", "forget", account_of(seeded, "alice"), "--by", "olga", "--yes")
    told = seeded.run(*command)
    assert told.exit_code == code
    assert all(words in told.stdout for words in said)
    assert shown(seeded.run(*command, "--json"))["actor"] == "olga"


def test_what_temporal_does_not_answer_is_said(seeded: SeededSystem) -> None:
    change, _, _ = in_trouble(seeded)
    for command in (("list",), ("show", change)):
        assert "Temporal doesn't answer" in seeded.run("ops", *command).stdout
        assert shown(seeded.run("ops", *command, "--json"))["without_run"] is None


REPORT = ReconcileReport(
    dry_run=False,
    checks={
        "runs": CheckResult(
            found=2,
            healed=1,
            attention=1,
            findings=(
                Finding(kind="marks", subject="s-1", detail="taken back", certain=True, healed=True),
                Finding(kind="server-unknown", subject="s-2", detail="look", certain=False, healed=False),
            ),
        )
    },
    failed={"servers": "the host is away"},
)


def answered_with(monkeypatch: pytest.MonkeyPatch, result: object) -> None:
    """Have the short run end with this result."""

    async def answer(*_: object, **__: object) -> object:
        return result

    monkeypatch.setattr(ShortRuns, "run", answer)


def test_what_a_look_has_found_is_told(seeded: SeededSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    answered_with(monkeypatch, REPORT)
    told = seeded.run("ops", "reconcile")
    assert told.exit_code == 1
    for words in ("healed: marks s-1", "needs attention: server-unknown s-2", "the host is away"):
        assert words in told.stdout
    assert shown(seeded.run("ops", "reconcile", "--json"))["needs_attention"] is True
    answered_with(monkeypatch, ReconcileReport(dry_run=True))
    assert seeded.run("ops", "reconcile", "--dry-run").exit_code == 0


@pytest.mark.parametrize(
    ("outcome", "code", "words"),
    [
        (EvidenceOutcome.RECORDED, 0, "203.0.113.1:27017 is freed and may be given again from"),
        (EvidenceOutcome.RECORDED_BEFORE, 0, "recorded before"),
        (EvidenceOutcome.REMAINS, 1, "delete it there first"),
        (EvidenceOutcome.UNKNOWN, 3, "no change gave this server up"),
    ],
)
def test_what_became_of_evidence_is_told(
    seeded: SeededSystem, monkeypatch: pytest.MonkeyPatch, outcome: EvidenceOutcome, code: int, words: str
) -> None:
    _, server, _ = in_trouble(seeded)
    freed = {"address": "203.0.113.1:27017", "free_from": seeded.now}
    recorded: dict[str, Any] = freed if outcome is EvidenceOutcome.RECORDED else {}
    answered_with(monkeypatch, EvidenceResult(server_id=server, outcome=outcome, **recorded))
    command = ("ops", "evidence", server, "--evidence", "ticket 4711")
    told = seeded.run(*command)
    assert (told.exit_code, words in told.stdout) == (code, True)
    assert shown(seeded.run(*command, "--json"))["outcome"] == outcome


def test_a_look_of_the_reconciler_and_evidence_need_the_engine(seeded: SeededSystem) -> None:
    _, server, _ = in_trouble(seeded)
    for command in (("reconcile",), ("reconcile", "--dry-run"), ("evidence", server[:8], "--evidence", "x")):
        result = seeded.run("ops", *command, "--json")
        assert (result.exit_code, shown(result)["type"]) == (4, "engine-unavailable")
    assert seeded.run("ops", "evidence", "no-such-server", "--evidence", "x").exit_code == 3


def test_what_the_reconciler_left_to_people_is_listed(seeded: SeededSystem) -> None:
    assert "Nothing" in seeded.run("ops", "findings").stdout
    found = {
        "kind": "server-unknown", "subject": "s-1", "detail": "the host has it", "first_seen": seeded.now,
        "last_seen": seeded.now, "healed_at": None, "healed_by": None,
    }  # fmt: skip
    over = found | {"subject": "s-2", "healed_at": seeded.now, "healed_by": "others"}
    seeded.execute(insert(findings).values([found, over]))
    listed = shown(seeded.run("ops", "findings", "--json"))["findings"]
    assert [(it["kind"], it["subject"]) for it in listed] == [("server-unknown", "s-1")]
    assert "server-unknown" in seeded.run("ops", "findings").stdout


def test_the_list_is_narrowed_by_service_account_and_what_is_open(seeded: SeededSystem) -> None:
    alice, chloe = an_open_change(seeded, "alice"), an_open_change(seeded, "chloe")
    closed = {"stage": "abandoned", "reason": "cancelled", "closed_at": seeded.now}
    seeded.execute(update(plan_changes).where(plan_changes.c.id == chloe["id"]).values(**closed))
    for filters, expected in {
        ("--service", alice["service_id"]): {alice["id"]},
        ("--account", chloe["account_id"]): {chloe["id"]},
        ("--open",): {alice["id"]},
        ("--open", "--account", chloe["account_id"]): set(),
    }.items():
        listed = shown(seeded.run("ops", "list", *filters, "--json"))["plan_changes"]
        assert {it["id"] for it in listed} == expected
