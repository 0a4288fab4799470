"""Who can write to Temporal forges inputs, orders and results: nothing is destroyed or committed by that.

Every effect asks the database again. What such a one can do is to be a nuisance, and to act as an operator:
see docs/threat-model.md.
"""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from changeover import codes
from changeover.domain import problems
from changeover.domain.catalogue import Configuration
from changeover.domain.lifecycle import AbandonReason
from tests.attacks.rogue import forging, lying_worker
from tests.workflows.checks import assert_untouched, snapshot
from tests.workflows.world import WRONG, World, send
from workflows import ids
from workflows.messages import (
    Abandon,
    ChangeAt,
    ChangeRequest,
    CodeAttempt,
    EvidenceOrder,
    ForgetAt,
    GivenUp,
    HostOrder,
    HostWork,
    JudgeCode,
    OpenChange,
    RecordEvidence,
    SendOutcome,
    Settled,
    Skip,
    TeardownOrder,
    Trouble,
)
from workflows.plan_change import PlanChange
from workflows.reconciling import CheckOrder

EVIDENCE = Skip(reason="forged", evidence="forged", actor="mallory")


async def waiting(world: World) -> str:
    """Return a change of the first customer's that awaits its code and would destroy the third server."""
    await world.arrives()
    await world.arrives(service="Clan du Nord")
    await world.mark(2)
    asked = await world.ask(servers=2)
    await world.mailed(asked.id)
    await world.settled()
    return asked.id


def forged_orders(world: World, change_id: str) -> list[tuple[str, Any]]:
    """Return an order for every activity that could destroy, commit or give away, each with a lie in it."""
    now, me, other = datetime.now(UTC), world.me, world.customers[1]
    far = now + timedelta(days=4000)

    def attempt(proof: str, number: int = 1) -> JudgeCode:
        return JudgeCode(attempt=CodeAttempt(change_id=change_id, number=number, proof=proof), at=now)

    def request(change: str, service: str) -> ChangeRequest:
        return ChangeRequest(
            change_id=change,
            account_id=me.account_id,
            service_id=service,
            fingerprint="f",
            configuration=Configuration.of("cs2-public", 24, [], 1),
            digest="0" * 64,
            no_refund=True,
            destroys=other.server_ids,
        )

    evidence = EvidenceOrder(server_id=me.server_ids[2], evidence="forged", actor="mallory")
    unpaired = [
        ("tear_down", TeardownOrder(change_id=change, server_id=server))
        for change in (change_id, str(uuid4()))
        for server in (*me.server_ids, *other.server_ids)
    ]
    troubles = [
        (name, order)
        for work, server in ((HostWork.TEARDOWN, me.server_ids[2]), (HostWork.CREATE, None))
        for name, order in (
            (
                "raise_trouble",
                Trouble(change_id=change_id, work=work, server_id=server, problem="forged", at=now),
            ),
            (
                "settle_trouble",
                Settled(
                    change_id=change_id, work=work, server_id=server, actor="mallory", at=now, skip=EVIDENCE
                ),
            ),
        )
    ]
    return [
        *unpaired,
        *troubles,
        ("judge_code", attempt("")),
        ("judge_code", attempt("é")),
        ("judge_code", attempt("0" * 64, number=99)),
        ("judge_code", attempt(codes.proof(b"p" * 39 + b"q", change_id, "BCDFGHJK"))),
        ("complete_change", ChangeAt(change_id=change_id, at=now)),
        ("create_servers", HostOrder(change_id=change_id)),
        ("apply_limits", HostOrder(change_id=change_id)),
        ("record_evidence", RecordEvidence(order=evidence, at=now)),
        ("forget_account", ForgetAt(account_id=me.account_id, actor="mallory", at=far)),
        ("forget_account", ForgetAt(account_id=other.account_id, actor="mallory", at=far)),
        ("open_change", OpenChange(request=request(str(uuid4()), other.service_id), at=now)),
        ("open_change", OpenChange(request=request(change_id, other.service_id), at=now)),
        *[
            (check, CheckOrder(dry_run=False, at=far))
            for check in ("check_open_changes", "check_servers", "check_addresses", "check_marks", "clean_up")
        ],
    ]


async def test_orders_forged_for_any_activity_change_nothing(world: World) -> None:
    change_id = await waiting(world)
    before = await snapshot(world)
    world.host.calls = []
    said: list[tuple[str, Any]] = []
    async with forging(world) as rogue:
        for name, order in forged_orders(world, change_id):
            said.append((name, await rogue.order(name, order)))
            assert await snapshot(world) == before, (name, order)
        assert (
            await rogue.order("send_outcome", SendOutcome(change_id=change_id), mail=True) == "Unauthorised"
        )
    for name, field, words in (
        ("tear_down", "outcome", ["refused"] * 12),
        ("judge_code", "judgement", ["wrong", "wrong", "expired", "wrong"]),
        ("record_evidence", "outcome", ["unknown"]),
        ("forget_account", "at", [None, None]),
    ):
        assert [it[field] for order, it in said if order == name] == words
    for name in ("create_servers", "apply_limits", "open_change"):
        assert {it for order, it in said if order == name} == {"Unauthorised"}
    assert {name for name, _ in world.host.calls} <= {"find"}, "nothing but a look"
    row = await world.row(change_id)
    assert (row.stage, row.accepted_proof) == ("awaiting_code", None)
    await world.confirm(change_id)
    await world.ends(change_id, "completed")
    assert await world.server_states() == ["active", "active", "destroyed"]


async def test_the_worst_that_forged_orders_do_before_the_commit_is_to_end_the_change(world: World) -> None:
    change_id = await waiting(world)
    before = await snapshot(world)
    world.host.calls = []
    async with forging(world) as rogue:
        forged = Abandon(
            change_id=change_id, reason=AbandonReason.CANCELLED, actor="mallory", at=datetime.now(UTC)
        )
        await rogue.order("abandon_change", forged)
    await assert_untouched(world, before)
    with pytest.raises(problems.ChangeClosed):
        await world.confirm(change_id)
    await assert_untouched(world, before)


async def test_a_run_of_anothers_making_has_its_code_mailed_to_the_customer_and_commits_nothing(
    world: World,
) -> None:
    """A run under a wrong id isn't held by the lock; the database's rules are the same for it."""
    await world.arrives()
    await world.mark(2)
    before = await snapshot(world)
    request = ChangeRequest(
        change_id=str(uuid4()),
        account_id=world.me.account_id,
        service_id=world.me.service_id,
        fingerprint="forged",
        configuration=Configuration.of("cs2-public", 20, [], 2),
        digest=await world.digest(servers=2, slots=20) or "",
        no_refund=True,
        destroys=(world.me.server_ids[2],),
    )
    handle = await world.temporal.client.start_workflow(
        PlanChange.run, request, id=f"mallory/{uuid4()}", task_queue=world.settings.task_queue
    )
    await world.mailed(request.change_id)
    assert {mail.recipient for mail in world.post.sent} == {world.me.email}
    attempt = CodeAttempt(change_id=request.change_id, number=1, proof="0" * 64)
    answer = await send(handle, PlanChange.submit_code, attempt)
    assert answer.judgement == "wrong"
    await assert_untouched(world, before)


async def test_a_worker_that_says_committed_has_nothing_destroyed_created_or_told(world: World) -> None:
    await world.arrives()
    await world.arrives(service="Clan du Nord")
    await world.mark(2)
    other = world.customers[1].server_ids
    named = (world.me.server_ids[2], *other)
    before = await snapshot(world)
    async with lying_worker(world, [GivenUp(server_id=it, name="forged", address="") for it in other]):
        change_id = (await world.ask(servers=2)).id
        code = await world.mailed(change_id)
        lie = await world.submit(change_id, WRONG)
        assert (lie.judgement, lie.stage) == ("accepted", "committed")
    await world.start_workers()
    for server_id in named:
        handle = world.temporal.client.get_workflow_handle(ids.teardown_workflow_id(server_id))
        assert (await handle.result())["outcome"] == "refused"

    async def refused() -> bool:
        history = await world.run_of_service().fetch_history()
        failed = [it for it in history.events if it.HasField("activity_task_failed_event_attributes")]
        types = [it.activity_task_failed_event_attributes.failure for it in failed]
        return [it.application_failure_info.type for it in types].count("Unauthorised") >= 2

    await world.until(refused, "creation and limits to be refused")
    await assert_untouched(world, before)
    assert len(world.post.sent) == 1, "the code, and no outcome"
    row = await world.row(change_id)
    assert (row.stage, row.accepted_proof, row.committed_at) == ("awaiting_code", None, None)

    # The way out: the forged run is terminated, and the customer's next word starts from the database.
    await world.run_of_service().terminate("its history was forged")
    await world.type_code(change_id, code)
    await world.ends(change_id, "completed")
    assert await world.server_states() == ["active", "active", "destroyed"]
    states = {it["id"]: it["state"] for it in await world.table("servers")}
    assert {states[it] for it in other} == {"active"}
