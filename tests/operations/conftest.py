"""One running system for all of the runbook: what `changeover up` keeps, with more customers."""

from collections.abc import AsyncIterator, Iterator

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
    with pytest.MonkeyPatch.context() as patch:
        for name, value in up.settings().items():
            patch.setenv(name, value)
        async with opened(up) as field:
            yield field
