"""The checker finds what it is for: each invariant is broken on purpose in the evidence of a real run."""

import copy
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from changeover.domain.proration import DAY
from tests.faults.checker import HELD, JUDGES, NOT_TOUCHED, judge
from tests.faults.evidence import Evidence
from tests.faults.scenarios.common import asked, completes, with_a_pass
from tests.faults.story import WRONG, Story
from tests.faults.system import FaultySystem
from tests.storage.rows import SECOND


@pytest.fixture(scope="module")
async def whole(on_sqlite: FaultySystem) -> Evidence:
    """One change that was committed after a wrong code, one that was cancelled, one of a service now over,
    and one of a service that was over and renewed."""
    story = Story(on_sqlite)
    try:
        alice, first, code = await asked(story)
        await alice.typed(first, WRONG[0])
        await completes(story, alice, first, code)
        bruno, second, _ = await asked(story)
        await bruno.cancel(second)
        chloe = await with_a_pass(story)
        third = await chloe.confirmed(slots=22, server_count=2)
        await chloe.cancel(third)
        await story.host_writes(chloe, expires_at=datetime.now(UTC).replace(microsecond=0) - SECOND)
        dora = await with_a_pass(story)
        await dora.cancel(await dora.confirmed(slots=22, server_count=2))
        await story.host_writes(dora, expires_at=datetime.now(UTC).replace(microsecond=0) - SECOND)
        await dora.looks(expired=True)
        await dora.renew(5)
        await dora.looks(expired=False)
        await story.settle()
        return await story.evidence()
    finally:
        await story.close()


@pytest.fixture
def evidence(whole: Evidence) -> Evidence:
    return copy.deepcopy(whole)


async def test_a_run_without_a_fault_holds_and_touches_everything(whole: Evidence) -> None:
    findings = await judge(whole)
    assert [(it.invariant, it.broken) for it in findings if it.verdict != HELD] == []


async def test_what_cannot_apply_is_not_told_as_held(on_sqlite: FaultySystem) -> None:
    story = Story(on_sqlite)
    try:
        await story.arrives()
        verdicts = {it.invariant: it.verdict for it in await judge(await story.evidence())}
    finally:
        await story.close()
    assert verdicts.pop("I14") == HELD
    assert set(verdicts.values()) == {NOT_TOUCHED}


def _row(evidence: Evidence, table: str, **wanted: Any) -> dict[str, Any]:
    return next(
        row for row in evidence.rows[table] if all(row[name] == value for name, value in wanted.items())
    )


def _committed(evidence: Evidence) -> dict[str, Any]:
    return _row(evidence, "plan_changes", stage="completed")


def _abandoned(evidence: Evidence) -> dict[str, Any]:
    return _row(evidence, "plan_changes", stage="abandoned")


def a_kept_servers_file_is_gone(evidence: Evidence) -> None:
    evidence.files[evidence.people[0].server_ids[0]] = "other"


def a_server_nobody_gave_up_is_destroyed(evidence: Evidence) -> None:
    _row(evidence, "servers", id=evidence.people[0].server_ids[0])["state"] = "destroyed"


def a_second_off_the_expiry(evidence: Evidence) -> None:
    _row(evidence, "services", id=evidence.people[0].service_id)["expires_at"] += SECOND


def a_second_commit(evidence: Evidence) -> None:
    entry = _row(evidence, "trail", event="committed")
    evidence.rows["trail"].append(entry | {"seq": entry["seq"] + 100_000})


def other_slots(evidence: Evidence) -> None:
    _row(evidence, "services", id=evidence.people[0].service_id)["slots"] = 26


def a_file_that_went_before_the_commit(evidence: Evidence) -> None:
    evidence.seen.touched_before_commit.append("server")


def a_teardown_that_is_told_before_the_commit(evidence: Evidence) -> None:
    _row(evidence, "trail", event="teardown_stop")["seq"] = 0


def an_address_released_while_the_server_stands(evidence: Evidence) -> None:
    evidence.files[evidence.people[0].server_ids[2]] = "still there"


def an_address_released_for_a_moment(evidence: Evidence) -> None:
    evidence.seen.released_too_early.append("server")


def a_deletion_skipped_without_evidence(evidence: Evidence) -> None:
    _row(evidence, "receipts", step="delete_data")["evidence"] = {"skipped": True, "evidence": None}


def a_kept_server_without_its_address(evidence: Evidence) -> None:
    server = _row(evidence, "servers", id=evidence.people[0].server_ids[0])
    _row(evidence, "addresses", address=server["address"])["server_id"] = "another"


def a_proof_of_another_code(evidence: Evidence) -> None:
    _committed(evidence)["accepted_proof"] = "0" * 64


def a_wrong_code_that_was_taken(evidence: Evidence) -> None:
    evidence.ledger.tries.append(
        type(evidence.ledger.tries[0])(
            change_id=_abandoned(evidence)["id"], code="ZZZZ-ZZZZ", status=200, problem=None
        )
    )


def a_commit_by_a_code_that_nobody_got(evidence: Evidence) -> None:
    evidence.mails.clear()


def eleven_tries(evidence: Evidence) -> None:
    tried = evidence.rows["code_tries"][0]
    evidence.rows["code_tries"] += [
        tried | {"proof": str(number), "number": number % 3} for number in range(10)
    ]


def a_try_that_was_not_counted(evidence: Evidence) -> None:
    _committed(evidence)["wrong_on_change"] = 0


def two_open_changes(evidence: Evidence) -> None:
    entry = _row(evidence, "trail", event="accepted")
    other = evidence.rows["plan_changes"][0] | {"id": "another"}
    evidence.rows["plan_changes"].append(other)
    evidence.rows["trail"].insert(
        evidence.rows["trail"].index(entry) + 1, entry | {"change_id": "another", "seq": 10**9}
    )
    other["service_id"] = next(
        row["service_id"] for row in evidence.rows["plan_changes"] if row["id"] == entry["change_id"]
    )


def two_open_changes_for_a_moment(evidence: Evidence) -> None:
    evidence.seen.open_twice.append("service")


def a_pass_that_was_not_spent(evidence: Evidence) -> None:
    _row(evidence, "passes", spent_by=_committed(evidence)["id"]).update(spent_by=None, spent_at=None)


def a_pass_spent_by_an_abandoned_change(evidence: Evidence) -> None:
    _row(evidence, "passes", spent_by=None)["spent_by"] = _abandoned(evidence)["id"]


def a_change_that_hangs(evidence: Evidence) -> None:
    _committed(evidence)["stage"] = "applying"


def a_defect_in_a_log(evidence: Evidence) -> None:
    evidence.logs["worker.log"] = "\nERROR activities.failures: judge_code: a defect: KeyError\n"


def an_answer_of_500(evidence: Evidence) -> None:
    evidence.ledger.server_errors.append("GET /v1/services: 500")


def a_code_in_a_log(evidence: Evidence) -> None:
    code = next(iter(evidence.expected_codes.values()))
    evidence.logs["worker.log"] = code.replace("-", "").lower()


def an_address_in_a_metric(evidence: Evidence) -> None:
    object.__setattr__(evidence, "metrics", f'{{who="{evidence.people[0].email}"}}')


def an_address_in_a_history(evidence: Evidence) -> None:
    object.__setattr__(evidence.runs[0], "history_text", evidence.people[0].email.upper())


def a_code_in_temporals_file(evidence: Evidence) -> None:
    object.__setattr__(evidence, "temporal_file", evidence.ledger.tries[0].code.encode())


def a_history_that_an_expired_service_shows(evidence: Evidence) -> None:
    change_id = next(iter(evidence.people[2].sees["changes"]))
    evidence.people[2].sees["changes"][change_id] = 200


def a_history_that_was_shown_while_the_service_was_expired(evidence: Evidence) -> None:
    (hidden, _) = evidence.ledger.looks
    evidence.ledger.looks.append(replace(hidden, listed=hidden.changes))


def a_change_that_no_renewal_brought_back(evidence: Evidence) -> None:
    (_, shown) = evidence.ledger.looks
    evidence.ledger.looks.append(replace(shown, statuses=(404,)))


def a_fourth_code(evidence: Evidence) -> None:
    _committed(evidence)["code_number"] = 4


def a_mail_to_two(evidence: Evidence) -> None:
    object.__setattr__(evidence.mails[0], "recipients", ("a@example.com", "b@example.com"))


def a_code_under_two_message_ids(evidence: Evidence) -> None:
    again = copy.copy(evidence.mails[0])
    object.__setattr__(again, "message_id", "<another@host.test>")
    evidence.mails.append(again)


def a_commit_without_a_hand_over(evidence: Evidence) -> None:
    mine = _committed(evidence)["id"]
    evidence.rows["trail"].remove(_row(evidence, "trail", event="code_mailed", change_id=mine))


def an_entry_of_the_trail_that_is_gone(evidence: Evidence) -> None:
    evidence.rows["trail"].remove(_row(evidence, "trail", event="code_wrong"))


def an_entry_of_the_trail_that_was_rewritten(evidence: Evidence) -> None:
    _row(evidence, "trail", event="committed")["actor"] = "somebody"


def a_trail_that_can_be_rewritten(evidence: Evidence) -> None:
    object.__setattr__(evidence, "rewriting_refused", False)


def a_stage_that_cannot_follow(evidence: Evidence) -> None:
    _row(evidence, "trail", event="committed")["stage"] = "applying"


def a_stranger_who_gets_an_answer(evidence: Evidence) -> None:
    evidence.people[0].stranger.append("GET /v1/plan-changes/x: 200")


def a_change_of_another_account(evidence: Evidence) -> None:
    _committed(evidence)["account_id"] = "another"


def a_history_that_the_code_did_not_make(evidence: Evidence) -> None:
    run = next(it for it in evidence.runs if it.workflow_id.startswith("plan-change/"))
    scheduled = next(
        event for event in run.history.events if event.HasField("activity_task_scheduled_event_attributes")
    )
    scheduled.activity_task_scheduled_event_attributes.activity_type.name = "another"


def a_mark_that_was_lost(evidence: Evidence) -> None:
    _row(evidence, "servers", id=evidence.people[1].server_ids[2])["state"] = "active"


def days_that_an_abandoned_change_took(evidence: Evidence) -> None:
    service = _row(evidence, "services", id=evidence.people[1].service_id)
    service["expires_at"] -= timedelta(seconds=DAY)


def a_task_of_an_abandoned_change(evidence: Evidence) -> None:
    task = evidence.rows["tasks"][0]
    evidence.rows["tasks"].append(task | {"change_id": _abandoned(evidence)["id"]})


PLANTED: dict[str, tuple[Callable[[Evidence], None], ...]] = {
    "I1": (a_kept_servers_file_is_gone, a_server_nobody_gave_up_is_destroyed),
    "I2": (a_second_off_the_expiry, a_second_commit, other_slots),
    "I3": (a_file_that_went_before_the_commit, a_teardown_that_is_told_before_the_commit),
    "I4": (
        an_address_released_while_the_server_stands,
        an_address_released_for_a_moment,
        a_deletion_skipped_without_evidence,
        a_kept_server_without_its_address,
    ),
    "I5": (a_proof_of_another_code, a_wrong_code_that_was_taken, a_commit_by_a_code_that_nobody_got),
    "I6": (eleven_tries, a_try_that_was_not_counted),
    "I7": (two_open_changes, two_open_changes_for_a_moment),
    "I8": (a_pass_that_was_not_spent, a_pass_spent_by_an_abandoned_change),
    "I9": (a_change_that_hangs, a_defect_in_a_log, an_answer_of_500),
    "I10": (a_code_in_a_log, an_address_in_a_metric, an_address_in_a_history, a_code_in_temporals_file),
    "I11": (
        a_history_that_an_expired_service_shows,
        a_history_that_was_shown_while_the_service_was_expired,
        a_change_that_no_renewal_brought_back,
    ),
    "I12": (a_fourth_code, a_mail_to_two, a_code_under_two_message_ids, a_commit_without_a_hand_over),
    "I13": (
        an_entry_of_the_trail_that_is_gone,
        an_entry_of_the_trail_that_was_rewritten,
        a_trail_that_can_be_rewritten,
        a_stage_that_cannot_follow,
    ),
    "I14": (a_stranger_who_gets_an_answer, a_change_of_another_account),
    "I15": (a_history_that_the_code_did_not_make,),
    "I16": (a_mark_that_was_lost, days_that_an_abandoned_change_took, a_task_of_an_abandoned_change),
}


def test_every_invariant_has_a_planted_violation() -> None:
    assert PLANTED.keys() == JUDGES.keys()


@pytest.mark.parametrize(
    ("invariant", "plant"),
    [
        pytest.param(invariant, plant, id=f"{invariant}-{plant.__name__.replace('_', '-')}")
        for invariant, plants in PLANTED.items()
        for plant in plants
    ],
)
async def test_it_finds(evidence: Evidence, invariant: str, plant: Callable[[Evidence], None]) -> None:
    plant(evidence)
    found = JUDGES[invariant](evidence)
    assert await found if isinstance(found, Awaitable) else found
