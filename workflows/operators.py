"""What an operator's order must be before a run takes it: meant for it, signed, and fit for the trail."""

import re
from unicodedata import category

from temporalio.exceptions import ApplicationError

from changeover.domain.problems import RequestInvalid
from workflows.messages import OPERATOR, CancelChange, Retry, Skip
from workflows.refusals import as_failure

MOST_ACTOR = 60
"""Characters of a name, as the trail keeps it."""
MOST_TEXT = 2000
YOUR_NAME = "your name"
YOUR_REASON = "why it is right to go on without it"
"""What stands in the inputs that the Temporal UI offers for copying, until an operator has filled them in."""
RESERVED = ("customer", "system", "reconciler", YOUR_NAME)
"""Names in the trail that no operator may sign with."""
ADDRESS = re.compile(r"\S@\S+\.\S")
"""An e-mail address: it would stay in Temporal's history and in the trail, where nothing is ever removed."""


def signed(actor: str) -> str:
    """Return the name that the trail gets; `operator` for one who gave none."""
    return " ".join(actor.split()) or OPERATOR


def check_order(order: Retry | Skip, change_id: str) -> None:
    """Refuse an order that is meant for another change, or says what the trail can't keep."""
    if order.change_id not in {None, change_id}:
        raise ApplicationError(
            f"this run is of change {change_id}, not of {order.change_id}; nothing was done. "
            "Look up the run of the change that you mean, or correct change_id",
            type="another-change",
            non_retryable=True,
        )
    check_actor(order)
    if signed(order.actor).lower() in RESERVED:
        raise _invalid("actor", f"{order.actor!r} is no operator's name: give your own")
    if not isinstance(order, Skip):
        return
    if order.reason.strip() in {"", YOUR_REASON}:
        raise ApplicationError(
            'a skip needs a reason: say in "reason" why it is right to go on without this step',
            type="reason-missing",
            non_retryable=True,
        )
    _check_text("reason", order.reason, MOST_TEXT)
    _check_text("evidence", order.evidence or "", MOST_TEXT)


def check_actor(order: Retry | Skip | CancelChange) -> None:
    """Refuse a name that the trail can't keep, or that was never filled in."""
    if signed(order.actor).lower() == YOUR_NAME:
        raise _invalid("actor", f"{order.actor!r} is still what the page offers: put your own name there")
    _check_text("actor", order.actor, MOST_ACTOR)


def _check_text(field: str, text: str, most: int) -> None:
    if len(text) > most:
        raise _invalid(field, f"{len(text)} characters; at most {most} are kept")
    if any(category(character) in {"Cc", "Cs"} and character not in "\n\t" for character in text):
        raise _invalid(field, "no control characters")
    if ADDRESS.search(text):
        raise _invalid(field, "no e-mail address: it is kept for good")


def _invalid(field: str, detail: str) -> ApplicationError:
    return as_failure(RequestInvalid(field=field, detail=detail))
