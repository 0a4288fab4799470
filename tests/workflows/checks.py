"""What must hold whatever happened: nothing changes without a commit, and the trail tells the truth."""

from itertools import pairwise
from typing import Any

from sqlalchemy import select

from changeover.domain.lifecycle import TRANSITIONS, Stage
from changeover.storage.tables import plan_changes, trail
from tests.workflows.world import World

_TABLES = ("accounts", "passes", "services", "servers", "addresses", "tasks", "receipts")


async def snapshot(world: World) -> dict[str, Any]:
    """Return all that a plan change alters when it is committed, and the files that the host has."""
    tables = {name: await world.table(name) for name in _TABLES}
    files = sorted(
        (str(path.relative_to(world.host_dir)), path.stat().st_size)
        for path in world.host_dir.rglob("*")
        if path.is_file()
    )
    return tables | {"files": files}


async def assert_untouched(world: World, before: dict[str, Any]) -> None:
    """I16: nothing changed, nothing spent, marks kept; and no destructive call reached the host (I3)."""
    after = await snapshot(world)
    for part, rows in before.items():
        assert after[part] == rows, part
    assert world.host.calls == []


async def assert_trails_tell_the_truth(world: World) -> None:
    """I13: the stages of each trail follow each other as they may, and end where the row stands."""
    async with world.database.read() as connection:  # one state of both: a run may be going on
        entries = (await connection.execute(select(trail).order_by(trail.c.seq))).all()
        rows = (await connection.execute(select(plan_changes))).all()
    for change in rows:
        stages = [Stage(entry.stage) for entry in entries if entry.change_id == change.id]
        assert stages[0] is Stage.REQUESTED, change.id
        assert stages[-1] == change.stage, change.id
        for present, following in pairwise(stages):
            assert present is following or following in TRANSITIONS[present], (present, following)
