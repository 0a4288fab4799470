"""What several scenarios begin with."""

from datetime import UTC, datetime, timedelta
from typing import Any

from changeover.storage import tables
from starter.embedded.processes import Part
from tests.faults.story import Customer, Story
from tests.faults.system import eventually, is_frozen
from tests.storage.rows import rows_of

SMALLER: dict[str, Any] = {"slots": 24, "server_count": 2}
"""Two servers of the three are kept, with other slots: limits for two, one teardown."""

RESEND = timedelta(seconds=61)
"""After so long a new code may be asked for."""

SLOW_TEARDOWN = "teardown.stop=sleep:2"
"""After the first receipt and before the second there is time to do something."""


def yesterday() -> datetime:
    return datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)


async def with_a_pass(story: Story, **situation: Any) -> Customer:
    """A customer who changed yesterday: three servers, one of them marked, and a pass to change again."""
    usual: dict[str, Any] = {"marked": 1, "passes": 1, "last_committed_at": yesterday()}
    return await story.arrives(**usual | situation)


async def asked(story: Story, **situation: Any) -> tuple[Customer, str, str]:
    """A customer with a pass has asked for a smaller plan; return them, the change and its code."""
    alice = await with_a_pass(story, **situation)
    change_id = await alice.confirmed(**SMALLER)
    return alice, change_id, await alice.code(change_id)


async def completes(story: Story, customer: Customer, change_id: str, code: str) -> None:
    """Type the code, patiently, and see the change completed."""
    answer = await customer.typed(change_id, code)
    assert answer.status_code == 200, answer.text
    await story.reaches(change_id, "completed")


async def events(story: Story, change_id: str, event: str) -> int:
    return len(await rows_of(story.system.database, tables.trail, change_id=change_id, event=event))


async def in_its_teardown(story: Story, alice: Customer, change_id: str, code: str) -> None:
    """Confirm, with a slow worker, and return between two receipts."""
    await story.system.restart_worker(SLOW_TEARDOWN)
    assert (await alice.typed(change_id, code)).status_code == 200

    async def begun() -> bool:
        return await events(story, change_id, "teardown_record") == 1

    await eventually(begun, "the first receipt")


async def outcome_recorded(story: Story, change_id: str) -> None:
    """Wait until the mail that tells how it ended is recorded as taken, once."""

    async def recorded() -> bool:
        return await events(story, change_id, "outcome_mailed") == 1

    await eventually(recorded, "the outcome's mail to be recorded")


async def freezes(process: Part) -> None:
    """Wait until a process stands still at its failpoint."""

    async def stopped() -> bool:
        return is_frozen(process)

    await eventually(stopped, "the process to freeze")
