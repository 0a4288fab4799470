"""pytest made cheap enough for thousands of runs. It may notice less for that, never more.

No test that needs PostgreSQL: a server for each run would take hours. Few examples from hypothesis, and none
made simpler: that a test fails is all that is asked. No test's folder outlives it.
"""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings

FEWER = settings(
    deadline=None,
    derandomize=True,
    max_examples=25,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
"""For every test that has examples, also for those that ask for more."""


def needs_postgres(item: pytest.Item) -> bool:
    return "postgres" in getattr(item, "fixturenames", ()) or "[postgresql" in item.name


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    away = [item for item in items if needs_postgres(item)]
    items[:] = [item for item in items if not needs_postgres(item)]
    config.hook.pytest_deselected(items=away)
    for item in items:
        test: Any = getattr(item, "obj", None)
        if getattr(test, "is_hypothesis_test", False):
            test._hypothesis_internal_use_settings = FEWER


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    yield
    folder = getattr(item, "funcargs", {}).get("tmp_path")
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
