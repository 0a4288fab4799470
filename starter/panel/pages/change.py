"""One plan change at one address, whatever its stage: its code, its progress, its outcome."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from starlette.responses import Response

from changeover.domain import problems
from changeover.domain.lifecycle import CLOSED, COMMITTED, Stage
from changeover.domain.problems import Problem
from starter.panel.forms import first, posted, whole
from starter.panel.names import Names
from starter.panel.troubles import plainly, refused, status_of
from starter.panel.visit import Visit
from starter.views import ChangeView, Receipt, TimelineEntry


@dataclass(frozen=True, kw_only=True)
class CodeState:
    """What the code page shows and follows. `stamp` differs when any of it does."""

    mailed: bool
    expired: bool
    locked: bool
    resend_at: datetime | None
    may_resend: bool
    stamp: str

    @classmethod
    def of(cls, change: ChangeView, now: datetime) -> "CodeState":
        mailed = change.code_expires_at is not None
        expired = change.code_expires_at is not None and change.code_expires_at <= now
        may_resend = change.resend_at is not None and change.resend_at <= now
        parts = (change.code_number, change.tries_left, mailed, expired, may_resend, change.code_expires_at)
        return cls(
            mailed=mailed,
            expired=expired,
            locked=change.tries_left == 0,
            resend_at=change.resend_at,
            may_resend=may_resend,
            stamp="/".join(str(part) for part in parts),
        )


@dataclass(frozen=True, kw_only=True)
class Destroyed:
    """A server that a change destroys or destroyed, with the receipts that there are."""

    name: str
    address: str
    backups: int
    receipts: list[Receipt]


def _phase(change: ChangeView) -> str:
    if change.stage == Stage.AWAITING_CODE:
        return "code"
    return "outcome" if change.stage in CLOSED else "progress"


async def change(visit: Visit) -> Response:
    return await _page(visit, await visit.plans.status(visit.customer, visit.id("change_id")))


async def _page(visit: Visit, change: ChangeView, refusal: Problem | None = None) -> Response:
    trouble = plainly(visit, refusal) if refusal else None
    response = visit.page(
        f"{_phase(change)}.html",
        status=status_of(refusal) if refusal else 200,
        here=visit.url("change", change_id=change.id),
        **await _shown(visit, change),
        trouble=trouble,
        failed=trouble is not None,
    )
    return refused(response, refusal)


async def live(visit: Visit) -> Response:
    """Return the part of a change's page that follows it; nothing when it is as was seen."""
    change = await visit.plans.status(visit.customer, visit.id("change_id"))
    if visit.request.query_params.get("phase") != _phase(change):
        return Response(status_code=200, headers={"hx-refresh": "true"})
    shown = await _shown(visit, change)
    if visit.request.query_params.get("seen") == shown["stamp"]:
        return Response(status_code=204)
    return visit.page(f"{_phase(change)}_live.html", **shown)


async def _shown(visit: Visit, change: ChangeView) -> dict[str, Any]:
    service = await visit.plans.service(visit.customer, change.service_id)
    offers = await visit.plans.offers(visit.customer, change.service_id)
    code = CodeState.of(change, visit.now)
    return {
        "change": change,
        "service": service,
        "names": Names(offers, visit.texts.language),
        "code": code,
        "stamp": code.stamp if _phase(change) == "code" else f"{change.stage}/{_last(change.timeline)}",
        "destroyed": _destroyed(change),
        "kept": _servers(change.timeline, "limits_applied"),
        "created": _servers(change.timeline, "server_created"),
        "committed": change.stage in COMMITTED,
        "notice": visit.notice,
    }


def _last(timeline: tuple[TimelineEntry, ...]) -> int:
    return timeline[-1].seq if timeline else 0


def _servers(timeline: tuple[TimelineEntry, ...], event: str) -> list[str]:
    """Return the names of the servers to which this happened, each once."""
    names = (
        str(entry.data["server"]) for entry in timeline if entry.event == event and "server" in entry.data
    )
    return list(dict.fromkeys(names))


def _destroyed(change: ChangeView) -> list[Destroyed]:
    return [
        Destroyed(
            name=server["name"],
            address=server["address"],
            backups=server["backups"],
            receipts=[receipt for receipt in change.receipts if receipt.server_id == server["id"]],
        )
        for server in change.destroys
    ]


async def submit_code(visit: Visit) -> Response:
    fields = await posted(visit.request)
    return await _act(
        visit, lambda change_id: visit.plans.submit_code(visit.customer, change_id, first(fields, "code"))
    )


async def resend_code(visit: Visit) -> Response:
    """Ask for a new code in place of the one that the form names: pressed twice, it is one."""
    fields = await posted(visit.request)
    change_id = visit.id("change_id")
    present = await visit.plans.status(visit.customer, change_id)
    if present.code_number != whole(fields, "number", present.code_number):
        return visit.go(visit.url("change", change_id=change_id))
    return await _act(
        visit, lambda change_id: visit.plans.resend_code(visit.customer, change_id), "?notice=resent"
    )


async def cancel(visit: Visit) -> Response:
    await posted(visit.request)
    return await _act(visit, lambda change_id: visit.plans.cancel(visit.customer, change_id))


async def _act(visit: Visit, act: Callable[[str], Awaitable[ChangeView]], then: str = "") -> Response:
    """Do it, then show the change; a refusal stands on the page while the change awaits its code."""
    change_id = visit.id("change_id")
    refusal: Problem | None = None
    try:
        await act(change_id)
    except problems.NotFound:
        raise
    except Problem as refused:
        refusal = refused
    if refusal is not None:
        present = await visit.plans.status(visit.customer, change_id)
        if _phase(present) == "code":
            return await _page(visit, present, refusal)
        then = ""
    return visit.go(visit.url("change", change_id=change_id) + then)
