"""pytest without what needs PostgreSQL: a server for each of hundreds of runs would take hours."""

import pytest


def needs_postgres(item: pytest.Item) -> bool:
    return "postgres" in getattr(item, "fixturenames", ()) or "[postgresql" in item.name


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    away = [item for item in items if needs_postgres(item)]
    items[:] = [item for item in items if not needs_postgres(item)]
    config.hook.pytest_deselected(items=away)
