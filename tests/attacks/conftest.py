"""The systems that are attacked: those of the other tests, since an attack needs a real one."""

from tests.activities.conftest import (
    database,
    database_url,
    empty_url,
    house,
    inbox,
    postgres_database,
    server,
    sqlite_database,
)
from tests.starter.api.conftest import api
from tests.starter.conftest import _template, seeded
from tests.starter.panel.conftest import alice, panels
from tests.workflows.conftest import template, world

__all__ = [
    "_template",
    "alice",
    "api",
    "database",
    "database_url",
    "empty_url",
    "house",
    "inbox",
    "panels",
    "postgres_database",
    "seeded",
    "server",
    "sqlite_database",
    "template",
    "world",
]
