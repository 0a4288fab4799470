"""The reconciler's schedule: made once, altered when the setting is, gone when it is switched off."""

from datetime import timedelta
from uuid import uuid4

import pytest
from temporalio.client import ScheduleOverlapPolicy
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import WorkflowEnvironment

from starter.schedule import ensure_schedule
from workflows import ids

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


async def test_the_schedule_follows_the_setting_and_keeps_an_operator_s_pause(
    temporal: WorkflowEnvironment,
) -> None:
    queue = f"queue-{uuid4()}"
    handle = temporal.client.get_schedule_handle(ids.reconcile_schedule_id(queue))
    await ensure_schedule(temporal.client, queue, HOUR)
    made = (await handle.describe()).schedule
    assert [interval.every for interval in made.spec.intervals] == [HOUR]
    assert made.policy.overlap is ScheduleOverlapPolicy.SKIP
    await handle.pause(note="olga looks")
    await ensure_schedule(temporal.client, queue, HOUR)
    await ensure_schedule(temporal.client, queue, DAY)
    altered = (await handle.describe()).schedule
    assert [interval.every for interval in altered.spec.intervals] == [DAY]
    assert altered.state.paused
    for _ in range(2):
        await ensure_schedule(temporal.client, queue, timedelta(0))
    with pytest.raises(RPCError) as gone:
        await handle.describe()
    assert gone.value.status is RPCStatusCode.NOT_FOUND
