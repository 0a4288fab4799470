"""Figures of a run that lost something mean nothing: workflows, rows and mails must add up."""

import asyncio
import time

from sqlalchemy import func, select

from bench.figures import Result
from bench.system import System
from changeover.storage.tables import plan_changes

_PATIENCE_SECONDS = 60
"""How long nothing may move before what is missing is taken for lost."""


async def check_complete(
    system: System, result: Result, *, completed: int = 0, abandoned: int = 0, mails_each: int = 2
) -> None:
    """Check that every change ended as it should, in the database, in Temporal and in the mails.

    Two mails are due for each (its code, its outcome), one if customers gave up: `mails_each`. One that comes
    again is told, not counted: a mail is handed over at least once.
    """
    told = mails_each * (completed + abandoned)
    seen, moved_at = (0, 0), time.monotonic()
    while time.monotonic() < moved_at + _PATIENCE_SECONDS:  # visibility lags behind, and so do mails
        closed = await _count(system, "WorkflowType = 'PlanChange' AND ExecutionStatus = 'Completed'")
        if closed >= completed + abandoned and system.sink.received >= told:
            break
        if (closed, system.sink.received) != seen:
            seen, moved_at = (closed, system.sink.received), time.monotonic()
        await asyncio.sleep(0.2)
    failed = await _count(system, "ExecutionStatus IN ('Failed', 'TimedOut', 'Terminated', 'Canceled')")
    rows = await _rows(system)
    result.expect("workflows closed", closed, completed + abandoned)
    result.expect("workflows failed", failed, 0)
    result.expect("rows completed", rows.pop("completed", 0), completed)
    result.expect("rows abandoned", rows.pop("abandoned", 0), abandoned)
    result.expect("rows in any other stage", sum(rows.values()), 0)
    result.expect("mails received", system.sink.received, told)
    result.add("mails that came twice", "count", len(system.sink.again))
    own = await _count(system, "WorkflowType = 'OutcomeMail'")
    result.add("outcome mails by a run of their own", "count", own)


async def _count(system: System, query: str) -> int:
    return (await system.ours.count_workflows(query)).count


async def _rows(system: System) -> dict[str, int]:
    query = select(plan_changes.c.stage, func.count()).group_by(plan_changes.c.stage)
    async with system.database.read() as connection:
        return {str(stage): int(number) for stage, number in await connection.execute(query)}
