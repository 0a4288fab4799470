"""The reconciler's schedule in the namespace: made by the worker at its start, the same however often."""

from dataclasses import replace
from datetime import timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.service import RPCError, RPCStatusCode

from workflows import ids
from workflows.reconciler import Reconcile
from workflows.reconciling import ReconcileOrder

_CATCH_UP = timedelta(minutes=1)
"""Looks that were missed while Temporal was away are not made up for: one sees all."""


async def ensure_schedule(client: Client, task_queue: str, every: timedelta) -> None:
    """Have the reconciler look `every` so often; never with zero. A pause by an operator is kept."""
    schedule_id = ids.reconcile_schedule_id(task_queue)
    handle = client.get_schedule_handle(schedule_id)
    if not every:
        try:
            await handle.delete()
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
        return
    spec = ScheduleSpec(intervals=[ScheduleIntervalSpec(every=every)])
    try:
        await client.create_schedule(schedule_id, _schedule(task_queue, spec))
    except ScheduleAlreadyRunningError:

        def renewed(present: ScheduleUpdateInput) -> ScheduleUpdate | None:
            schedule = present.description.schedule
            if schedule.spec.intervals == spec.intervals:
                return None
            return ScheduleUpdate(schedule=replace(schedule, spec=spec))

        await handle.update(renewed)


def _schedule(task_queue: str, spec: ScheduleSpec) -> Schedule:
    return Schedule(
        action=ScheduleActionStartWorkflow(
            Reconcile.run,
            ReconcileOrder(),
            id=ids.RECONCILE,
            task_queue=task_queue,
            static_summary="Find what should never be, heal what is certain",
        ),
        spec=spec,
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=_CATCH_UP),
    )
