"""Routes under `/v1/plan-changes`, and the link that hands a customer over to the panel."""

import json
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Final

from fastapi import APIRouter, Path, Request, Response

from starter.api import bodies, described, examples
from starter.api.answers import PanelLinkAnswer
from starter.api.caller import known_id
from starter.api.change_answers import CancelledAnswer, ChangeAnswer, CodeStateAnswer, ConfirmedAnswer
from starter.api.links import make_link
from starter.api.services import Called
from starter.plan_changes import PlanChanges

router = APIRouter(tags=["plan changes"])

_CHANGE: Final = "/v1/plan-changes/{change_id}"
ChangeId = Annotated[str, Path(description="A change of the customer.", examples=[examples.CHANGE_ID])]
_STREAM: Final = f"id: 4711\nevent: committed\ndata: {json.dumps(examples.TIMELINE_ENTRY)}\n\n"


def _plans(request: Request) -> PlanChanges:
    plans: PlanChanges = request.app.state.plans
    return plans


@router.get(
    _CHANGE,
    summary="A change with its timeline and receipts",
    responses=described.problems(),
    openapi_extra=described.takes(),
)
async def status(request: Request, caller: Called, change_id: ChangeId) -> ChangeAnswer:
    found = await _plans(request).status(caller.account_id, known_id(change_id, "plan change"))
    return ChangeAnswer.of(found)


@router.get(
    _CHANGE + "/events",
    summary="Its timeline as server-sent events, until it is closed",
    description="`id` is the entry's `seq`, `event` its event, `data` the entry as JSON. A stream ends after "
    "the closing entry, or after ten minutes; come back with `Last-Event-ID`.",
    response_class=Response,
    responses={
        200: {
            "description": "The stream.",
            "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _STREAM}},
        },
        204: {"description": "The change is closed and nothing stands behind `Last-Event-ID`."},
        **described.problems(),
    },
    openapi_extra=described.takes(None, described.LAST_EVENT_ID),
)
async def events(request: Request, caller: Called, change_id: ChangeId) -> Response:
    mine = caller.account_id, known_id(change_id, "plan change")
    after = bodies.last_event_id(request)
    answer: Response = await request.app.state.events.answer(*mine, after)
    return answer


@router.post(
    _CHANGE + "/code",
    summary="Confirm the change with the mailed code; the accepted code may be sent again",
    responses=described.problems("code-wrong", "code-expired", "code-locked", "change-closed"),
    openapi_extra=described.takes(bodies.CodeBody),
)
async def code(request: Request, caller: Called, change_id: ChangeId) -> ConfirmedAnswer:
    plans, mine = _plans(request), (caller.account_id, known_id(change_id, "plan change"))
    body = await bodies.read(request, bodies.CodeBody, unless=partial(plans.status, *mine))
    return ConfirmedAnswer.of(await plans.submit_code(*mine, body.code))


@router.post(
    _CHANGE + "/code/resend",
    summary="Have a new code mailed; it voids the one before",
    status_code=202,
    responses=described.problems("resend-too-soon", "resend-limit", "change-closed"),
    openapi_extra=described.takes(bodies.EmptyBody),
)
async def resend(request: Request, caller: Called, change_id: ChangeId) -> CodeStateAnswer:
    plans, mine = _plans(request), (caller.account_id, known_id(change_id, "plan change"))
    await bodies.read(request, bodies.EmptyBody, unless=partial(plans.status, *mine))
    return CodeStateAnswer.after(await plans.resend_code(*mine))


@router.post(
    _CHANGE + "/cancel",
    summary="Give the change up before it is confirmed; also the second time",
    responses=described.problems("change-closed"),
    openapi_extra=described.takes(bodies.EmptyBody),
)
async def cancel(request: Request, caller: Called, change_id: ChangeId) -> CancelledAnswer:
    plans, mine = _plans(request), (caller.account_id, known_id(change_id, "plan change"))
    await bodies.read(request, bodies.EmptyBody, unless=partial(plans.status, *mine))
    return CancelledAnswer.of(await plans.cancel(*mine))


@router.post(
    "/v1/panel-links",
    summary="Make a one-time link that hands the customer over to the panel; valid for 60 s",
    status_code=201,
    responses=described.problems(),
    openapi_extra=described.takes(bodies.EmptyBody),
    tags=["panel"],
)
async def panel_link(request: Request, caller: Called) -> PanelLinkAnswer:
    await bodies.read(request, bodies.EmptyBody, unless=caller.account)
    account = await caller.account()
    panel_url = request.app.state.settings.panel_url or f"{request.base_url}panel"
    made = await make_link(_plans(request).database, account.id, panel_url, datetime.now(UTC))
    return PanelLinkAnswer(url=made.url, expires_at=made.expires_at)
