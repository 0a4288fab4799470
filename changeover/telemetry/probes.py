"""Whether a process can work: what it needs, each looked at for a second at most."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Gauge
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from changeover.storage import schema
from changeover.storage.database import Database

_PATIENCE_SECONDS: Final = 1.0


@dataclass(frozen=True, kw_only=True)
class Look:
    """What was found: `ok`, or what is wrong, by part."""

    ready: bool
    parts: dict[str, str]


class Probes:
    """The looks of one process.

    `temporal` says whether Temporal answers; a process that works without it reports it only. `serving` says
    `ok`, or why a worker takes no work.
    """

    def __init__(
        self,
        database: Database,
        registry: CollectorRegistry,
        temporal: Callable[[], Awaitable[bool]],
        *,
        needs_temporal: bool,
        serving: Callable[[], str] | None = None,
    ) -> None:
        self._database = database
        self._temporal = temporal
        self._serving = serving
        self._expected = schema.expected_revision()
        self._optional = frozenset() if needs_temporal else frozenset({"temporal"})
        self._gauge = Gauge(
            "changeover_ready",
            "Whether a part that the process needs is well: 1 or 0.",
            ["part"],
            registry=registry,
        )

    async def look(self) -> Look:
        revision, temporal = await asyncio.gather(self._revision(), self._temporal())
        known = schema.suits(revision, self._expected)
        parts = {
            "database": "ok" if revision is not None else "away",
            "schema": "ok" if known else f"{revision or 'unknown'}, not {self._expected}",
            "temporal": "ok" if temporal else "away",
        }
        if self._serving is not None:
            parts["workers"] = self._serving()
        for part, found in parts.items():
            self._gauge.labels(part).set(found == "ok")
        needed = parts.keys() - self._optional
        return Look(ready=all(parts[part] == "ok" for part in needed), parts=parts)

    async def _revision(self) -> str | None:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS), self._database.read() as connection:
                found = await connection.execute(text("SELECT version_num FROM alembic_version"))
                return str(found.scalar_one())
        except (SQLAlchemyError, OSError):  # TimeoutError is an OSError
            return None
