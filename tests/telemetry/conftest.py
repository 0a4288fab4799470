from tests.activities.conftest import house, house_on, inbox
from tests.storage.databases import (
    database,
    database_url,
    empty_url,
    postgres_database,
    server,
    sqlite_database,
)

__all__ = [
    "database",
    "database_url",
    "empty_url",
    "house",
    "house_on",
    "inbox",
    "postgres_database",
    "server",
    "sqlite_database",
]
