"""The commit against what happens at the same moment, and against connections that die at COMMIT."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.util import await_only
from temporalio.exceptions import ApplicationError

from changeover.domain.lifecycle import AbandonReason, Stage
from changeover.domain.proration import convert, seconds_between
from changeover.storage import tables
from changeover.storage.database import Database
from starter import writes
from tests.activities.house import House, run
from tests.storage.rows import DAY, MINUTE, T0, Rented, row_of, rows_of, snapshot
from tests.support.proxy import proxy_to
from workflows.messages import Abandon, ChangeState, Judged, Judgement, RequestCode

AT = T0 + 2 * MINUTE
ROUNDS = 6


async def marked_change(house: House) -> tuple[Rented, str]:
    rented = await house.rent(servers=3, marked=1, passes=1, last_committed_at=T0 - DAY)
    return rented, await house.awaiting(rented, rented.wants(24, 2))


async def assert_untouched(house: House, rented: Rented) -> None:
    service = await house.service_row(rented)
    assert (service["slots"], service["server_count"]) == (20, 3)
    assert [(await house.server_row(it))["state"] for it in rented.servers[:2]] == ["active", "active"]
    assert await rows_of(house.database, tables.tasks) == []
    assert len(await rows_of(house.database, tables.passes, spent_by=None)) == 1


@pytest.mark.parametrize("first", ["commit", "abandon"])
async def test_commit_and_abandon_at_once_have_one_winner(house: House, first: str) -> None:
    rented, change_id = await marked_change(house)
    order = Abandon(change_id=change_id, reason=AbandonReason.WINDOW_OVER, actor="system", at=AT)

    async def commit() -> Judged:
        return await house.confirm(change_id)

    async def abandon() -> ChangeState:
        return await run(house.transactions.abandon_change, order)

    judged: Judged
    state: ChangeState
    if first == "commit":
        judged, state = await asyncio.gather(commit(), abandon())
    else:
        state, judged = await asyncio.gather(abandon(), commit())

    recorded = await house.change(change_id)
    assert judged.change.stage == state.stage == recorded.stage
    if recorded.stage is Stage.COMMITTED:
        assert judged.judgement is Judgement.ACCEPTED
        assert (await house.service_row(rented))["slots"] == 24
    else:
        assert (recorded.stage, judged.judgement) == (Stage.ABANDONED, Judgement.MOOT)
        await assert_untouched(house, rented)
    ends = [it for it in await house.events(change_id) if it in {"committed", "abandoned"}]
    assert len(ends) == 1


@pytest.mark.parametrize("index", [0, 2])
async def test_a_mark_or_its_undoing_at_once_is_before_or_after_the_commit(house: House, index: int) -> None:
    """Server 0 gets a mark, server 2 loses its own: never is another server destroyed than was confirmed."""
    for _ in range(ROUNDS):
        rented, change_id = await marked_change(house)
        moment = T0 if index == 0 else None

        async def touch(rented: Rented = rented, moment: Any = moment) -> str:
            try:
                await writes.set_mark(
                    house.database,
                    rented.account_id,
                    rented.service_id,
                    rented.servers[index],
                    marked_at=moment,
                )
            except Exception as refused:  # noqa: BLE001 - which one is looked at below
                return str(getattr(refused, "code", refused))
            return "done"

        judged, touched = await asyncio.gather(house.confirm(change_id), touch())
        states = [(await house.server_row(it))["state"] for it in rented.servers]
        if judged.judgement is Judgement.ACCEPTED:
            assert states[2] == "destroying"
            assert states[1] == "active"
            assert touched == ("done" if index == 0 else "change-closed")
            assert states[0] == ("marked" if index == 0 else "active")
        else:
            assert judged.change.cause == "servers-changed"
            assert "destroying" not in states
            assert touched == "done"


async def test_a_renewal_at_once_is_never_lost(house: House) -> None:
    for number in range(ROUNDS):
        rented = await house.rent(expires_at=T0 + 20 * DAY)
        change_id = await house.awaiting(rented, rented.wants(32))
        renewal = writes.renew(
            house.database, rented.account_id, rented.service_id, 10, key=f"k{number}", now=AT
        )
        judged, renewed = await asyncio.gather(house.confirm(change_id), renewal)
        assert judged.judgement is Judgement.ACCEPTED
        expires_at = (await house.service_row(rented))["expires_at"]

        def at_new_rate(days: int) -> Any:
            remaining = seconds_between(T0, T0 + days * DAY)
            return T0 + convert(remaining, 6000, 9600) * (MINUTE / 60)

        renewed_first, committed_first = at_new_rate(30), at_new_rate(20) + 10 * DAY
        assert expires_at in {renewed_first, committed_first}
        first = expires_at == renewed_first
        assert renewed.expires_at == (T0 + 30 * DAY if first else committed_first)


async def test_a_new_code_asked_for_at_once_voids_the_old_or_comes_too_late(house: House) -> None:
    rented, change_id = await marked_change(house)
    order = RequestCode(change_id=change_id, number=2, at=AT)
    proof = await house.right_proof(change_id)
    judged, state = await asyncio.gather(
        house.judge(change_id, proof), run(house.transactions.request_code, order)
    )
    change = await house.change(change_id)
    if judged.judgement is Judgement.ACCEPTED:
        assert (change.stage, change.code_number) == (Stage.COMMITTED, 1)
    else:
        assert judged.judgement is Judgement.EXPIRED
        assert (change.stage, change.code_number) == (Stage.AWAITING_CODE, 2)
        await assert_untouched(house, rented)
    assert state.stage is change.stage


async def one_effect(house: House, rented: Rented, change_id: str) -> None:
    service = await house.service_row(rented)
    assert (service["slots"], service["server_count"]) == (24, 2)
    assert (await house.events(change_id)).count("committed") == 1
    assert len(await rows_of(house.database, tables.passes, spent_by=change_id)) == 1
    assert (await row_of(house.database, tables.passes))["spent_at"] == AT


async def test_a_connection_killed_before_its_commit_leaves_nothing_and_the_next_try_commits(
    postgres_database: Database, house_on: Any
) -> None:
    house: House = house_on(postgres_database)
    rented, change_id = await marked_change(house)
    before = await snapshot(postgres_database)
    killer = Database(postgres_database.url.render_as_string(hide_password=False))
    killed: list[int] = []

    async def kill(pid: int) -> None:
        async with killer.read() as connection:
            await connection.execute(text(f"SELECT pg_terminate_backend({pid}, 5000)"))

    def at_commit(connection: Any) -> None:
        if not killed:
            killed.append(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())
            await_only(kill(killed[0]))

    event.listen(postgres_database._writer.sync_engine, "commit", at_commit)
    with pytest.raises(ApplicationError) as caught:
        await house.confirm(change_id)
    assert (caught.value.type, caught.value.non_retryable) == ("DatabaseUnavailable", False)
    assert killed
    assert await snapshot(postgres_database) == before

    assert (await house.confirm(change_id)).judgement is Judgement.ACCEPTED
    await one_effect(house, rented, change_id)
    await killer.close()


@pytest.mark.parametrize("reaches_the_server", [False, True])
async def test_a_connection_cut_at_commit_has_one_effect(
    postgres_database: Database, house_on: Any, reaches_the_server: bool
) -> None:
    """Cut before the server sees COMMIT, or after it has committed and before its answer comes back."""
    behind: House = house_on(postgres_database)
    rented, change_id = await marked_change(behind)
    url = postgres_database.url
    assert url.port is not None
    async with proxy_to(url.port) as proxy:
        through = Database(url.set(port=proxy.port).render_as_string(hide_password=False))
        house: House = house_on(through)
        proof = await behind.right_proof(change_id)
        proxy.cut_at(b"COMMIT;", after=reaches_the_server)
        with pytest.raises(ApplicationError) as caught:
            await house.judge(change_id, proof)
        assert caught.value.type == "DatabaseUnavailable"
        assert proxy.cuts == 1
        stage = Stage.COMMITTED if reaches_the_server else Stage.AWAITING_CODE
        assert (await behind.change(change_id)).stage is stage

        judged = await house.judge(change_id, proof)
        assert judged.judgement is Judgement.ACCEPTED
        await one_effect(behind, rented, change_id)
        await through.close()


@pytest.mark.parametrize("reaches_the_server", [False, True])
async def test_a_wrong_code_whose_count_was_cut_off_is_counted_once(
    postgres_database: Database, house_on: Any, reaches_the_server: bool
) -> None:
    behind: House = house_on(postgres_database)
    _, change_id = await marked_change(behind)
    url = postgres_database.url
    assert url.port is not None
    async with proxy_to(url.port) as proxy:
        through = Database(url.set(port=proxy.port).render_as_string(hide_password=False))
        house: House = house_on(through)
        proxy.cut_at(b"COMMIT;", after=reaches_the_server)
        with pytest.raises(ApplicationError):
            await house.judge(change_id, behind.wrong_proof(change_id))
        judged = await house.judge(change_id, behind.wrong_proof(change_id))
        assert judged.judgement is Judgement.WRONG
        assert (await behind.change(change_id)).wrong_on_change == 1
        await through.close()


async def test_work_that_fails_after_every_write_leaves_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    rented, change_id = await marked_change(house)
    before = await snapshot(house.database)

    async def broken(*_: Any, **__: Any) -> Any:
        raise ConnectionResetError

    monkeypatch.setattr("activities.commit.changes.alter", broken)
    with pytest.raises(ApplicationError):
        await house.confirm(change_id)
    assert await snapshot(house.database) == before
    monkeypatch.undo()
    assert (await house.confirm(change_id)).judgement is Judgement.ACCEPTED
    await one_effect(house, rented, change_id)
