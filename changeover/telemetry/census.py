"""The database's state as gauges. The API exports them and workers don't: they are the same from everywhere.

Several APIs give the same figures: take `max`, never `sum`, over them.
"""

import asyncio
import time
from datetime import UTC, datetime
from typing import Final

from prometheus_client import CollectorRegistry, Gauge
from sqlalchemy.exc import SQLAlchemyError

from changeover.storage.census import Census, take_census
from changeover.storage.database import Database

FRESH_SECONDS: Final = 5.0
_PATIENCE_SECONDS: Final = 5.0


class CensusFigures:
    """The gauges. `look` counts anew, at most every five seconds however many ask."""

    def __init__(self, database: Database, registry: CollectorRegistry) -> None:
        self._database = database
        self._lock = asyncio.Lock()
        self._looked_at = -FRESH_SECONDS

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"changeover_{name}", text, labels, registry=registry)

        self._open = gauge("open_changes", "Open changes, by stage.", "stage")
        self._overdue = gauge(
            "overdue_changes", "Changes that await a code although their window is over: nobody closed them."
        )
        self._attention = gauge(
            "oldest_attention_seconds",
            "Age of the trouble that has waited longest for an operator; 0 without.",
        )
        self._teardowns = gauge("unfinished_teardowns", "Teardowns that are not done.")
        self._step = gauge(
            "oldest_teardown_step_seconds",
            "Age of the oldest teardown step that is not done; 0 without.",
        )
        self._findings = gauge("findings", "What the reconciler found and nobody has healed.", "kind")
        self._addresses = gauge("addresses", "Addresses: free, quarantined, held or assigned.", "state")
        self._counted_at = gauge(
            "census_timestamp_seconds", "When the gauges of the database's state were last read (Unix time)."
        )

    async def look(self) -> None:
        """Count anew if it is time. When the database doesn't answer the figures stay; their time says so."""
        async with self._lock:
            if time.monotonic() - self._looked_at < FRESH_SECONDS:
                return
            now = datetime.now(UTC)
            try:
                async with asyncio.timeout(_PATIENCE_SECONDS), self._database.read() as connection:
                    census = await take_census(connection, now)
            except (SQLAlchemyError, OSError):  # TimeoutError is an OSError
                return
            self._looked_at = time.monotonic()
            self._show(census, now)

    def _show(self, census: Census, now: datetime) -> None:
        for stage, changes in census.open_changes.items():
            self._open.labels(stage).set(changes)
        for state, addresses in census.addresses.items():
            self._addresses.labels(state).set(addresses)
        self._findings.clear()
        for kind, findings in census.findings.items():
            self._findings.labels(kind).set(findings)
        self._overdue.set(census.overdue)
        self._attention.set(_seconds(census.attention_since, now))
        self._teardowns.set(census.unfinished_teardowns)
        self._step.set(_seconds(census.teardown_step_since, now))
        self._counted_at.set(now.timestamp())


def _seconds(since: datetime | None, now: datetime) -> float:
    return 0.0 if since is None else max(0.0, (now - since).total_seconds())
