"""A refusal as the panel shows it: the host's words, and the way out of it as links."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import urlencode

from starlette.responses import Response

from changeover.domain import problems as p
from changeover.domain.problems import Problem
from starter.panel.forms import Chosen
from starter.panel.names import Names
from starter.panel.phrases import COUNTED, PHRASES
from starter.panel.visit import Visit


@dataclass(frozen=True, kw_only=True)
class Way:
    """A way out: what it says, and where it leads."""

    label: str
    href: str


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """A refusal with its ways out. `field` is the id of the input that it is about, if it is about one."""

    code: str
    title: str
    advice: str
    ways: tuple[Way, ...] = ()
    field: str | None = None


STATUS: Final[Mapping[str, int]] = {
    p.NotFound.code: 404,
    p.EngineUnavailable.code: 503,
    p.CodeWrong.code: 422,
    p.RequestInvalid.code: 422,
    p.AcknowledgementMissing.code: 422,
    p.CodeExpired.code: 410,
    p.CodeLocked.code: 429,
    p.ResendTooSoon.code: 429,
    p.ResendLimit.code: 429,
}


def status_of(problem: Problem) -> int:
    """Return the HTTP status of a page that shows this refusal."""
    return STATUS.get(problem.code, 409)


def refused(response: Response, problem: Problem | None) -> Response:
    """Return the page of a refusal, with when to come again if the refusal knows."""
    seconds = None if problem is None else problem.figures.get("retry_after")
    if seconds is not None:
        response.headers["retry-after"] = str(seconds)
    return response


def plainly(visit: Visit, problem: Problem) -> Trouble:
    """Return a refusal without links."""
    title, advice = visit.texts.problem(problem)
    if isinstance(problem, p.EngineUnavailable):
        advice = visit.texts.translate(PHRASES["engine_away"])
    return Trouble(code=problem.code, title=title, advice=advice)


@dataclass(frozen=True, kw_only=True)
class Editing:
    """What is being edited when a change is refused: the ways out lead back to it."""

    visit: Visit
    service_id: str
    chosen: Chosen
    names: Names

    def troubles(self, refusals: tuple[Problem, ...]) -> list[Trouble]:
        return [self._trouble(refusal) for refusal in refusals]

    def _trouble(self, refusal: Problem) -> Trouble:
        field = refusal.field if isinstance(refusal, p.ConfigurationInvalid) else None
        shown = plainly(self.visit, self._named(refusal))
        ways = _WAYS.get(refusal.code)
        return replace(shown, ways=tuple(ways(self, refusal)) if ways else (), field=field)

    def _named(self, refusal: Problem) -> Problem:
        """Say names where a refusal lists codes: customers never see codes."""
        if not isinstance(refusal, p.ConfigurationInvalid) or not isinstance(refusal.allowed, list):
            return refusal
        if refusal.field == "offer":
            return replace(refusal, allowed=[self.names.offer(code) for code in refusal.allowed])
        offer = self.chosen.configuration.offer
        return replace(refusal, allowed=[self.names.option(offer, code) for code in refusal.allowed])

    def way(self, phrase: str, href: str) -> Way:
        return Way(label=self.visit.texts.translate(PHRASES[phrase]), href=href)

    def to_renewal(self, refusal: Any) -> list[Way]:
        """Lead to a renewal by the days that are missing, and from there back to the edited change."""
        missing = max(1, getattr(refusal, "required", 30) - getattr(refusal, "remaining", 0))
        query = urlencode([("days", str(missing)), ("then", "change"), *self.chosen.fields])
        label = COUNTED["renew_for"](self.visit.texts, missing)
        return [Way(label=label, href=f"{self.visit.url('renew', service_id=self.service_id)}?{query}")]

    def to_open_change(self, refusal: Any) -> list[Way]:
        return [self.way("see_change", self.visit.url("change", change_id=refusal.plan_change_id))]

    def to_kept(self, refusal: Any) -> list[Way]:
        """Lead to the same change with as many servers as are kept, and to the marks."""
        marks = self.way("change_marks", f"{self._editor}?{self.chosen.query}#servers")
        if not refusal.kept:
            return [marks]
        label = COUNTED["take_servers"](self.visit.texts, refusal.kept)
        fitting = self.chosen.with_servers(refusal.kept)
        return [Way(label=label, href=f"{self._editor}?{fitting.query}"), marks]

    def to_marks(self, _refusal: Any) -> list[Way]:
        return [self.way("mark_servers", f"{self._editor}?{self.chosen.query}#servers")]

    def to_form(self, refusal: Any) -> list[Way]:
        anchor = getattr(refusal, "field", "offer")
        return [self.way("choose_again", f"{self._editor}?{self.chosen.query}#{anchor}")]

    @property
    def _editor(self) -> str:
        return self.visit.url("editor", service_id=self.service_id)


_WAYS: Final[Mapping[str, Callable[[Editing, Any], list[Way]]]] = {
    p.ServiceExpired.code: lambda it, refusal: it.to_renewal(refusal),
    p.ChangeInProgress.code: Editing.to_open_change,
    p.ConfigurationInvalid.code: Editing.to_form,
    p.NothingChanges.code: Editing.to_form,
    p.ServersNotMarked.code: Editing.to_marks,
    p.ServersMarkedMismatch.code: Editing.to_kept,
    p.NotConvertible.code: Editing.to_form,
    p.InsufficientDays.code: Editing.to_renewal,
    p.TooManyDays.code: Editing.to_form,
    p.NoCapacity.code: Editing.to_form,
}
