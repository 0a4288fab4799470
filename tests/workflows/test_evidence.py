"""Evidence is given by a short run, startable by anyone in the Temporal UI, long after its change's run."""

import shutil

import pytest

from starter.operations import Operations
from tests.workflows.faults import Fault
from tests.workflows.system import no_patience_with_hosts
from tests.workflows.test_attention import LOCKED, address_of, troubled
from tests.workflows.world import World, send
from workflows import ids
from workflows.evidence import Evidence
from workflows.messages import EvidenceOrder, EvidenceOutcome, Skip
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
    try:
        refused = await operations.evidence(server_id, "shredded", actor="olga")
        assert refused.outcome is EvidenceOutcome.REMAINS
        shutil.rmtree(world.host_dir / server_id)
        given = await operations.evidence(server_id, "shredded", actor="olga")
    finally:
        await operations.close()
    assert given.outcome is EvidenceOutcome.RECORDED
    assert (await address_of(world, 2))["free_from"] == given.free_from
    again = await world.temporal.client.execute_workflow(
        Evidence.run,
        EvidenceOrder(server_id=server_id, evidence="shredded"),
        id=ids.evidence_workflow_id(server_id),
        task_queue=world.settings.task_queue,
    )
    assert again.outcome is EvidenceOutcome.RECORDED_BEFORE
    assert (await world.events(change_id)).count("evidence_recorded") == 1
