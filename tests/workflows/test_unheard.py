"""A transaction whose run never heard of it: the worker died before it could say so, and the caller, too.

Temporal keeps an update from when a worker has answered it; one that was lost before is as if never sent.
"""

from datetime import UTC, datetime

import pytest
from temporalio.testing import ActivityEnvironment

from activities.database import ChangeTransactions, CodeKeys
from changeover import codes
from changeover.domain import problems
from changeover.domain.confirmation import normalise
from changeover.domain.lifecycle import AbandonReason
from changeover.storage.catalogue import CatalogueReader
from tests.workflows.reconciling import findings, healed, nothing_is_young, reconcile
from tests.workflows.world import WRONG, World
from workflows.messages import Abandon, CodeAttempt, JudgeCode, Judgement


def transactions_of(world: World) -> ChangeTransactions:
    """Return what a worker runs, for one that dies before it has answered."""
    settings = world.settings
    return ChangeTransactions(
        database=world.database,
        catalogue=CatalogueReader(),
        keys=CodeKeys({"k1": b"c" * 40}, "k1", settings.proof_secrets),
        policy=settings.policy,
        code_policy=settings.code_policy,
    )


async def judged_unheard(world: World, change_id: str, code: str, number: int = 1) -> Judgement:
    """Judge a try as the run's worker does, and die."""
    settings = world.settings
    world.typed.append(code)
    proof = codes.proof(settings.proof_secret, change_id, normalise(code))
    attempt = CodeAttempt(change_id=change_id, number=number, proof=proof)
    order = JudgeCode(attempt=attempt, at=datetime.now(UTC))
    return (await ActivityEnvironment().run(transactions_of(world).judge_code, order)).judgement


async def committed_unheard(world: World) -> tuple[str, str]:
    await world.arrives()
    await world.mark(2)
    asked = await world.ask(servers=2)
    code = await world.mailed(asked.id)
    await world.settled()
    assert await judged_unheard(world, asked.id, code) is Judgement.ACCEPTED
    return asked.id, code


async def test_the_accepted_code_sent_again_carries_the_change_out(world: World) -> None:
    change_id, code = await committed_unheard(world)
    await world.type_code(change_id, code)
    await world.ends(change_id, "completed")


async def test_the_reconciler_tells_a_run_of_its_commit(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing_is_young(monkeypatch)
    change_id, _ = await committed_unheard(world)
    assert healed(await reconcile(world)) == [("commit-unheard", change_id)]
    await world.ends(change_id, "completed")
    assert findings(await reconcile(world)) == []


async def test_a_run_that_carries_its_commit_out_is_no_finding(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing_is_young(monkeypatch)
    await world.arrives()
    await world.mark(2)
    asked = await world.ask(servers=2, slots=20)
    world.host.hold("find")
    await world.confirm(asked.id)
    assert (await world.row(asked.id)).stage == "committed"
    assert findings(await reconcile(world)) == []
    world.host.release()
    await world.ends(asked.id, "completed")


async def test_the_reconciler_tells_a_run_of_its_abandonment(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing_is_young(monkeypatch)
    await world.arrives()
    asked = await world.ask()
    await world.mailed(asked.id)
    await world.settled()
    order = Abandon(
        change_id=asked.id, reason=AbandonReason.CANCELLED, at=datetime.now(UTC), actor="customer"
    )
    await ActivityEnvironment().run(transactions_of(world).abandon_change, order)
    assert healed(await reconcile(world)) == [("end-unheard", asked.id)]
    assert (await world.run_of_service().result()).reason == "cancelled"
    assert findings(await reconcile(world)) == []


async def test_a_run_that_waits_for_its_code_is_no_finding(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing_is_young(monkeypatch)
    await world.arrives()
    first = await world.ask()
    await world.mailed(first.id)
    await world.starter.cancel(world.me.account_id, first.id)
    await world.ends(first.id, "abandoned", "cancelled")
    second = await world.ask()
    await world.mailed(second.id)
    assert findings(await reconcile(world)) == []


async def test_the_next_change_ends_a_run_that_did_not_hear_of_its_abandonment(world: World) -> None:
    await world.arrives()
    asked = await world.ask()
    code = await world.mailed(asked.id)
    await world.settled()
    await world.mark(2)
    assert await judged_unheard(world, asked.id, code) is Judgement.STALE
    following = await world.ask(servers=2)
    await world.confirm(following.id)
    await world.ends(following.id, "completed")
    assert (await world.row(asked.id)).reason == "stale"


async def test_a_try_that_was_counted_unheard_is_counted_once(world: World) -> None:
    await world.arrives()
    asked = await world.ask()
    code = await world.mailed(asked.id)
    await world.settled()
    assert await judged_unheard(world, asked.id, WRONG) is Judgement.WRONG
    with pytest.raises(problems.CodeWrong) as wrong:
        await world.type_code(asked.id, WRONG)
    assert wrong.value.tries_left == 4
    await world.type_code(asked.id, code)
    await world.ends(asked.id, "completed")
