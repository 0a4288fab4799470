"""A database that doesn't answer: which errors say so, and how whoever serves pages or the API tells it."""

import logging
from typing import Final

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from changeover.storage.database import condition

DATABASE_AWAY: Final = (OperationalError, InterfaceError, PoolTimeout, ConnectionError)
RETRY_SECONDS: Final = 5
"""After so long the same may be tried again."""


def log_away(log: logging.Logger, error: Exception) -> None:
    """Say it to operators, without the error's own text, which may hold what was to be written."""
    log.warning("the database does not answer: %s", condition(error))
