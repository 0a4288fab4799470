"""Evidence is given by a short run, startable by anyone in the Temporal UI, long after its change's run."""

import shutil
from datetime import UTC, datetime

import pytest

from starter.operations import Operations
from tests.workflows.faults import Fault
from tests.workflows.system import no_patience_with_hosts
from tests.workflows.test_attention import LOCKED, address_of, troubled
from tests.workflows.world import World, send
from workflows import ids
from workflows.evidence import Evidence, _details
from workflows.messages import EvidenceOrder, EvidenceOutcome, EvidenceResult, Skip
from workflows.server_teardown import ServerTeardown


async def test_evidence_long_after_the_run_frees_the_address_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_patience_with_hosts(monkeypatch)
    change_id = await troubled(world, Fault(call="delete_data", error=LOCKED))
    for times in (1, 2):
        await world.happened(change_id, "needs_attention", times)
        await world.waits_for_an_operator(world.teardown(2))
        await send(world.teardown(2), ServerTeardown.skip, Skip(reason="no time"))
    await world.ends(change_id, "completed")
    server_id = world.me.server_ids[2]
    operations = Operations(world.settings, world.temporal.client)
    run = world.temporal.client.get_workflow_handle(ids.evidence_workflow_id(server_id))
    try:
        refused = await operations.evidence(server_id, "shredded", actor="olga")
        assert refused.outcome is EvidenceOutcome.REMAINS
        told = await world.details(run)
        assert "**remains**, by olga" in told
        assert "delete it there, then give the evidence again. Nothing was changed." in told
        shutil.rmtree(world.host_dir / server_id)
        given = await operations.evidence(server_id, "shredded", actor="olga")
    finally:
        await operations.close()
    assert given.outcome is EvidenceOutcome.RECORDED
    told = await world.details(run)
    assert f"Its address `{given.address}` is in quarantine until " in told
    assert (await address_of(world, 2))["free_from"] == given.free_from
    again = await world.temporal.client.execute_workflow(
        Evidence.run,
        EvidenceOrder(server_id=server_id, evidence="shredded"),
        id=ids.evidence_workflow_id(server_id),
        task_queue=world.settings.task_queue,
    )
    assert again.outcome is EvidenceOutcome.RECORDED_BEFORE
    assert (await world.events(change_id)).count("evidence_recorded") == 1


@pytest.mark.parametrize("outcome", EvidenceOutcome)
def test_every_outcome_of_evidence_is_said_in_words(outcome: EvidenceOutcome) -> None:
    freed = datetime(2026, 3, 10, tzinfo=UTC) if outcome is EvidenceOutcome.RECORDED else None
    order = EvidenceOrder(server_id="s-1", evidence="shredded", actor="olga")
    told = _details(order, EvidenceResult(server_id="s-1", outcome=outcome, address="a", free_from=freed))
    assert told.startswith(f"server `s-1`: **{outcome}**, by olga\n\n")
    assert "{" not in told
    assert ("Nothing was changed." in told) is (freed is None)
