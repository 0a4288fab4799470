"""Every run tells its story in the Temporal UI, at every stage, to somebody who has never seen the code."""

import json
import re
from typing import Any

import pytest
from sqlalchemy import update
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import WorkflowHandle

from changeover.domain import problems
from changeover.domain.confirmation import CodePolicy
from changeover.domain.lifecycle import AbandonReason, Stage
from changeover.domain.teardown import STEPS
from changeover.hosts import HostRefused
from changeover.mail import MailDeferred
from changeover.storage.tables import servers
from tests.workflows.canary import leaks
from tests.workflows.faults import Fault
from tests.workflows.world import World, send
from workflows import display, ids, policies, search_attributes
from workflows.messages import ChangeState, GivenUp, Recap, Retry, Skip
from workflows.outcome_mail import OutcomeMail
from workflows.plan_change import PlanChange
from workflows.server_teardown import ServerTeardown

CHOSEN = "somebody@players.example"
LOCKED = HostRefused("backup-locked", "a backup is locked: unlock it on the host")


async def shown(world: World, handle: WorkflowHandle[Any, Any]) -> dict[str, Any]:
    """Return our search attributes of a run, by their names without the prefix."""
    pairs = (await handle.describe()).typed_search_attributes.search_attributes
    return {
        pair.key.name.removeprefix("Changeover"): pair.value
        for pair in pairs
        if pair.key.name in search_attributes.TYPES
    }


def to_paste(details: str) -> list[dict[str, Any]]:
    """Return the inputs that the details offer to paste, filled in as they ask."""
    inputs = [json.loads(text) for text in re.findall(r"```json\n(.*?)\n```", details, re.DOTALL)]
    mine = {"your name": "olga", "why it is right to go on without it": "made by hand"}
    return [{name: mine.get(value, value) for name, value in it.items()} for it in inputs]


async def address_of(world: World, index: int) -> str:
    rows = {row["id"]: row["address"] for row in await world.table("servers")}
    return str(rows[world.me.server_ids[index]])


async def asked(world: World, **wanted: Any) -> str:
    await world.arrives(changed_days_ago=7, passes=1)
    await world.mark(2)
    requested = await world.ask(**{"servers": 2, "slots": 24} | wanted)
    await world.mailed(requested.id)
    await world.settled()
    return requested.id


async def test_the_list_and_the_start_say_what_was_asked_for(world: World) -> None:
    change_id = await asked(world)
    description = await world.run_of_service().describe()
    assert await description.static_summary() == (
        "Les Renards: cs2-public 3 x 20 slots -> cs2-public 2 x 24 slots, destroys 1"
    )
    details = await description.static_details() or ""
    assert f"change `{change_id}`" in details
    assert "expiry before: " in details
    assert f"destroys server-3 (`{await address_of(world, 2)}`, " in details


async def test_names_that_customers_chose_are_text_and_tell_no_address(world: World) -> None:
    """A link, a picture or a line of its own in the operators' page would be the customer's."""
    await world.arrives(service=f"[x](//evil.example) of {CHOSEN}")
    named = update(servers).where(servers.c.id == world.me.server_ids[2])
    await world.execute(named.values(name=f"![{CHOSEN}](//evil.example)\n- **all is well**"))
    await world.mark(2)
    change_id = (await world.ask(servers=2)).id
    await world.confirm(change_id)
    await world.ends(change_id, "completed")
    for handle in (world.run_of_service(), world.teardown(2)):
        description = await handle.describe()
        told = [await description.static_summary(), await description.static_details()]
        told.append(await world.details(handle))
        outside = re.sub(r"`[^`\n]*`", "", "\n".join(filter(None, told)))
        assert "evil" not in outside
        assert "all is well" not in outside
        assert leaks(description.raw_description, [CHOSEN]) == []
        async for event in handle.fetch_history_events():
            assert leaks(event, [CHOSEN]) == []


async def test_a_change_that_awaits_its_code_says_all_that_was_confirmed(world: World) -> None:
    change_id = await asked(world)
    row = await world.row(change_id)
    details = await world.details(world.run_of_service())
    assert f"before: cs2-public 3 x 20 slots, {row.days_before} day(s) left" in details
    assert f"after: cs2-public 2 x 24 slots, {row.days_after} day(s) left" in details
    assert f"new expiry: {row.new_expires_at:%Y-%m-%d %H:%M:%S} UTC" in details
    address = await address_of(world, 2)
    assert f"destroys server-3 (`{address}`), id `{world.me.server_ids[2]}`" in details
    assert "spends an instant-change pass" in details
    assert f"deadline: {row.window_ends_at:%Y-%m-%d %H:%M:%S} UTC" in details
    assert "waiting for: the customer to type code number 1 of 3" in details
    assert "tries left 5" in details


async def test_new_servers_are_said_and_a_mail_that_is_not_taken_yet(world: World) -> None:
    await world.arrives()
    world.post.hold_mails()
    await world.ask(servers=5)
    summary = await (await world.run_of_service().describe()).static_summary()
    assert summary == "Les Renards: cs2-public 3 x 20 slots -> cs2-public 5 x 24 slots"
    details = await world.details(world.run_of_service())
    assert "creates 2 server(s)" in details
    assert "waiting for: the mail server to take code number 1 of 3" in details
    status = await world.run_of_service().query(PlanChange.status)
    assert status.waiting_for == "the mail server"
    world.post.release()


async def test_what_awaits_its_code_can_be_given_up_by_what_is_shown_to_paste(world: World) -> None:
    change_id = await asked(world)
    (order,) = to_paste(await world.details(world.run_of_service()))
    await world.run_of_service().execute_update("cancel", order)
    await world.ends(change_id, "abandoned", "cancelled")
    details = await world.details(world.run_of_service())
    assert "nothing was changed" in details
    assert "`changeover ops show` says by whom" in details
    assert "asked for: cs2-public 2 x 24 slots" in details
    assert "expiry would have been: " in details
    assert "would have destroyed server-3" in details
    assert "would have spent an instant-change pass" in details
    assert to_paste(details) == []


async def test_a_stale_change_says_what_had_changed(world: World) -> None:
    change_id = await asked(world)
    await world.alter_service(recurring_payment_active=True)
    with pytest.raises(problems.ChangeClosed):
        await world.type_code(change_id, await world.mailed(change_id))
    await world.ends(change_id, "abandoned", "stale")
    details = await world.details(world.run_of_service())
    assert "stage: **abandoned**, stale, recurring-payment" in details
    assert "the customer needs a new quote" in details


def test_every_reason_to_abandon_a_change_is_explained() -> None:
    assert set(display._ABANDONED) == set(AbandonReason)


async def test_attributes_are_right_at_every_stage(world: World) -> None:
    change_id = await asked(world)
    row, run = await world.row(change_id), world.run_of_service()
    always = {"Service": world.me.service_id, "Account": world.me.account_id}
    assert await shown(world, run) == always | {
        "Stage": "awaiting_code",
        "Deadline": row.window_ends_at,
        "NeedsAttention": False,
    }
    world.host.hold("apply_limits")
    world.host.faults = [Fault(call="stop", error=LOCKED)]
    await world.confirm(change_id)
    await world.waits_for_an_operator(run)
    waits = always | {"Stage": "needs_attention", "NeedsAttention": True}
    assert await shown(world, run) == waits
    assert await shown(world, world.teardown(2)) == waits
    world.host.faults = []
    await send(world.teardown(2), ServerTeardown.retry, Retry())
    await world.teardown(2).result()
    await world.run_heard("child_workflow_execution_completed")
    assert await shown(world, run) == always | {"Stage": "committed", "NeedsAttention": False}
    details = await world.details(run)
    assert "waiting for: the work on hosts" in details
    assert "Nothing to do: " in details
    assert (await run.query(PlanChange.status)).waiting_for == "the work on hosts"
    world.host.release()
    await world.ends(change_id, "completed")
    closed = always | {"Stage": "completed", "Outcome": "completed", "NeedsAttention": False}
    assert await shown(world, run) == closed
    assert await shown(world, world.teardown(2)) == closed | {"Outcome": "destroyed"}
    assert "Done: the change is in force" in await world.details(run)


async def test_a_refused_request_says_why(world: World) -> None:
    await world.arrives()
    with pytest.raises(problems.NothingChanges):
        await world.ask(slots=20)
    run = world.run_of_service()
    await run.result()
    assert (await shown(world, run))["Outcome"] == "nothing-changes"
    assert "stage: **rejected**, nothing-changes" in await world.details(run)


async def test_a_teardown_says_what_failed_since_when_and_which_steps_are_left(world: World) -> None:
    change_id = await asked(world)
    world.host.faults = [Fault(call="delete_data", error=LOCKED)]
    await world.confirm(change_id)
    await world.waits_for_an_operator(world.teardown(2))
    details = await world.details(world.teardown(2))
    (task,) = [it for it in await world.table("tasks") if it["kind"] == "teardown"]
    assert f"needs attention** since {task['problem_since']:%Y-%m-%d %H:%M:%S} UTC: {LOCKED.message}" in (
        details.replace("HostRefused: ", "")
    )
    done = {row["step"]: row["at"] for row in await world.table("receipts")}
    assert list(STEPS[:3]) == [step for step in STEPS if step in done]
    for step in STEPS:
        said = f"done {done[step]:%Y-%m-%d %H:%M:%S} UTC" if step in done else "still to do"
        assert f"- `{step}`: {'**fails**' if step == 'delete_data' else said}" in details
    assert "waiting for: an operator" in details
    assert "the address is kept back until `changeover ops evidence` frees it" in details
    of_change = await world.details(world.run_of_service())
    assert f"Open the run `{world.teardown(2).id}`" in of_change
    assert f"destroying server-3 (`{world.me.server_ids[2]}`): " in of_change
    description = await world.teardown(2).describe()
    summary = await description.static_summary() or ""
    assert f"ordered by change `{change_id}`" in (await description.static_details() or "")
    assert summary.startswith(f"Destroy server-3 ({await address_of(world, 2)}): cs2-public 3 x 20 slots")


async def test_a_step_before_any_deletion_says_what_skipping_it_means(world: World) -> None:
    change_id = await asked(world)
    world.host.faults = [Fault(call="stop", error=LOCKED)]
    await world.confirm(change_id)
    await world.waits_for_an_operator(world.teardown(2))
    details = await world.details(world.teardown(2))
    assert "`stop` is then taken for done, and the next step follows" in details
    world.host.faults = []
    _, skip = to_paste(details)
    await world.teardown(2).execute_update("skip", skip | {"reason": "stopped by hand", "evidence": None})
    await world.ends(change_id, "completed")
    details = await world.details(world.teardown(2))
    assert "stage: **completed**, destroyed" in details
    assert "says which were skipped" in details


async def test_a_skipped_step_is_said_when_a_later_one_fails(world: World) -> None:
    change_id = await asked(world)
    world.host.faults = [Fault(call="stop", error=LOCKED), Fault(call="delete_data", error=LOCKED)]
    await world.confirm(change_id)
    await world.waits_for_an_operator(world.teardown(2))
    await send(world.teardown(2), ServerTeardown.skip, Skip(reason="stopped by hand"))
    await world.happened(change_id, "needs_attention", 2)
    await world.waits_for_an_operator(world.teardown(2))
    assert "- `stop`: skipped " in await world.details(world.teardown(2))


@pytest.mark.parametrize("decision", ["retry", "skip"])
async def test_work_that_waits_is_repaired_by_what_is_shown_to_paste(world: World, decision: str) -> None:
    change_id = await asked(world, slots=24)
    world.host.faults = [Fault(call="apply_limits", error=LOCKED)]
    await world.confirm(change_id)
    await world.waits_for_an_operator(world.run_of_service())
    details = await world.details(world.run_of_service())
    assert f"send the update `{decision}`" in details or f"send `{decision}`" in details
    world.host.faults = []
    retry, skip = to_paste(details)
    await world.run_of_service().execute_update(decision, {"retry": retry, "skip": skip}[decision])
    await world.ends(change_id, "completed")


def test_a_run_that_took_up_what_waits_says_where_to_look() -> None:
    """The teardowns told an earlier run, which was terminated."""
    gives_up = (GivenUp(server_id="s-3", name="server-3", address="203.0.113.1:27017"),)
    recap = Recap(change_id="c-1", before="a", after="b", code_policy=CodePolicy(), gives_up=gives_up)
    told = display.change_details(recap, ChangeState(stage=Stage.NEEDS_ATTENTION), {}, {})
    assert "`changeover ops show` says what it is, see `teardown/s-3`" in told
    told = display.change_details(recap, ChangeState(stage=Stage.APPLYING), {}, {})
    assert "teardown/s-3" not in told


async def test_an_outcome_mail_that_is_not_taken_says_until_when_it_is_tried(world: World) -> None:
    await world.arrives()
    requested = await world.ask()
    code = await world.mailed(requested.id)
    world.post.broken = MailDeferred(server="mail.example:25", stage="data", code=450)
    await world.type_code(requested.id, code)
    await world.ends(requested.id, "completed")
    workflow_id = ids.outcome_mail_workflow_id(requested.id)
    run: WorkflowHandle[Any, bool] = world.temporal.client.get_workflow_handle_for(
        OutcomeMail.run, workflow_id
    )
    description = await run.describe()
    attributes = await shown(world, run)
    deadline = attributes.pop("Deadline")
    assert abs(deadline - description.start_time - policies.OUTCOME_MAIL_PATIENCE).total_seconds() < 60
    assert attributes == {
        "Service": world.me.service_id,
        "Account": world.me.account_id,
        "Stage": "completed",
        "Outcome": "completed",
        "NeedsAttention": False,
    }
    assert await description.static_summary() == (
        "Mail the outcome (completed): cs2-public 3 x 20 slots -> cs2-public 3 x 24 slots"
    )
    details = await world.details(run)
    assert requested.id in details
    assert "it is tried until " in details
    world.post.broken = None
    assert await run.result() is True
    assert "Handed to the mail server." in await world.details(run)


async def test_every_message_of_every_run_is_described(world: World) -> None:
    change_id = await asked(world)
    world.host.hold("stop")
    await world.confirm(change_id)
    await world.host.reached("stop")
    described: dict[str, str] = {}
    for handle in (world.run_of_service(), world.teardown(2)):
        told = await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
        of = told.definition
        messages = [*of.update_definitions, *of.signal_definitions, *of.query_definitions]
        described |= {it.name: it.description for it in messages if not it.name.startswith("__")}
    expected = "answer cancel resend_code retry skip status submit_code teardown_news"
    assert sorted(described) == expected.split()
    assert [name for name, description in described.items() if len(description) < 40] == []
    world.host.release()
    await world.ends(change_id, "completed")
