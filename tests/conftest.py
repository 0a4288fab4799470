"""Fixtures that tests of every area share."""

from collections.abc import Iterator

import pytest

from tests.support.postgres import Postgres, find_binaries, running_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The session's PostgreSQL: make a database of your own in it, and leave the server up."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL here: its server binaries are missing (apt-get install postgresql)")
    with running_postgres(binaries) as server:
        yield server
