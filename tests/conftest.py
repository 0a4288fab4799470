"""Fixtures that tests of every area share."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from temporalio.testing import WorkflowEnvironment

from tests.support.parallel import ByFile, in_order
from tests.support.postgres import Postgres, binaries_or_skip, running_postgres
from tests.support.temporal import running_temporal


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    config.option.loadscopereorder = False  # the order is `in_order`'s
    return ByFile(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):  # one of several: alone, the quickest come first
        items[:] = in_order(items)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The session's PostgreSQL: make a database of your own in it, and leave the server up."""
    with running_postgres(binaries_or_skip()) as server:
        yield server


@pytest.fixture(scope="session")
async def temporal() -> AsyncIterator[WorkflowEnvironment]:
    """The session's Temporal server: use a task queue and a service of your own in it."""
    async with running_temporal() as environment:
        yield environment
