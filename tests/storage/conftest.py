from tests.storage.databases import (
    database,
    database_url,
    empty_url,
    postgres_database,
    server,
    sqlite_database,
)

__all__ = ["database", "database_url", "empty_url", "postgres_database", "server", "sqlite_database"]
