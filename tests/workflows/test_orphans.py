"""Runs that somebody terminated: the row they leave is settled by the next run of the service."""

import pytest

from changeover.domain import problems
from tests.workflows.checks import assert_untouched, snapshot
from tests.workflows.faults import Fault
from tests.workflows.test_attention import LOCKED
from tests.workflows.world import World, send
from workflows.messages import Retry
from workflows.server_teardown import ServerTeardown

MISTAKE = "an operator's mistake"


async def awaiting_code(world: World) -> tuple[str, str]:
    await world.arrives()
    await world.mark(2)
    asked = await world.ask(servers=2)
    code = await world.mailed(asked.id)
    return asked.id, code


async def test_what_awaited_its_code_is_abandoned_by_the_next_request(world: World) -> None:
    change_id, code = await awaiting_code(world)
    await world.run_of_service().terminate(MISTAKE)
    before = await snapshot(world)
    await world.next_second()
    with pytest.raises(problems.QuoteStale):  # while it was open, no quote had a digest
        await world.ask(servers=2, slots=22)
    row = await world.row(change_id)
    assert (row.stage, row.reason) == ("abandoned", "interrupted")
    await assert_untouched(world, before)
    with pytest.raises(problems.ChangeClosed) as closed:
        await world.type_code(change_id, code)
    assert closed.value.reason == "interrupted"
    following = await world.ask(servers=2, slots=22)
    await world.confirm(following.id)
    await world.ends(following.id, "completed")


async def test_the_code_of_a_terminated_run_resumes_it(world: World) -> None:
    change_id, code = await awaiting_code(world)
    await world.run_of_service().terminate(MISTAKE)
    view = await world.type_code(change_id, code)
    assert view.outcome in {"committed", "completed"}
    await world.ends(change_id, "completed")
    assert len(world.mailed_codes(change_id)) == 1


async def test_a_wrong_code_of_a_terminated_run_counts_on_from_where_it_was(world: World) -> None:
    change_id, _ = await awaiting_code(world)
    with pytest.raises(problems.CodeWrong):
        await world.type_code(change_id, "BBBB-BBBB")
    await world.run_of_service().terminate(MISTAKE)
    with pytest.raises(problems.CodeWrong) as wrong:
        await world.type_code(change_id, "CCCC-CCCC")
    assert wrong.value.tries_left == 3


async def test_a_terminated_run_can_be_given_up_and_resent(world: World) -> None:
    change_id, _ = await awaiting_code(world)
    await world.run_of_service().terminate(MISTAKE)
    with pytest.raises(problems.ResendTooSoon):
        await world.starter.resend_code(world.me.account_id, change_id)
    await world.run_of_service().terminate(MISTAKE)
    view = await world.starter.cancel(world.me.account_id, change_id)
    assert view.reason == "cancelled"
    await world.ends(change_id, "abandoned", "cancelled")


async def test_a_run_terminated_before_its_mail_mails_when_it_is_resumed(world: World) -> None:
    await world.arrives()
    world.post.hold_mails()
    digest = await world.digest()
    asked = await world.ask(key="one click", digest=digest)
    await world.run_of_service().terminate(MISTAKE)
    world.post.release()
    again = await world.ask(key="one click", digest=digest)
    assert again == asked
    assert await world.is_running()
    await world.confirm(asked.id)
    await world.ends(asked.id, "completed")


async def test_what_was_committed_is_adopted_and_completed_by_the_next_request(world: World) -> None:
    change_id, code = await awaiting_code(world)
    world.host.hold("apply_limits")
    world.host.hold("stop")
    await world.type_code(change_id, code)
    await world.host.reached("stop")
    await world.run_of_service().terminate(MISTAKE)
    await world.teardown(2).terminate(MISTAKE)
    await world.next_second()
    with pytest.raises(problems.ChangeInProgress) as refused:
        await world.ask(servers=2, slots=22)
    assert refused.value.plan_change_id == change_id
    world.host.release()
    await world.ends(change_id, "completed")
    assert await world.server_states() == ["active", "active", "destroyed"]
    events = await world.events(change_id)
    assert (events.count("committed"), events.count("server_destroyed")) == (1, 1)
    assert len(world.post.sent) == 2


async def test_an_adopted_change_watches_the_teardown_that_runs_already(world: World) -> None:
    change_id, code = await awaiting_code(world)
    world.host.hold("stop")
    await world.type_code(change_id, code)
    await world.host.reached("stop")
    await world.run_of_service().terminate(MISTAKE)
    await world.next_second()
    with pytest.raises(problems.ChangeInProgress):
        await world.ask(servers=2, slots=22)
    await world.looked_at_teardown()
    world.host.release()
    await world.ends(change_id, "completed")
    assert (await world.events(change_id)).count("server_destroyed") == 1
    assert [call for call, _ in world.host.calls].count("stop") == 1


async def test_an_adopted_change_that_waits_for_an_operator_goes_on_when_one_decides(world: World) -> None:
    change_id, code = await awaiting_code(world)
    world.host.faults = [Fault(call="stop", error=LOCKED)]
    await world.type_code(change_id, code)
    await world.reaches(change_id, "needs_attention")
    await world.waits_for_an_operator(world.teardown(2))
    await world.run_of_service().terminate(MISTAKE)
    await world.next_second()
    with pytest.raises(problems.ChangeInProgress):
        await world.ask(servers=2, slots=22)
    world.host.faults = []
    await send(world.teardown(2), ServerTeardown.retry, Retry())
    await world.ends(change_id, "completed")


async def test_a_run_terminated_after_its_end_was_recorded_leaves_nothing_open(world: World) -> None:
    await world.arrives(options=("flexi_plus",))
    asked = await world.ask(options=["flexi_plus"])
    code = await world.mailed(asked.id)
    world.post.hold_mails()
    await world.type_code(asked.id, code)
    await world.reaches(asked.id, "completed")
    await world.run_of_service().terminate(MISTAKE)
    world.post.release()
    following = await world.ask(slots=22, options=["flexi_plus"])
    await world.confirm(following.id)
    await world.ends(following.id, "completed")
