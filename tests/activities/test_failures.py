"""What reaches Temporal when an activity fails: a type and a sentence, nothing of the customer's."""

import asyncio
import logging
import traceback
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from temporalio.exceptions import ApplicationError

from activities.failures import FailedKnowing, Unauthorised, classified
from changeover.hosts import HostRefused, HostUnavailable
from changeover.mail import MailDeferred, MailMisconfigured
from changeover.storage import tables
from changeover.storage.database import Database, condition
from tests.activities.house import run
from tests.storage.rows import T0, add_account, add_rows
from tests.support.postgres import Postgres

SECRET = "canary.player@players.example"


@dataclass
class Activities:
    """An activity that raises what it is given, over an error that holds the secret."""

    error: BaseException

    @classified
    async def act(self, order: str) -> str:
        no_answers: dict[str, str] = {}
        try:
            return no_answers[order]
        except KeyError:
            raise self.error  # noqa: B904 - with the other as its context, as it happens


async def failure_of(error: BaseException) -> ApplicationError:
    with pytest.raises(ApplicationError) as caught:
        await Activities(error).act(SECRET)
    return caught.value


def assert_clean(failure: ApplicationError) -> None:
    assert failure.__cause__ is None
    assert failure.__context__ is None
    told = " ".join([str(failure), repr(failure), repr(failure.details), repr(vars(failure))])
    assert SECRET not in told + "".join(traceback.format_exception(failure))


KNOWN: list[tuple[BaseException, str, bool]] = [
    (HostUnavailable("away", "The machine is away."), "HostUnavailable", False),
    (HostRefused("locked", "The panel protects it."), "HostRefused", True),
    (MailDeferred(server="mx:25", stage="data", code=451), "MailDeferred", False),
    (MailMisconfigured(server="mx:25", stage="auth"), "MailMisconfigured", False),
    (Unauthorised("there is no plan change x"), "Unauthorised", True),
]


@pytest.mark.parametrize(("error", "kind", "final"), KNOWN, ids=[kind for _, kind, _ in KNOWN])
async def test_our_own_words_reach_the_operator(error: BaseException, kind: str, final: bool) -> None:
    failure = await failure_of(error)
    assert (failure.type, failure.non_retryable) == (kind, final)
    assert str(error) in str(failure)
    assert_clean(failure)


async def test_only_a_misconfigured_mail_is_tried_slowly() -> None:
    pauses = {kind: (await failure_of(error)).next_retry_delay for error, kind, _ in KNOWN}
    assert pauses.pop("MailMisconfigured") == timedelta(minutes=1)
    assert set(pauses.values()) == {None}


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(111, SECRET),
        TimeoutError(SECRET),
        OSError(SECRET),
        OperationalError("SELECT :email", {"email": SECRET}, OSError(SECRET), hide_parameters=True),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_database_that_is_away_is_no_defect(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    failure = await failure_of(error)
    assert (failure.type, failure.non_retryable) == ("DatabaseUnavailable", False)
    assert f"({condition(error)})" in str(failure)
    assert_clean(failure)
    assert SECRET not in caplog.text


@pytest.mark.parametrize("error", [ValueError(SECRET), KeyError(SECRET), AssertionError(SECRET)])
async def test_a_defect_says_where_and_not_with_what(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        failure = await failure_of(error)
    assert (failure.type, failure.non_retryable) == ("Defect", False)
    assert str(failure) == f"Defect: a defect in act: {type(error).__name__}; see the worker's log"
    assert_clean(failure)
    assert "test_failures.py" in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (HostUnavailable("away", "The machine is away."), ("earlier", True)),
        (FailedKnowing(OperationalError(None, None, OSError()), "now", False), ("now", False)),
    ],
)
async def test_a_failure_tells_whoever_goes_on_what_this_attempt_or_the_one_before_left(
    error: Exception, told: tuple[str, bool]
) -> None:
    """A run whose activity has no time for another attempt hears no heartbeat, only the failure."""
    with pytest.raises(ApplicationError) as caught:
        await run(Activities(error).act, SECRET, heard=("earlier", True))
    assert tuple(caught.value.details) == told
    assert_clean(caught.value)


async def test_a_cancellation_stays_one_and_carries_nothing_along() -> None:
    with pytest.raises(asyncio.CancelledError) as caught:
        await Activities(asyncio.CancelledError(SECRET)).act(SECRET)
    assert caught.value.__context__ is None
    assert caught.value.args == ()


async def test_an_answer_is_passed_on() -> None:
    class Calm:
        @classified
        async def act(self, order: str) -> str:
            return order.upper()

    assert await Calm().act("yes") == "YES"


class OnDatabase:
    def __init__(self, database: Database) -> None:
        self._database = database

    @classified
    async def add_again(self, account_id: str) -> None:
        row = {"id": account_id, "email": SECRET, "language": "fr", "created_at": T0}
        await add_rows(self._database, tables.accounts, row)

    @classified
    async def look(self, _order: str) -> Any:
        async with self._database.read() as connection:
            return await connection.execute(text("SELECT 1"))


async def test_sql_parameters_reach_neither_history_nor_log(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    account_id = await add_account(database)
    with pytest.raises(ApplicationError) as caught:
        await OnDatabase(database).add_again(account_id)
    assert caught.value.type == "DatabaseUnavailable"
    assert_clean(caught.value)
    assert SECRET not in caplog.text
    assert account_id not in str(caught.value)


async def test_a_postgresql_that_is_not_there_is_unavailable(postgres: Postgres) -> None:
    for url in (postgres.url("no_such_database"), "postgresql+asyncpg://changeover@127.0.0.1:1/none"):
        away = Database(url)
        with pytest.raises(ApplicationError) as caught:
            await OnDatabase(away).look("")
        assert caught.value.type == "DatabaseUnavailable"
        assert_clean(caught.value)
        await away.close()


async def test_an_sqlite_file_that_can_not_be_opened_is_unavailable(tmp_path: Any) -> None:
    away = Database(f"sqlite+aiosqlite:///{tmp_path}/no/such/folder/changeover.db")
    with pytest.raises(ApplicationError) as caught:
        await OnDatabase(away).look("")
    assert caught.value.type == "DatabaseUnavailable"
    await away.close()
