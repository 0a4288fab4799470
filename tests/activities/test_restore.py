"""A database restored to an older point, while the rest went on: only what it orders is done."""

import sqlite3
import subprocess
from pathlib import Path

import pytest
from sqlalchemy import make_url
from temporalio.exceptions import ApplicationError

from changeover.domain.catalogue import Configuration
from tests.activities.house import House, run
from tests.storage.rows import T0
from workflows.messages import ChangeAt, HostOrder


class Backup:
    """What docs/operations/backup.md says, for the database at `url`."""

    def __init__(self, url: str, file: Path) -> None:
        self._url = make_url(url)
        self._file = file
        self._plain = str(self._url.set(drivername="postgresql"))

    def take(self) -> None:
        if self._url.get_backend_name() == "sqlite":
            _copy(str(self._url.database), str(self._file))
        else:
            self._run("pg_dump", "--format=custom", f"--file={self._file}", self._plain)

    def restore(self) -> None:
        if self._url.get_backend_name() == "sqlite":
            _copy(str(self._file), str(self._url.database))
            return
        server = str(self._url.set(drivername="postgresql", database="postgres"))
        self._run("psql", "-X", "-q", "-c", f'DROP DATABASE "{self._url.database}" WITH (FORCE)', server)
        self._run("psql", "-X", "-q", "-c", f'CREATE DATABASE "{self._url.database}"', server)
        self._run("pg_restore", "--exit-on-error", f"--dbname={self._plain}", str(self._file))

    @staticmethod
    def _run(*command: str) -> None:
        subprocess.run(command, check=True, capture_output=True, text=True)


def _copy(source: str, target: str) -> None:
    old, new = sqlite3.connect(source), sqlite3.connect(target)
    with old, new:
        old.backup(new)
    old.close()
    new.close()


WANTED = Configuration.of("blocks", 24, (), 2)


async def test_what_the_restored_database_does_not_order_is_not_done(
    house: House, database_url: str, tmp_path: Path
) -> None:
    rented = await house.rent(marked=1)
    await house.put_on_host(rented)
    doomed = rented.servers[-1]
    change_id = await house.awaiting(rented, WANTED)
    right = await house.right_proof(change_id)
    backup = Backup(database_url, tmp_path / "backup")
    backup.take()

    # It goes on: the change is committed. Then the commit is lost.
    assert (await house.confirm(change_id)).judgement == "accepted"
    committed = await house.service_row(rented)
    await house.database.close()
    backup.restore()

    # The run that remembers the commit orders what the database doesn't know.
    before = await house.service_row(rented)
    assert await house.tear_down(change_id, doomed) == "refused"
    with pytest.raises(ApplicationError) as refused:
        await run(house.servers.apply_limits, HostOrder(change_id=change_id))
    assert refused.value.type == "Unauthorised"
    with pytest.raises(ApplicationError):
        await run(house.transactions.complete_change, ChangeAt(change_id=change_id, at=T0))
    assert await house.found(doomed) is not None
    assert await house.service_row(rented) == before

    # The same code, typed again, commits it once, to what was confirmed.
    for _ in range(2):
        assert (await house.judge(change_id, right)).judgement == "accepted"
    assert await house.service_row(rented) == committed
    assert (await house.events(change_id)).count("committed") == 1
    assert await house.tear_down(change_id, doomed) == "destroyed"
    assert await house.found(doomed) is None
