"""Whether the process lives, and whether it can be sent requests."""

import asyncio
from datetime import timedelta
from typing import Final

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import Client
from temporalio.service import RPCError

from changeover.storage import schema
from changeover.storage.database import Database
from starter.api.answers import shown
from starter.engine import connect_to_temporal

_PATIENCE: Final = timedelta(seconds=1)

router = APIRouter(tags=["health"])


class ReadyAnswer(BaseModel):
    model_config = shown({"ready": True, "database": "ok", "schema": "ok", "temporal": "away"})
    ready: bool
    database: str = Field(description="ok or away.")
    schema_: str = Field(alias="schema", description="ok, or other than this release's.")
    temporal: str = Field(description="ok or away; what only looks works without it.")


class LiveAnswer(BaseModel):
    model_config = shown({"live": True})
    live: bool


class Readiness:
    """Looks at what the process needs. Temporal is reported only: what is shown works without it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._expected = schema.expected_revision()
        self._temporal: Client | None = None

    async def look(self) -> ReadyAnswer:
        revision, temporal = await asyncio.gather(self._revision(), self._temporal_answers())
        known = revision == self._expected
        return ReadyAnswer(
            ready=known,
            database="ok" if revision is not None else "away",
            schema="ok" if known else f"{revision or 'unknown'}, not {self._expected}",
            temporal="ok" if temporal else "away",
        )

    async def _revision(self) -> str | None:
        try:
            async with asyncio.timeout(_PATIENCE.total_seconds()), self._database.read() as connection:
                found = await connection.execute(text("SELECT version_num FROM alembic_version"))
                return str(found.scalar_one())
        except (SQLAlchemyError, OSError):
            return None

    async def _temporal_answers(self) -> bool:
        try:
            async with asyncio.timeout(_PATIENCE.total_seconds()):
                self._temporal = self._temporal or await connect_to_temporal(lazy=True)
                return await self._temporal.service_client.check_health(timeout=_PATIENCE)
        except (RPCError, RuntimeError, OSError):
            return False


@router.get("/livez", summary="Does the process answer?")
async def livez() -> LiveAnswer:
    return LiveAnswer(live=True)


@router.get(
    "/readyz",
    summary="Can it be sent requests? 200 or 503",
    response_model=ReadyAnswer,
    responses={503: {"model": ReadyAnswer, "description": "The database is away, or of another release."}},
)
async def readyz(request: Request, response: Response) -> ReadyAnswer:
    found = await request.app.state.readiness.look()
    response.status_code = 200 if found.ready else 503
    return ReadyAnswer.model_validate(found)


@router.get(
    "/metrics",
    summary="Figures for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(request: Request) -> Response:
    return Response(request.app.state.metrics.text(), media_type=CONTENT_TYPE_LATEST)
