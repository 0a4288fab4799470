"""What is counted: what was really written, once, and nobody by name."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio.exceptions import ApplicationError

from changeover.domain.teardown import STEPS
from changeover.mail.catcher import catching
from changeover.storage import changes, tables
from changeover.storage.changes import Event
from changeover.storage.database import WRITTEN, Database
from changeover.telemetry.figures import Figures
from tests.activities.house import House, run
from tests.activities.test_tear_down import condemned
from tests.activities.troubled import raise_it, settle_it
from tests.storage.rows import MINUTE, T0
from workflows.messages import Abandon, SendCode


@pytest.fixture
def figures() -> Figures:
    return Figures()


@pytest.fixture
async def counted(
    figures: Figures, database_url: str, house_on: Callable[[Database], House]
) -> AsyncIterator[House]:
    """A house whose database tells `figures` what it wrote."""
    database = Database(database_url, committed=figures.written)
    yield house_on(database)
    await database.close()


def value(figures: Figures, name: str, **labels: str) -> float:
    found = figures.registry.get_sample_value(f"changeover_{name}", labels)
    assert found is not None, f"{name} {labels} is not there"
    return found


async def test_a_whole_change_is_counted_and_timed_once(counted: House, figures: Figures) -> None:
    _, change_id, server_id = await condemned(counted)
    for _ in range(2):
        await counted.confirm(change_id)
        await counted.tear_down(change_id, server_id)
        await counted.complete(change_id)
    assert value(figures, "codes_total", result="accepted") == 1
    assert value(figures, "changes_total", outcome="completed", reason="") == 1
    assert value(figures, "request_to_confirm_seconds_sum") == 120
    assert value(figures, "confirm_to_completion_seconds_sum") == 480
    assert value(figures, "confirm_to_commit_seconds_count") == 1
    for step in STEPS:
        assert value(figures, "teardown_step_seconds_count", step=step) == 1
        assert value(figures, "teardown_step_seconds_sum", step=step) < 60


async def test_a_wrong_code_counts_once_however_often_it_is_judged(counted: House, figures: Figures) -> None:
    rented = await counted.rent(servers=3)
    change_id = await counted.awaiting(rented, rented.wants(24, 3))
    for _ in range(3):
        await counted.judge(change_id, counted.wrong_proof(change_id))
    assert value(figures, "codes_total", result="wrong") == 1


async def test_ends_are_counted_by_outcome_and_reason(counted: House, figures: Figures) -> None:
    rented = await counted.rent(servers=3)
    change_id = await counted.awaiting(rented, rented.wants(24, 3))
    refused = await counted.request(rented, rented.wants(24, 3), digest="0" * 64)
    await counted.open(refused, T0)
    for _ in range(2):
        order = Abandon(change_id=change_id, reason="cancelled", actor="customer", at=T0 + MINUTE)  # type: ignore[arg-type]
        await run(counted.transactions.abandon_change, order)
    assert value(figures, "changes_total", outcome="rejected", reason="change-in-progress") == 1
    assert value(figures, "changes_total", outcome="abandoned", reason="cancelled") == 1


async def test_what_waits_for_an_operator_is_counted_when_it_is_raised(
    counted: House, figures: Figures
) -> None:
    _, change_id, server_id = await condemned(counted)
    for _ in range(2):
        await raise_it(counted, change_id, server_id)
    await settle_it(counted, change_id, server_id)
    await raise_it(counted, change_id, server_id)
    assert value(figures, "troubles_total", work="teardown") == 2


async def test_a_mail_is_counted_when_its_hand_over_is_recorded(
    counted: House, figures: Figures, tmp_path: Path
) -> None:
    rented = await counted.rent(servers=3)
    request = await counted.request(rented, rented.wants(24, 3))
    await counted.open(request)
    order = SendCode(change_id=request.change_id, number=1)
    with pytest.raises(ApplicationError):
        await run(counted.mails_to(1).send_code, order, at=T0 + MINUTE)
    assert value(figures, "mails_total", mail="code", result="handed_over") == 0
    async with catching(tmp_path / "inbox") as (_, port):
        for _ in range(2):
            await run(counted.mails_to(port).send_code, order, at=T0 + MINUTE)
    assert value(figures, "mails_total", mail="code", result="handed_over") == 1
    assert value(figures, "codes_total", result="mailed") == 1


async def test_what_is_rolled_back_is_not_counted(database_url: str, figures: Figures) -> None:
    database = Database(database_url, committed=figures.written)

    async def fails(connection: AsyncConnection) -> None:
        event = Event(event="code_wrong", stage="awaiting_code", at=T0)  # type: ignore[arg-type]
        connection.info.setdefault(WRITTEN, []).append(
            changes.Written(event=event, change=None)  # type: ignore[arg-type]
        )
        await connection.execute(insert(tables.api_keys), [{"id": "1"}])

    with pytest.raises(IntegrityError):
        await database.write(fails)
    await database.write(lambda connection: connection.execute(tables.api_keys.delete()))
    await database.close()
    assert value(figures, "codes_total", result="wrong") == 0


async def test_no_label_names_anybody(counted: House, figures: Figures) -> None:
    rented, change_id, server_id = await condemned(counted)
    await counted.tear_down(change_id, server_id)
    text = figures.text().decode()
    for one in (rented.account_id, rented.service_id, change_id, server_id, *rented.addresses):
        assert one not in text
