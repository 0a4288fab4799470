"""Changes that are confirmed and carried out."""

import asyncio
import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from changeover.domain import problems
from changeover.domain.lifecycle import Stage
from changeover.domain.proration import convert, seconds_between
from changeover.domain.teardown import STEPS
from starter import reads
from starter.views import Requested
from tests.workflows.world import World
from workflows import search_attributes
from workflows.messages import ChangeResult, Status
from workflows.plan_change import PlanChange


async def test_three_servers_to_two_destroys_the_marked_one_and_keeps_the_rest(world: World) -> None:
    await world.arrives()
    await world.mark(2)
    asked = await world.ask(servers=2, slots=24)
    await world.confirm(asked.id)
    row = await world.ends(asked.id, "completed")

    service = await world.service()
    assert (service.slots, service.server_count) == (24, 2)
    assert service.expires_at == row.new_expires_at == asked.new_expires_at
    assert service.last_committed_at == row.committed_at
    assert await world.server_states() == ["active", "active", "destroyed"]
    assert world.files(2) == []
    assert all("data" in world.files(index) for index in (0, 1))
    for index in (0, 1):
        settings = json.loads((world.host_dir / world.me.server_ids[index] / "server.json").read_text())
        assert settings["limits"]["slots"] == 24
    receipts = await world.table("receipts")
    assert {receipt["step"] for receipt in receipts} == set(STEPS)
    assert {receipt["server_id"] for receipt in receipts} == {world.me.server_ids[2]}
    assert await world.run_of_service().result() == ChangeResult(change_id=asked.id, outcome=row.stage)
    outcome = world.post.sent[-1]
    assert "server-3" in outcome.text


async def test_time_is_kept_to_the_second(world: World) -> None:
    await world.arrives()
    expires_at = (await world.service()).expires_at
    asked = await world.ask(servers=3, slots=24)
    remaining = seconds_between(asked.as_of, expires_at)
    assert asked.new_expires_at == asked.as_of + timedelta(seconds=convert(remaining, 6000, 7200))
    await world.confirm(asked.id)
    assert (await world.service()).expires_at == asked.new_expires_at


async def test_the_address_of_a_destroyed_server_rests_for_seven_days(world: World) -> None:
    await world.arrives()
    await world.mark(0)
    asked = await world.ask(servers=2, slots=20)
    address = next(
        it["address"] for it in await world.table("addresses") if it["server_id"] == world.me.server_ids[0]
    )
    await world.confirm(asked.id)
    row = await world.ends(asked.id, "completed")
    (released,) = [it for it in await world.table("addresses") if it["address"] == address]
    assert released["server_id"] is None
    assert released["held"] is False
    assert timedelta(days=7) <= released["free_from"] - row.committed_at < timedelta(days=7, minutes=1)


async def test_marks_alone_destroy_and_apply_no_limits(world: World) -> None:
    await world.arrives()
    await world.mark(1)
    asked = await world.ask(servers=2, slots=20)
    await world.confirm(asked.id)
    await world.ends(asked.id, "completed")
    assert await world.server_states() == ["active", "destroyed", "active"]
    assert "apply_limits" not in {call for call, _ in world.host.calls}


async def test_other_slots_alone_destroy_nothing(world: World) -> None:
    await world.arrives()
    asked = await world.ask(servers=3, slots=24)
    await world.confirm(asked.id)
    await world.ends(asked.id, "completed")
    assert await world.server_states() == ["active"] * 3
    assert {call for call, _ in world.host.calls} == {"apply_limits"}
    assert await world.table("receipts") == []


async def test_more_servers_are_created_on_addresses_of_the_pool(world: World) -> None:
    await world.arrives()
    asked = await world.ask(servers=5, slots=20)
    await world.confirm(asked.id)
    await world.ends(asked.id, "completed")
    created = [server for server in await world.table("servers") if server["created_by"] == asked.id]
    assert sorted(server["name"] for server in created) == ["server-4", "server-5"]
    owners = {it["address"]: it["server_id"] for it in await world.table("addresses")}
    for server in created:
        assert server["state"] == "active"
        assert owners[server["address"]] == server["id"]
        assert (world.host_dir / server["id"] / "server.json").is_file()
        assert server["address"] in world.post.sent[-1].text


async def test_a_pass_is_spent_once_by_the_change_that_needed_it(world: World) -> None:
    await world.arrives(changed_days_ago=7, passes=1)
    asked = await world.ask()
    assert [it["spent_by"] for it in await world.table("passes")] == [None]
    await world.confirm(asked.id)
    assert [it["spent_by"] for it in await world.table("passes")] == [asked.id]


async def test_a_change_that_needs_no_pass_spends_none(world: World) -> None:
    await world.arrives(passes=1)
    asked = await world.ask()
    await world.confirm(asked.id)
    await world.ends(asked.id, "completed")
    assert [it["spent_at"] for it in await world.table("passes")] == [None]


async def test_the_same_request_twenty_times_is_one_change(world: World) -> None:
    await world.arrives()
    key = str(uuid4())
    digest = await world.digest()
    asked = await asyncio.gather(*(world.ask(key=key, digest=digest) for _ in range(20)))
    assert len(set(asked)) == 1
    assert len(await world.table("plan_changes")) == 1
    await world.confirm(asked[0].id)
    await world.ends(asked[0].id, "completed")
    assert await world.ask(key=key, digest=digest) == asked[0]


async def test_of_two_bodies_at_once_under_one_key_one_is_accepted_and_the_other_told(world: World) -> None:
    await world.arrives()
    digests = [await world.digest(slots=slots) for slots in (22, 24)]
    both = (world.ask(key="k", slots=slots, digest=it) for slots, it in zip((22, 24), digests, strict=True))
    answers = await asyncio.gather(*both, return_exceptions=True)
    accepted = [answer for answer in answers if isinstance(answer, Requested)]
    assert len(accepted) == 1
    assert [type(it) for it in answers if it not in accepted] == [problems.IdempotencyKeyReused]
    after = (await world.row(accepted[0].id)).after
    assert after["slots"] == (22, 24)[answers.index(accepted[0])]


async def test_an_accepted_request_is_answered_without_another_look_at_the_database(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.arrives()
    digest = await world.digest()
    looks = 0
    read = world.starter.database.read

    def counted() -> Any:
        nonlocal looks
        looks += 1
        return read()

    monkeypatch.setattr(world.starter.database, "read", counted)
    asked = await world.ask(key="k", digest=digest)
    assert looks == 2, "one for the quote, one before the call"
    assert await world.ask(key="k", digest=digest) == asked
    row = await world.row(asked.id)
    assert (asked.as_of, asked.new_expires_at) == (row.as_of, row.new_expires_at)
    assert (asked.window_ends_at, asked.days_after) == (row.window_ends_at, row.days_after)


async def test_another_body_that_starts_a_terminated_run_again_is_told_that_its_key_is_used(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looked before the first was accepted, and came to Temporal after that one's run was terminated."""
    await world.arrives()
    digest = await world.digest(slots=22)
    first = await world.ask(key="k", slots=24)
    await world.run_of_service().terminate("an operator's mistake")

    async def seen_too_early(*_: object) -> tuple[str, None]:
        return world.me.email, None

    with monkeypatch.context() as early:
        early.setattr(reads, "address_and_change", seen_too_early)
        with pytest.raises(problems.IdempotencyKeyReused):
            await world.ask(key="k", slots=22, digest=digest)
    assert (await world.row(first.id)).after["slots"] == 24


async def test_a_run_of_an_earlier_release_is_answered_for_by_the_row(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answer says that the request was accepted, and nothing more."""
    monkeypatch.setattr(PlanChange, "_accepted", lambda *_: None)
    await world.arrives()
    digest = await world.digest()
    asked = await world.ask(key="k", digest=digest)
    row = await world.row(asked.id)
    assert (asked.as_of, asked.new_expires_at) == (row.as_of, row.new_expires_at)
    assert (asked.window_ends_at, asked.days_after) == (row.window_ends_at, row.days_after)


async def test_twenty_requests_at_once_open_one_change(world: World) -> None:
    await world.arrives()
    answers = await asyncio.gather(*(world.ask() for _ in range(20)), return_exceptions=True)
    opened = [answer for answer in answers if isinstance(answer, Requested)]
    refused = [answer for answer in answers if not isinstance(answer, Requested)]
    assert len(opened) == 1
    assert {type(answer) for answer in refused} == {problems.ChangeInProgress}
    assert len([row for row in await world.table("plan_changes") if row["stage"] != "rejected"]) == 1


async def test_operators_find_and_read_a_change_that_awaits_its_code(world: World) -> None:
    await world.arrives()
    await world.mark(2)
    asked = await world.ask(servers=2)
    await world.mailed(asked.id)
    handle = world.run_of_service()
    description = await handle.describe()
    pairs = description.typed_search_attributes.search_attributes
    shown = {pair.key.name: pair.value for pair in pairs if pair.key.name in search_attributes.TYPES}
    assert shown == {
        search_attributes.SERVICE.name: world.me.service_id,
        search_attributes.ACCOUNT.name: world.me.account_id,
        search_attributes.STAGE.name: "awaiting_code",
        search_attributes.DEADLINE.name: asked.window_ends_at,
        search_attributes.NEEDS_ATTENTION.name: False,
    }
    assert await handle.query(PlanChange.status) == Status(
        change_id=asked.id,
        stage=Stage.AWAITING_CODE,
        waiting_for="the customer's code",
        deadline=asked.window_ends_at,
        codes_asked_for=1,
        tries_left=5,
        troubles={},
    )
    details = await world.details(handle)
    assert "stage: **awaiting_code**" in details


async def test_operators_find_a_completed_change_by_its_outcome(world: World) -> None:
    await world.arrives()
    asked = await world.ask()
    await world.confirm(asked.id)
    handle = world.run_of_service()
    await handle.result()
    assert await world.shown(handle, search_attributes.OUTCOME) == "completed"
    assert await world.shown(handle, search_attributes.STAGE) == "completed"
    status = await handle.query(PlanChange.status)
    assert (status.deadline, status.tries_left, status.waiting_for) == (None, None, "")


@pytest.mark.parametrize("language", ["fr", "en"])
async def test_every_mail_is_in_the_customers_language(world: World, language: str) -> None:
    await world.arrives(language=language)
    asked = await world.ask()
    await world.confirm(asked.id)
    await world.run_of_service().result()
    assert [mail.language for mail in world.post.sent] == [language, language]
    assert len(list((world.folder / "mail").glob("*.eml"))) == 2
