"""One running system for all of the runbook: what `changeover up` keeps, with more customers."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest

from tests.e2e.running import Up, running_up
from tests.operations.field import Field, opened

CUSTOMERS = 60


@pytest.fixture(scope="package")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with running_up(tmp_path_factory.mktemp("operations") / "up") as up:
        seeded = up.run("seed", "--accounts", str(CUSTOMERS), account=None)
        assert seeded.returncode == 0, seeded.stderr
        yield up


@pytest.fixture(scope="package")
async def field(up: Up) -> AsyncIterator[Field]:
    async with AsyncExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:  # not for longer: tests of other parts read it, too
            for name, value in up.settings().items():
                patch.setenv(name, value)
            field = await stack.enter_async_context(opened(up))
        yield field
