from collections.abc import AsyncIterator

import pytest

from tests.faults.system import POSTGRESQL, SQLITE, FaultySystem, running_system
from tests.support.postgres import binaries_or_skip


@pytest.fixture(scope="session")
async def on_sqlite() -> AsyncIterator[FaultySystem]:
    async with running_system(SQLITE) as system:
        yield system


@pytest.fixture(scope="session")
async def on_postgresql() -> AsyncIterator[FaultySystem]:
    binaries_or_skip()
    async with running_system(POSTGRESQL) as system:
        yield system


@pytest.fixture
def system(request: pytest.FixtureRequest) -> FaultySystem:
    """The system on the database that the test names."""
    found: FaultySystem = request.getfixturevalue(f"on_{request.param}")
    return found
