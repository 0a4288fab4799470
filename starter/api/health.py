"""Whether the process lives, and whether it can be sent requests."""

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field
from temporalio.client import Client

from starter.api.answers import shown
from starter.engine import connect_to_temporal, temporal_answers

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


class TemporalProbe:
    """Asks whether Temporal answers, over a connection of its own."""

    def __init__(self) -> None:
        self._client: Client | None = None

    async def __call__(self) -> bool:
        self._client = self._client or await connect_to_temporal(lazy=True)
        return await temporal_answers(self._client)


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
    found = await request.app.state.probes.look()
    response.status_code = 200 if found.ready else 503
    return ReadyAnswer(ready=found.ready, **found.parts)


@router.get(
    "/metrics",
    summary="Figures for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(request: Request) -> Response:
    await request.app.state.probes.look()
    await request.app.state.census.look()
    return Response(request.app.state.metrics.text(), media_type=CONTENT_TYPE_LATEST)
