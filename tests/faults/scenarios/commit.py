"""Faults around the one transaction that counts."""

import asyncio

from tests.faults.matrix import scenario
from tests.faults.scenarios.common import asked, completes
from tests.faults.story import Story
from tests.faults.system import POSTGRESQL


async def _killed_at(story: Story, failpoint: str) -> None:
    alice, change_id, code = await asked(story)
    await story.system.restart_worker(f"{failpoint}=kill@1")
    confirming = asyncio.create_task(alice.typed(change_id, code))
    await story.system.worker_died()
    row = await story.row(change_id)
    assert row is not None
    assert (row["committed_at"] is not None) == (failpoint == "judged.accepted")
    await story.system.restart_worker()
    assert (await confirming).status_code == 200
    await completes(story, alice, change_id, code)


@scenario(22, sample=True)
async def killed_before_commit(story: Story) -> None:
    await _killed_at(story, "commit.before")


@scenario(22, sample=True)
async def killed_after_commit(story: Story) -> None:
    await _killed_at(story, "judged.accepted")


@scenario(26, databases=(POSTGRESQL,), sample=True)
async def postgresql_stopped_at_once_and_restarted(story: Story) -> None:
    postgres = story.system.postgres
    assert postgres is not None
    alice, change_id, code = await asked(story)
    await asyncio.to_thread(postgres.stop_immediately)
    away = await alice.type(change_id, code)
    assert away.status_code in {500, 503}, away.text
    await asyncio.to_thread(postgres.start)
    await completes(story, alice, change_id, code)
