"""Coming in and going out: the host's one-time link, or a sample customer where there is one."""

from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.responses import Response

from changeover.domain.catalogue import FLEXI_PLUS
from changeover.domain.problems import NotFound
from starter.panel.forms import first, posted
from starter.panel.phrases import COUNTED, PHRASES
from starter.panel.visit import Visit
from starter.seed import SITUATIONS, STUCK, WAITING, Situation
from starter.texts import Texts
from starter.views import AccountView


@dataclass(frozen=True, kw_only=True)
class DemoCustomer:
    """A sample customer, and the situation that can be tried with it."""

    account: AccountView
    service: str
    situation: str


async def home(visit: Visit) -> Response:
    if visit.account is not None:
        return visit.go(visit.url("services"))
    if visit.parts.demo_accounts:
        return visit.go(visit.url("sign_in"))
    raise HTTPException(401)


async def sign_in_page(visit: Visit) -> Response:
    _only_in_demo(visit)
    return visit.page("sign_in.html", customers=await _customers(visit))


async def sign_in(visit: Visit) -> Response:
    _only_in_demo(visit)
    wanted = first(await posted(visit.request), "account")
    if wanted not in {customer.account.id for customer in await _customers(visit)}:
        raise HTTPException(404)
    return visit.enter(await visit.parts.sessions.open(wanted))


async def enter(visit: Visit) -> Response:
    """Redeem the link that the host's panel sent the customer to; a preview's HEAD doesn't use it up."""
    if visit.request.method != "GET":
        raise HTTPException(405)
    token = await visit.parts.sessions.redeem(visit.request.query_params.get("token", ""))
    if token is None:
        return visit.page("message.html", status=410, heading="link_over", advice="link_over_advice")
    return visit.enter(token)


async def sign_out(visit: Visit) -> Response:
    await visit.parts.sessions.close(visit.request.cookies.get(visit.parts.session_cookie))
    return visit.leave()


def _only_in_demo(visit: Visit) -> None:
    if not visit.parts.demo_accounts:
        raise HTTPException(404)


async def _customers(visit: Visit) -> list[DemoCustomer]:
    """Return the sample customers that are there."""
    found = []
    for situation in SITUATIONS:
        try:
            account = await visit.plans.account(f"{situation.name}@example.com")
        except NotFound:
            continue
        found.append(
            DemoCustomer(
                account=account, service=situation.service, situation=_described(situation, visit.texts)
            )
        )
    return found


def _described(situation: Situation, texts: Texts) -> str:
    """Say what is special about a sample customer."""
    if situation.days < 0:
        return texts.translate(PHRASES["demo_expired"])
    special = [
        *(["demo_paypal"] if situation.paypal else []),
        *(["demo_recent"] if situation.changed_days_ago is not None else []),
        *(["demo_flexi"] if FLEXI_PLUS in situation.options else []),
        *(["demo_pass"] if situation.passes else []),
        *(["demo_marked"] if situation.marked and situation.name != STUCK else []),
        *(["demo_waiting"] if situation.name == WAITING else []),
        *(["demo_stuck"] if situation.name == STUCK else []),
    ]
    days = COUNTED["days_left"](texts, int(situation.days))
    servers = COUNTED["servers"](texts, situation.servers)
    return ", ".join([servers, days, *(texts.translate(PHRASES[phrase]) for phrase in special)])
