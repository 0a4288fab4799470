"""Faults while a change is asked for."""

import asyncio
from collections import Counter

from tests.faults.matrix import scenario
from tests.faults.scenarios.common import SMALLER, completes, with_a_pass
from tests.faults.story import Story, problem
from tests.faults.system import ENGINE_TIMEOUT, POSTGRESQL, eventually

TIMES = 20


@scenario(1)
async def one_key_twenty_times(story: Story) -> None:
    alice = await with_a_pass(story)
    body = await alice.quoted(**SMALLER)
    answers = await asyncio.gather(*(alice.confirm(body, "click") for _ in range(TIMES)))
    told = {answer.text for answer in answers if answer.status_code == 201}
    assert {problem(answer) for answer in answers} <= {"201", "503 engine-unavailable"}
    assert len(told) == 1, told
    (row,) = await story.changes(alice)
    await completes(story, alice, row["id"], await alice.code(row["id"]))


@scenario(1, sample=POSTGRESQL)
async def twenty_keys_at_once(story: Story) -> None:
    alice = await with_a_pass(story)
    body = await alice.quoted(**SMALLER)
    answers = await asyncio.gather(*(alice.confirm(body, f"click-{it}") for it in range(TIMES)))
    told = Counter(problem(answer) for answer in answers)
    assert told["201"] == 1, told
    assert set(told) <= {"201", "409 change-in-progress", "503 engine-unavailable"}, told
    (row,) = [it for it in await story.changes(alice) if it["stage"] != "rejected"]
    await completes(story, alice, row["id"], await alice.code(row["id"]))


@scenario(2)
async def worker_killed_after_the_row(story: Story) -> None:
    await story.system.restart_worker("request.recorded=kill@1")
    alice = await with_a_pass(story)
    body = await alice.quoted(**SMALLER)
    asking = asyncio.create_task(alice.confirm(body, "click"))
    await story.system.worker_died()
    (row,) = await story.changes(alice)
    first = await asking
    assert first.status_code in {201, 503}, first.text
    await story.system.restart_worker()
    answer = await alice.patiently(lambda: alice.confirm(body, "click"))
    assert answer.json()["id"] == row["id"]
    assert len(await story.changes(alice)) == 1
    await completes(story, alice, row["id"], await alice.code(row["id"]))


@scenario(2)
async def api_killed_before_the_answer(story: Story) -> None:
    alice = await with_a_pass(story)
    body = await alice.quoted(**SMALLER)
    await story.system.restart_api("api.asked=kill@1")
    asking = asyncio.create_task(alice.patiently(lambda: alice.confirm(body, "click")))
    api = story.system.api
    assert api is not None
    await asyncio.wait_for(api.process.wait(), 60)
    await story.system.restart_api()
    answer = await asking
    (row,) = await story.changes(alice)
    assert answer.json()["id"] == row["id"]
    await completes(story, alice, row["id"], await alice.code(row["id"]))


@scenario(3)
async def temporal_down_then_back(story: Story) -> None:
    alice = await with_a_pass(story)
    body = await alice.quoted(**SMALLER)
    await story.system.kill_temporal()
    answer = await alice.confirm(body, "click")
    assert problem(answer) == "503 engine-unavailable", answer.text
    assert int(answer.headers["Retry-After"]) > 0
    assert (await alice.service())["id"] == alice.service_id, "the read side needs no engine"
    await story.system.start_temporal()
    answer = await alice.patiently(lambda: alice.confirm(body, "click"))
    assert answer.status_code == 201, answer.text
    (row,) = await story.changes(alice)
    await completes(story, alice, row["id"], await alice.code(row["id"]))


@scenario(3)
async def no_worker_for_longer_than_an_answer_takes(story: Story) -> None:
    alice = await with_a_pass(story)
    body = await alice.quoted(**SMALLER)
    await story.system.kill_workers()
    answers = [await alice.confirm(body, "click") for _ in range(2)]
    assert {problem(it) for it in answers} == {"503 engine-unavailable"}
    assert await story.changes(alice) == []
    await asyncio.sleep(ENGINE_TIMEOUT)
    await story.system.restart_worker()

    async def opened() -> bool:
        return bool(await story.changes(alice))

    await eventually(opened, "the run that was started to open its change")
    answer = await alice.patiently(lambda: alice.confirm(body, "click"))
    (row,) = await story.changes(alice)
    assert answer.json()["id"] == row["id"]
    await completes(story, alice, row["id"], await alice.code(row["id"]))


@scenario(4)
async def another_accounts_service(story: Story) -> None:
    alice = await with_a_pass(story)
    mallory = await story.arrives()
    body = await alice.quoted(**SMALLER)
    path = f"/v1/services/{alice.service_id}/plan-changes"
    answer = await mallory.call("POST", path, body, key="click")
    assert problem(answer) == "404 not-found"
    change_id = await alice.confirmed(**SMALLER)
    for path in (f"/v1/plan-changes/{change_id}", f"/v1/services/{alice.service_id}"):
        assert problem(await mallory.call("GET", path)) == "404 not-found"
    code = await alice.code(change_id)
    stolen = await mallory.call("POST", f"/v1/plan-changes/{change_id}/code", {"code": code})
    assert problem(stolen) == "404 not-found"
    await completes(story, alice, change_id, code)


async def _api_died(story: Story) -> None:
    assert story.system.api is not None
    await asyncio.wait_for(story.system.api.process.wait(), 60)


@scenario(38)
async def api_killed_after_a_mark_was_written(story: Story) -> None:
    alice = await with_a_pass(story, marked=0)
    await story.system.restart_api("transaction.after=kill@1")
    marking = asyncio.create_task(alice.patiently(lambda: alice.mark(2)))
    await _api_died(story)
    await story.system.restart_api()
    assert (await marking).status_code == 204
    change_id = await alice.confirmed(**SMALLER)
    await completes(story, alice, change_id, await alice.code(change_id))


@scenario(38)
async def api_clock_set_back_between_quote_and_confirm(story: Story) -> None:
    """By twenty minutes: what was quoted is what is accepted."""
    alice = await with_a_pass(story)
    await story.system.restart_api(wrapper=("tests.faults.clock", "600"))
    body = await alice.quoted(**SMALLER)
    await story.system.restart_api(wrapper=("tests.faults.clock", "-600"))
    answer = await alice.patiently(lambda: alice.confirm(body, "click"))
    assert answer.status_code == 201, answer.text
    change_id = answer.json()["id"]
    await completes(story, alice, change_id, await alice.code(change_id))
