"""The commit transaction: ours against its own statements in a plain script, and with eight writers."""

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import event, func, select, update

from activities.database import ChangeTransactions, CodeKeys
from bench.customers import Wish, drive, timed, wish
from bench.figures import Result
from bench.raw import RawConnection, Recorded, open_raw
from bench.run import Bench, folder
from changeover.domain.confirmation import CodePolicy
from changeover.domain.facts import Policy
from changeover.domain.quote import assess
from changeover.storage import services
from changeover.storage.catalogue import CatalogueReader
from changeover.storage.changes import get
from changeover.storage.database import Database
from changeover.storage.tables import plan_changes
from starter.seed_many import Customer, seed_many
from starter.setup import prepare
from workflows import ids
from workflows.messages import ChangeRequest, CodeAttempt, JudgeCode, Judgement, OpenChange

_WRITERS = 8


class Shop:
    """The worker's transactions on a database of their own, with changes that await their code."""

    def __init__(self, database: Database, first_customer: int = 1) -> None:
        self.database = database
        self._keys = CodeKeys({"bench": b"c" * 32}, "bench", [b"p" * 32])
        self._catalogue = CatalogueReader()
        self._next = first_customer
        self.transactions = ChangeTransactions(
            database=database,
            catalogue=self._catalogue,
            keys=self._keys,
            policy=Policy(),
            code_policy=CodePolicy(),
        )

    async def awaiting(self, count: int) -> list[JudgeCode]:
        """Open `count` changes whose codes were handed over; return the orders that commit them."""
        now = datetime.now(UTC)
        customers = [Customer(number=number) for number in range(self._next, self._next + count)]
        self._next += count
        await seed_many(self.database, now, iter(customers))
        requests = [await self._open(wish(customer), now) for customer in customers]
        handed_over = update(plan_changes).values(code_handed_over_at=now)
        await self.database.write(lambda connection: connection.execute(handed_over))
        return [await self._right_code(request, now) for request in requests]

    async def _open(self, one: Wish, now: datetime) -> str:
        async with self.database.read() as connection:
            found = await services.facts_and_catalogue(
                connection, self._catalogue, one.customer.service_id, now
            )
        assert found is not None
        facts, catalogue = found
        quote = assess(facts, one.wanted, catalogue, Policy(), now)
        request = ChangeRequest(
            change_id=ids.change_id(one.customer.account_id, one.customer.service_id, "bench"),
            account_id=one.customer.account_id,
            service_id=one.customer.service_id,
            fingerprint="f" * 64,
            configuration=one.wanted,
            digest=quote.digest or "",
            no_refund=True,
            destroys=(),
        )
        opened = await self.transactions.open_change(OpenChange(request=request, at=now))
        assert opened.answer.reason is None, opened
        return request.change_id

    async def _right_code(self, change_id: str, now: datetime) -> JudgeCode:
        async with self.database.read() as connection:
            change = await get(connection, change_id)
        attempt = CodeAttempt(change_id=change_id, number=1, proof=self._keys.proof_of(change))
        return JudgeCode(attempt=attempt, at=now + timedelta(seconds=1))

    def commit(self, order: JudgeCode) -> Callable[[], Awaitable[float]]:
        """Return a job that commits, and returns the seconds that this took."""

        async def job() -> float:
            judged, seconds = await timed(self.transactions.judge_code(order))
            assert judged.judgement is Judgement.ACCEPTED, judged
            return seconds

        return job


async def _record(url: str) -> Recorded:
    """Commit the first customer's change, and return its statements.

    By a database of its own: an engine that was listened to once is slower for good.
    """
    database = Database(url)
    try:
        shop = Shop(database)
        (order,) = await shop.awaiting(1)
        recorded = Recorded(change_id=order.attempt.change_id, proof=order.attempt.proof)
        async with database.read() as connection:
            change = await get(connection, recorded.change_id)
        recorded.service_id, recorded.account_id = change.service_id, change.account_id

        def note(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
            recorded.add(statement, parameters, many=many)

        event.listen(database._writer.sync_engine, "before_cursor_execute", note)  # noqa: SLF001 - to see what it is told
        await shop.commit(order)()
    finally:
        await database.close()
    return recorded


async def run(bench: Bench, database: str) -> Result:
    result = Result("commit", database)
    count = bench.size(200, 20)
    with folder() as path:
        url = bench.database_url(database, path)
        await prepare(url)
        recorded = await _record(url)
        ours = Database(url)
        raw = await open_raw(url)
        try:
            shop = Shop(ours, first_customer=2)
            result.details["statements"] = [statement for statement, _, _ in recorded.statements]
            for number in bench.rounds_with_warm_up():
                one_by_one, _ = await drive([shop.commit(it) for it in await shop.awaiting(count)], 1)
                plainly = await _raw(raw, recorded, await shop.awaiting(count), shop)
                # Its tail is judged: one slow moment must not decide it.
                many = await shop.awaiting(20 * count)
                at_once, seconds = await drive([shop.commit(it) for it in many], _WRITERS)
                if number:
                    result.add_times("ours", one_by_one)
                    result.add_times("raw", plainly)
                    result.add_times(f"{_WRITERS} writers", at_once)
                    result.add(f"{_WRITERS} writers: rate", "/s", len(many) / seconds)
                bench.say(f"round {number} of {bench.rounds}")
            result.expect("raw commits that wrote what ours write", await _committed(ours), shop._next - 1)  # noqa: SLF001
        finally:
            await raw.close()
            await ours.close()
    return result


async def _raw(raw: RawConnection, recorded: Recorded, orders: list[JudgeCode], shop: Shop) -> list[float]:
    """Run the recorded statements for each change; return the seconds that each took."""
    taken = []
    for order in orders:
        async with shop.database.read() as connection:
            change = await get(connection, order.attempt.change_id)
        statements = recorded.for_change(change, order.attempt.proof)
        began = time.perf_counter()
        await raw.transaction(statements)
        taken.append(time.perf_counter() - began)
    return taken


async def _committed(database: Database) -> int:
    query = select(func.count()).select_from(plan_changes).where(plan_changes.c.stage == "committed")
    async with database.read() as connection:
        return int((await connection.execute(query)).scalar_one())
