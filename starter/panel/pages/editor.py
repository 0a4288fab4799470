"""The change editor: what a change would do, its recap, and the request that confirms it."""

from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from changeover.domain import problems
from changeover.domain.masking import mask_address
from changeover.domain.problems import AcknowledgementMissing, Problem
from changeover.domain.quote import Quote
from starter.panel.forms import (
    RECAP_FIELDS,
    Chosen,
    Fields,
    acknowledged,
    first,
    new_key,
    posted,
    queried,
    slot_numbers,
)
from starter.panel.names import Names
from starter.panel.pages.services import kept
from starter.panel.troubles import Editing, Trouble, plainly, refused, status_of
from starter.panel.visit import Visit
from starter.views import Acknowledgement, OfferView, ServiceView


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A change that is being edited: the service, what was chosen, and what it would do now."""

    visit: Visit
    service: ServiceView
    offers: list[OfferView]
    chosen: Chosen
    quote: Quote

    @classmethod
    async def of(cls, visit: Visit, fields: Fields) -> "Draft":
        service_id = visit.id("service_id")
        service = await visit.plans.service(visit.customer, service_id)
        offers = await visit.plans.offers(visit.customer, service_id)
        chosen = Chosen.read(fields, service.configuration, max(1, kept(service)), offers)
        quote = await visit.plans.quote(visit.customer, service_id, chosen.configuration)
        return cls(visit=visit, service=service, offers=offers, chosen=chosen, quote=quote)

    @property
    def names(self) -> Names:
        return Names(self.offers, self.visit.texts.language)

    def troubles(self, refusals: tuple[Problem, ...]) -> list[Trouble]:
        its = Editing(visit=self.visit, service_id=self.service.id, chosen=self.chosen, names=self.names)
        return its.troubles(refusals)

    def page(self, template: str, *, status: int = 200, **more: Any) -> Response:
        """Render one of the editor's pages, with all that they show."""
        wanted = self.chosen.configuration
        its = next((view for view in self.offers if view.offer.code == wanted.offer), self.offers[0])
        troubles = self.troubles(self.quote.blockers)
        untouched = "offer" not in queried(self.visit.request) and self.visit.request.method == "GET"
        context = {
            "service": self.service,
            "offers": self.offers,
            "present": its,
            "slot_numbers": slot_numbers(its.offer),
            "chosen": self.chosen,
            "wanted": wanted,
            "quote": self.quote,
            "names": self.names,
            "troubles": troubles,
            "about": {trouble.field: trouble for trouble in troubles if trouble.field},
            "untouched": untouched and [it.code for it in troubles] == [problems.NothingChanges.code],
            "notice": self.visit.notice,
        }
        return self.visit.page(template, status=status, **context | more)


async def editor(visit: Visit) -> Response:
    return (await Draft.of(visit, queried(visit.request))).page("editor.html")


async def quote(visit: Visit) -> Response:
    """Return the part of the editor that follows every edit."""
    fields = queried(visit.request)
    draft = await Draft.of(visit, fields)
    switched = first(fields, "shown_offer") != draft.chosen.configuration.offer
    return draft.page("editor_quote.html", switched=switched)


async def recap(visit: Visit) -> Response:
    draft = await Draft.of(visit, queried(visit.request))
    if draft.quote.blockers:
        return draft.page("editor.html", status=409, failed=True, untouched=False)
    return _recap(draft)


def _recap(
    draft: Draft,
    *,
    key: str | None = None,
    ticked: Fields | None = None,
    status: int = 200,
    trouble: Trouble | None = None,
    missing: AcknowledgementMissing | None = None,
) -> Response:
    account = draft.visit.account
    assert account is not None, "a page for customers only"
    destroyed = {server.id for server in draft.quote.destroys}
    return draft.page(
        "recap.html",
        status=status,
        kept=[server for server in draft.service.servers if server.id not in destroyed],
        key=key or new_key(),
        sent_to=mask_address(account.email),
        ticked=set((ticked or {}).get("destroys", ())),
        no_refund="yes" in (ticked or {}).get("no_refund", ()),
        trouble=trouble,
        missing=missing,
        failed=bool(trouble or missing),
    )


async def request(visit: Visit) -> Response:
    """Confirm a recap. The key is the form's own: the same form sent twice is one change."""
    fields = await posted(visit.request, RECAP_FIELDS)
    draft = await Draft.of(visit, fields)
    shown = fields.get("shown", ())
    no_refund, unticked = acknowledged(fields, shown)
    if not no_refund or unticked:
        missing = AcknowledgementMissing(no_refund=not no_refund, destroys=unticked)
        if draft.quote.blockers:
            return draft.page("editor.html", status=409, failed=True, untouched=False)
        return _recap(draft, ticked=fields, status=422, missing=missing)
    try:
        requested = await visit.plans.request(
            visit.customer,
            draft.service.id,
            draft.chosen.configuration,
            digest=first(fields, "digest"),
            acknowledge=Acknowledgement(no_refund=True, destroys=tuple(shown)),
            idempotency_key=first(fields, "key") or new_key(),
        )
    except Problem as refusal:
        return await _refused(visit, fields, refusal)
    return visit.go(visit.url("change", change_id=requested.id))


async def _refused(visit: Visit, fields: Fields, refusal: Problem) -> Response:
    """Show a refusal on the recap as it is now; only an engine that is away leaves the key as it was."""
    draft = await Draft.of(visit, fields)
    if isinstance(refusal, problems.NotFound):
        raise refusal
    if draft.quote.blockers:
        return draft.page("editor.html", status=409, failed=True, untouched=False)
    away = isinstance(refusal, problems.EngineUnavailable)
    again = away and draft.quote.digest == first(fields, "digest")
    response = _recap(
        draft,
        key=first(fields, "key") if again else None,
        ticked=fields if again else None,
        status=status_of(refusal),
        trouble=plainly(visit, refusal),
    )
    return refused(response, refusal)
