"""What each activity says to the database: the same on both, and no more with more rows."""

import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event

from bench import costs
from changeover.domain.catalogue import Configuration
from changeover.storage import tables
from tests.activities.house import House, run
from tests.storage.rows import MINUTE, T0, Rented, add_free_addresses, rows_of
from workflows.messages import (
    ChangeAt,
    CodeAttempt,
    HostOrder,
    JudgeCode,
    OpenChange,
    SendCode,
    SendOutcome,
    TeardownOrder,
)

SENT_AT = T0 + MINUTE

_TABLE = re.compile(r"(?:FROM|INTO|UPDATE) (\w+)")
_BRACKETS = re.compile(r"\([^()]*\)")
_TRANSACTION = ("BEGIN", "PRAGMA")


def without_brackets(statement: str) -> str:
    """Leave what a statement is about: subqueries, lists and columns stand in brackets."""
    count = 1
    while count:
        statement, count = _BRACKETS.subn("", statement)
    return statement


@contextmanager
def listening() -> Iterator[list[str]]:
    """Collect `VERB table` of each statement; one of many rows at once is one."""
    said: list[str] = []

    def note(_connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith(_TRANSACTION):
            verb = statement.split(maxsplit=1)[0]
            found = _TABLE.search(without_brackets(statement))
            assert found is not None, statement
            said.append(f"{verb} {found[1]}")

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield said
    finally:
        event.remove(Engine, "before_cursor_execute", note)


async def said_by(house: House, *, changed: int) -> dict[str, list[str]]:
    """Return what each activity said in a change that destroys and creates, or limits, so many servers."""
    said: dict[str, list[str]] = {}

    async def note(activity: Callable[[Any], Awaitable[Any]], order: object, at: datetime = T0) -> None:
        with listening() as statements:
            await run(activity, order, at=at)
        said[activity.__name__] = statements

    async def carry_out(rented: Rented, wanted: Configuration) -> str:
        await house.put_on_host(rented)
        request = await house.request(rented, wanted)
        change_id = request.change_id
        await note(house.transactions.open_change, OpenChange(request=request, at=T0))
        await note(house.mails.send_code, SendCode(change_id=change_id, number=1), SENT_AT)
        attempt = CodeAttempt(change_id=change_id, number=1, proof=await house.right_proof(change_id))
        await note(house.transactions.judge_code, JudgeCode(attempt=attempt, at=SENT_AT + MINUTE))
        await note(house.servers.apply_limits, HostOrder(change_id=change_id), SENT_AT + MINUTE)
        return change_id

    rented = await house.rent(servers=2 * changed, marked=changed)
    async with house.database.read() as connection:
        for part in (house.transactions, house.mails, house.servers):
            await part._catalogue.current(connection)  # a worker reads a new one once
    change_id = await carry_out(rented, rented.wants(32, changed))
    for server_id in rented.servers[changed:]:
        await note(house.servers.tear_down, TeardownOrder(change_id=change_id, server_id=server_id))
    await note(house.transactions.complete_change, ChangeAt(change_id=change_id, at=SENT_AT + 2 * MINUTE))
    await note(house.mails.send_outcome, SendOutcome(change_id=change_id), SENT_AT + 2 * MINUTE)
    of_the_first = dict(said)
    growing = await house.rent(name="bruno", servers=1)
    await add_free_addresses(house.database, changed)
    grown = await carry_out(growing, growing.wants(32, 1 + changed))
    of_the_first["judge_code, creating"] = said["judge_code"]
    await note(house.servers.create_servers, HostOrder(change_id=grown))
    return of_the_first | {"create_servers": said["create_servers"]}


@pytest.mark.usefixtures("inbox")
@pytest.mark.parametrize("servers", [1, 3])
async def test_every_statement_has_its_reason_and_more_servers_need_no_more_of_them(
    house: House, servers: int
) -> None:
    said = await said_by(house, changed=servers)
    listed = {
        "open_change": costs.OPEN,
        "send_code": costs.CODE_MAIL,
        "judge_code": costs.JUDGE,
        "apply_limits": [*costs.LIMITS, *servers * costs.LIMITS_PER_SERVER, costs.APPLYING],
        "tear_down": costs.TEAR_DOWN,
        "complete_change": costs.COMPLETE,
        "send_outcome": costs.OUTCOME_MAIL,
        "judge_code, creating": costs.JUDGE_CREATING,
        "create_servers": [*costs.CREATE, *servers * costs.CREATE_PER_SERVER],
    }
    expected = {name: sorted(it for it, _ in statements) for name, statements in listed.items()}
    assert {name: sorted(statements) for name, statements in said.items()} == expected


@pytest.mark.usefixtures("inbox")
async def test_the_rows_that_a_change_leaves_are_those_of_the_plan_for_scale(house: House) -> None:
    await said_by(house, changed=1)
    (destroying,) = [row for row in await rows_of(house.database, tables.plan_changes) if row["destroys"]]
    kept = {
        table.name: len(await rows_of(house.database, table, change_id=destroying["id"]))
        for table in (tables.tasks, tables.trail, tables.receipts)
    }
    assert costs.Rows(**kept) == costs.Rows()
