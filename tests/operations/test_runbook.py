"""The runbook's commands do what it says, each in the trouble that it is for."""

import re
import shutil
from pathlib import Path
from uuid import uuid4

import pytest

from changeover.domain.lifecycle import AbandonReason, Stage
from changeover.domain.teardown import STEPS
from tests.operations.field import Case, Field
from tests.operations.runbook import PAGES, saved_views, sections

REPAIRS = "repairs.md"
_MOST_STEPS = 6


def backups(field: Field, case: Case) -> Path:
    return field.folder(case.words["SERVER"]) / "backups"


def test_every_command_of_the_runbook_is_typed_by_a_test() -> None:
    typed = set(re.findall(r'follow\(\s*(?:"(\S+)"|REPAIRS), "([^"]+)"', Path(__file__).read_text()))
    typed = {(page or REPAIRS, heading) for page, heading in typed}
    written = {(page.name, heading) for page in PAGES.glob("*.md") for heading in sections(page.name)}
    assert typed == written


def test_every_stage_reason_and_step_is_explained() -> None:
    text = (PAGES / "stages.md").read_text(encoding="utf-8")
    explained = re.findall(r"^\| `([\w-]+)` \|", text, re.MULTILINE)
    assert explained == [*Stage, *explained[len(Stage) : len(Stage) + len(AbandonReason)], *STEPS]
    assert set(AbandonReason) <= set(explained)


@pytest.fixture(scope="module")
async def stuck(field: Field) -> Case:
    """A teardown that waits for an operator, for those who only look at it."""
    return await field.stuck_teardown()


async def test_what_waits_is_found_and_understood(field: Field, stuck: Case) -> None:
    case = stuck
    listed = await field.follow("README.md", "1. What waits for me?", case.words)
    assert case.change_id in listed
    assert f"teardown/{case.words['SERVER']}" in listed
    told = await field.follow("README.md", "2. What does it say?", case.words)
    assert "is a symbolic link, where a folder is expected" in told
    assert "Mend the cause on the host, then send the update `retry`" in told
    await field.follow("stages.md", "Stages of a change", case.words)
    assert "teardown/" in await field.follow("stages.md", "Runs", case.words)


async def test_every_saved_view_is_a_query_that_temporal_takes(field: Field, stuck: Case) -> None:
    words = {**stuck.words, "NOW": "2026-03-10T22:00:00Z", "SINCE": "2026-03-10T22:00:00Z"}
    shows = {"needs attention", "one service", "one account"}
    for view, query in saved_views().items():
        filled = re.sub(r"\b(SERVICE|ACCOUNT|NOW|SINCE)\b", lambda found: words[found[0]], query)
        listed = await field.type(f"temporal workflow list --query '{filled}'")
        assert (f"plan-change/{stuck.customer.service.id}" in listed) is (view in shows), view


@pytest.mark.parametrize("by", ["changeover", "temporal"])
async def test_a_teardown_is_tried_again(field: Field, by: str) -> None:
    case = await field.stuck_teardown()
    field.mend(backups(field, case))
    assert "teardown" in await field.follow(REPAIRS, "Try again", case.words, only=by)
    await field.stage(case, "completed")
    assert not field.folder(case.words["SERVER"]).exists()


async def skipped_to_the_end(field: Field, case: Case, heading: str, only: str) -> None:
    """Skip as the page says: one step after the other, as long as the next one waits."""
    for _ in range(_MOST_STEPS):
        if heading == "Go on without it":
            await field.follow(REPAIRS, "Go on without it", case.words, only=only)
        else:
            await field.follow(REPAIRS, "Go on, with evidence", case.words, only=only)
        if await field.goes_on(case) == "completed":
            return
    raise AssertionError("a teardown has no more steps")


@pytest.mark.parametrize("by", ["changeover", "temporal"])
async def test_what_was_skipped_keeps_its_address_until_there_is_evidence(field: Field, by: str) -> None:
    case = await field.stuck_teardown()
    await skipped_to_the_end(field, case, "Go on without it", "changeover")
    address = await field.address(case)
    assert address.held
    shutil.rmtree(field.folder(case.words["SERVER"]), ignore_errors=True)
    answer = await field.follow(REPAIRS, "An address is kept back", case.words, only=by)
    assert "recorded" in answer
    address = await field.address(case)
    assert (address.held, address.server_id) == (False, None)


@pytest.mark.parametrize("by", ["changeover", "temporal"])
async def test_what_is_skipped_with_evidence_gives_its_address_back(field: Field, by: str) -> None:
    case = await field.stuck_teardown()
    shutil.rmtree(field.folder(case.words["SERVER"]))
    field.folder(case.words["SERVER"]).symlink_to("nowhere")
    await skipped_to_the_end(field, case, "Go on, with evidence", by)
    address = await field.address(case)
    assert not address.held


@pytest.mark.parametrize("by", ["changeover", "temporal"])
async def test_new_servers_are_tried_again(field: Field, by: str) -> None:
    customer = await field.customer(1)
    case = await field.requested(customer, more=1)
    field.block(field.folder(case.words["SERVER"]))
    await field.confirm(case)
    await field.stage(case, "needs_attention")
    field.mend(field.folder(case.words["SERVER"]), empty=True)
    assert "Create 1 server(s)" in await field.follow(
        REPAIRS, "New servers or limits wait", case.words, only=by
    )
    await field.stage(case, "completed")
    assert field.folder(case.words["SERVER"]).is_dir()


async def test_limits_are_set_by_hand_instead(field: Field) -> None:
    customer = await field.customer(1)
    case = await field.requested(customer, slots=4)
    field.block(field.folder(case.words["SERVER"]))
    await field.confirm(case)
    await field.stage(case, "needs_attention")
    await field.follow(REPAIRS, "Do it by hand instead", case.words)
    await field.stage(case, "completed")
    field.mend(field.folder(case.words["SERVER"]))


@pytest.mark.parametrize("by", ["changeover", "temporal"])
async def test_a_change_is_given_up_before_its_code(field: Field, by: str) -> None:
    case = await field.requested(await field.customer(1), slots=4)
    await field.mailed(case)
    await field.follow(REPAIRS, "A customer wants out before the code", case.words, only=by)
    await field.stage(case, "abandoned", "cancelled")


async def test_a_confirmed_change_is_not_given_up(field: Field) -> None:
    case = await field.requested(await field.customer(1), slots=4)
    await field.confirm(case)
    assert "cannot be undone" in await field.follow(REPAIRS, "After the code", case.words)
    await field.stage(case, "completed")


async def test_a_mail_server_that_is_down_is_seen_and_its_codes_come_later(field: Field) -> None:
    with field.frozen("changeover.mail.catcher"):
        case = await field.requested(await field.customer(1), slots=4)
        told = await field.follow(REPAIRS, "The mail server is down", case.words)
        assert re.search(r"wrong\s+mail", told)
        assert f"plan-change/{case.customer.service.id}" in told
        assert "send_code" in told
    await field.mailed(case)


async def test_temporal_that_is_down_is_seen_and_the_database_is_read_on(field: Field, stuck: Case) -> None:
    with field.frozen("start-dev"):
        told = await field.follow(REPAIRS, "Temporal is down", stuck.words)
    assert re.search(r"wrong\s+temporal", told)
    assert "is a symbolic link" in told


async def test_a_worker_that_is_gone_is_seen(field: Field) -> None:
    with field.frozen("-m worker"):
        told = await field.follow(REPAIRS, "No worker works", {})
    assert "LastAccessTime" in told


async def test_a_terminated_run_is_settled_by_a_look(field: Field) -> None:
    case = await field.requested(await field.customer(1), slots=4)
    await field.mailed(case)
    await field.type(f"temporal workflow terminate --workflow-id plan-change/{case.customer.service.id}")
    await field.make_older(case)
    told = await field.follow(REPAIRS, "A run was terminated", case.words)
    assert "no run works on it" in told
    assert f"would heal: change-without-run {case.change_id}" in told
    assert f"healed: change-without-run {case.change_id}" in told
    await field.stage(case, "abandoned", "interrupted")


async def test_a_run_that_was_reset_stands_where_it_stood(field: Field) -> None:
    case = await field.requested(await field.customer(1), slots=4)
    code = await field.mailed(case)
    await field.follow(REPAIRS, "A run was reset", case.words)
    await field.plans.submit_code(case.customer.account_id, case.change_id, code)
    await field.stage(case, "completed")


async def test_changes_whose_code_key_is_lost_are_given_up(field: Field) -> None:
    case = await field.requested(await field.customer(1), slots=4)
    await field.mailed(case)
    assert case.change_id in await field.follow(REPAIRS, "A code key is lost", case.words)
    await field.stage(case, "abandoned", "cancelled")


async def test_addresses_are_added(field: Field, tmp_path: Path) -> None:
    more = tmp_path / "addresses.txt"
    more.write_text("192.0.2.7:27015\n192.0.2.8:27015\n")
    await field.follow(REPAIRS, "Addresses run out", {"ADDRESSES": str(more)})
    assert await field.knows_address("192.0.2.7:27015")


async def test_what_a_restored_backup_does_not_know_is_found(field: Field) -> None:
    unknown = field.folder(str(uuid4()))
    unknown.mkdir()
    try:
        told = await field.follow(REPAIRS, "After a restored backup", {})
        assert f"server-unknown {unknown.name}" in told
    finally:
        unknown.rmdir()


async def test_there_is_no_defect_after_all_this(field: Field) -> None:
    assert "workflow" not in (await field.follow(REPAIRS, "A defect", {})).lower()
