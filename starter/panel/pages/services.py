"""What a customer has: services, servers and their marks, history, renewals."""

from urllib.parse import urlencode

from starlette.responses import Response

from changeover.domain import problems
from changeover.domain.problems import Problem
from starter.panel.forms import Chosen, Fields, first, new_key, posted, queried, whole
from starter.panel.names import Names
from starter.panel.troubles import Trouble, plainly, status_of
from starter.panel.visit import Visit
from starter.views import ServiceView
from starter.writes import MOST_DAYS

_USUAL_DAYS = 30


def kept(service: ServiceView) -> int:
    """Return how many servers the present marks leave."""
    return sum(server.state in {"active", "creating"} for server in service.servers)


async def services(visit: Visit) -> Response:
    return visit.page("services.html", services=await visit.plans.services(visit.customer))


async def service(visit: Visit) -> Response:
    return await _service_page(visit, [])


async def _service_page(visit: Visit, refusals: list[Problem]) -> Response:
    service_id = visit.id("service_id")
    found = await visit.plans.service(visit.customer, service_id)
    offers = await visit.plans.offers(visit.customer, service_id)
    troubles = [plainly(visit, refusal) for refusal in refusals]
    return visit.page(
        "service.html",
        status=status_of(refusals[0]) if refusals else 200,
        here=visit.url("service", service_id=service_id),
        service=found,
        names=Names(offers, visit.texts.language),
        marked=[server for server in found.servers if server.state == "marked"],
        troubles=troubles,
        failed=bool(troubles),
        notice=visit.notice,
    )


async def mark(visit: Visit) -> Response:
    return await _set_mark(visit, marked=True)


async def unmark(visit: Visit) -> Response:
    return await _set_mark(visit, marked=False)


async def _set_mark(visit: Visit, *, marked: bool) -> Response:
    """Set or take back a mark, then go back to where the button was."""
    service_id, server_id = visit.id("service_id"), visit.id("server_id")
    fields = await posted(visit.request)
    act = visit.plans.mark if marked else visit.plans.unmark
    try:
        await act(visit.customer, service_id, server_id)
    except (problems.ChangeClosed, problems.ChangeInProgress) as refusal:
        return await _service_page(visit, [refusal])
    if "offer" in fields:
        return visit.go(f"{await _editor(visit, service_id, fields, follow_marks=True)}#servers")
    return visit.go(f"{visit.url('service', service_id=service_id)}#servers")


async def _editor(visit: Visit, service_id: str, fields: Fields, *, follow_marks: bool) -> str:
    """Return the address of the editor as it was left, with as many servers as the marks leave."""
    found = await visit.plans.service(visit.customer, service_id)
    offers = await visit.plans.offers(visit.customer, service_id)
    left = kept(found)
    chosen = Chosen.read(fields, found.configuration, left, offers)
    if follow_marks and left:
        chosen = chosen.with_servers(left)
    return f"{visit.url('editor', service_id=service_id)}?{chosen.query}"


async def history(visit: Visit) -> Response:
    service_id = visit.id("service_id")
    found = await visit.plans.service(visit.customer, service_id)
    changes = await visit.plans.history(visit.customer, service_id)
    offers = await visit.plans.offers(visit.customer, service_id)
    return visit.page(
        "history.html",
        service=found,
        changes=changes,
        names=Names(offers, visit.texts.language),
        expired=found.expires_at <= visit.now,
    )


async def renew_page(visit: Visit) -> Response:
    return await _renew_page(visit, queried(visit.request))


async def _renew_page(visit: Visit, fields: Fields, trouble: Trouble | None = None) -> Response:
    found = await visit.plans.service(visit.customer, visit.id("service_id"))
    then = [(name, value) for name in _CARRIED for value in fields.get(name, ())]
    return visit.page(
        "renew.html",
        status=422 if trouble else 200,
        service=found,
        days=first(fields, "days", str(_USUAL_DAYS)),
        most=MOST_DAYS,
        key=new_key(),
        carried=then,
        back=_after_renewal(visit, found.id, fields, renewed=False),
        trouble=trouble,
        failed=trouble is not None,
    )


_CARRIED = ("then", "offer", "slots", "options", "server_count")


async def renew(visit: Visit) -> Response:
    service_id = visit.id("service_id")
    fields = await posted(visit.request)
    days = whole(fields, "days", 0)
    try:
        await visit.plans.renew(visit.customer, service_id, days, idempotency_key=first(fields, "key"))
    except (problems.RequestInvalid, problems.IdempotencyKeyReused) as refusal:
        return await _renew_page(visit, fields, plainly(visit, refusal))
    return visit.go(_after_renewal(visit, service_id, fields, renewed=True))


def _after_renewal(visit: Visit, service_id: str, fields: Fields, *, renewed: bool) -> str:
    """Return where a renewal leads: back to the change that needed it, or to the service."""
    notice = [("notice", "renewed")] if renewed else []
    if first(fields, "then") != "change":
        query = f"?{urlencode(notice)}" if notice else ""
        return visit.url("service", service_id=service_id) + query
    carried = [(name, value) for name in _CARRIED[1:] for value in fields.get(name, ())]
    return f"{visit.url('editor', service_id=service_id)}?{urlencode([*carried, *notice])}"
