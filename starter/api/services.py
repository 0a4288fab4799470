"""Routes under `/v1/services`: looking, marking, quoting, confirming, renewing."""

from functools import partial
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Request, Response

from starter.api import bodies, described, examples
from starter.api.answers import (
    OfferAnswer,
    QuoteAnswer,
    RenewedAnswer,
    ServiceAnswer,
)
from starter.api.caller import Caller, authenticated, known_id, texts_of_refusal
from starter.api.change_answers import HistoryEntryAnswer, RequestedAnswer
from starter.plan_changes import PlanChanges

router = APIRouter(tags=["services"])

_SERVICE: Final = "/v1/services/{service_id}"
_MARK: Final = _SERVICE + "/servers/{server_id}/deletion-mark"
Called = Annotated[Caller, Depends(authenticated)]
ServiceId = Annotated[str, Path(description="A service of the customer.", examples=[examples.SERVICE_ID])]
ServerId = Annotated[str, Path(description="A server of the service.", examples=[examples.SERVER_ID])]
_MARKED: Final[dict[int | str, dict[str, Any]]] = {204: {"description": "It is so now, or was already."}}


def _plans(request: Request) -> PlanChanges:
    plans: PlanChanges = request.app.state.plans
    return plans


@router.get(
    "/v1/services",
    summary="What the customer rents",
    responses=described.problems(),
    openapi_extra=described.takes(),
)
async def services(request: Request, caller: Called) -> list[ServiceAnswer]:
    account = await caller.account()
    return [ServiceAnswer.of(view) for view in await _plans(request).services(account.id)]


@router.get(
    _SERVICE,
    summary="A service with its servers",
    responses=described.problems(),
    openapi_extra=described.takes(),
)
async def service(request: Request, caller: Called, service_id: ServiceId) -> ServiceAnswer:
    account_id = caller.account_id
    return ServiceAnswer.of(await _plans(request).service(account_id, known_id(service_id, "service")))


@router.get(
    _SERVICE + "/offers",
    summary="What it can change to",
    responses=described.problems(),
    openapi_extra=described.takes(),
)
async def offers(request: Request, caller: Called, service_id: ServiceId) -> list[OfferAnswer]:
    found = await _plans(request).offers(caller.account_id, known_id(service_id, "service"))
    language = (await texts_of_refusal(request)).language
    return [OfferAnswer.of(view, language) for view in found]


@router.put(
    _MARK,
    summary="Mark a server for deletion; nothing is destroyed before a change is confirmed",
    status_code=204,
    response_class=Response,
    responses={**_MARKED, **described.problems("change-closed", "change-in-progress")},
    openapi_extra=described.takes(),
)
async def mark(request: Request, caller: Called, service_id: ServiceId, server_id: ServerId) -> Response:
    ids = known_id(service_id, "server"), known_id(server_id, "server")
    await _plans(request).mark(caller.account_id, *ids)
    return Response(status_code=204)


@router.delete(
    _MARK,
    summary="Take the mark back",
    status_code=204,
    response_class=Response,
    responses={**_MARKED, **described.problems("change-closed", "change-in-progress")},
    openapi_extra=described.takes(),
)
async def unmark(request: Request, caller: Called, service_id: ServiceId, server_id: ServerId) -> Response:
    ids = known_id(service_id, "server"), known_id(server_id, "server")
    await _plans(request).unmark(caller.account_id, *ids)
    return Response(status_code=204)


@router.post(
    _SERVICE + "/quotes",
    summary="What a change would do, worked out without changing anything",
    responses=described.problems(),
    openapi_extra=described.takes(bodies.QuoteBody),
)
async def quote(request: Request, caller: Called, service_id: ServiceId) -> QuoteAnswer:
    plans, mine = _plans(request), (caller.account_id, known_id(service_id, "service"))
    body = await bodies.read(request, bodies.QuoteBody, unless=partial(plans.service, *mine))
    quote = await plans.quote(*mine, body.configuration.wanted())
    return QuoteAnswer.of(quote, await texts_of_refusal(request))


@router.post(
    _SERVICE + "/plan-changes",
    summary="Confirm a quote: the change is opened and its code is mailed",
    description="Judged in this order: 401, key missing, 404, body, blockers (the first is the problem, all "
    "stand in `blockers`), `quote-stale`, `acknowledgement-missing`.",
    status_code=201,
    responses={
        201: {"headers": {"Location": {"description": "The change.", "schema": {"type": "string"}}}},
        **described.problems(
            *described.ALL_BLOCKERS,
            "quote-stale",
            "acknowledgement-missing",
            "idempotency-key-missing",
            "idempotency-key-reused",
        ),
    },
    openapi_extra=described.takes(bodies.ConfirmBody, described.KEY),
)
async def confirm(
    request: Request, response: Response, caller: Called, service_id: ServiceId
) -> RequestedAnswer:
    plans, key = _plans(request), bodies.idempotency_key(request)
    mine = caller.account_id, known_id(service_id, "service")
    body = await bodies.read(request, bodies.ConfirmBody, unless=partial(plans.service, *mine))
    requested = await plans.request(
        *mine,
        body.configuration.wanted(),
        digest=body.digest or "",
        acknowledge=body.acknowledge.given(),
        idempotency_key=key,
    )
    response.headers["Location"] = f"/v1/plan-changes/{requested.id}"
    return RequestedAnswer.of(requested)


@router.get(
    _SERVICE + "/plan-changes",
    summary="The changes of a service, newest first; none while it is expired",
    responses=described.problems(),
    openapi_extra=described.takes(),
)
async def history(request: Request, caller: Called, service_id: ServiceId) -> list[HistoryEntryAnswer]:
    found = await _plans(request).history(caller.account_id, known_id(service_id, "service"))
    return [HistoryEntryAnswer.of(view) for view in found]


@router.post(
    _SERVICE + "/renewals",
    summary="Add days to the later of now and the expiry",
    status_code=201,
    responses=described.problems("idempotency-key-missing", "idempotency-key-reused"),
    openapi_extra=described.takes(bodies.RenewalBody, described.KEY),
)
async def renew(request: Request, caller: Called, service_id: ServiceId) -> RenewedAnswer:
    plans, key = _plans(request), bodies.idempotency_key(request)
    mine = caller.account_id, known_id(service_id, "service")
    body = await bodies.read(request, bodies.RenewalBody, unless=partial(plans.service, *mine))
    renewed = await plans.renew(*mine, body.days, idempotency_key=key)
    return RenewedAnswer(expires_at=renewed.expires_at)
