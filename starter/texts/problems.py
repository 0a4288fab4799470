"""Every problem in the host's words: one table, from the code to a title with its figures and an advice."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from changeover.domain import problems as p
from starter.texts.names import REASONS
from starter.texts.words import N_, Words

Lines = tuple[str, str]

_UNSOLD: Final[Mapping[str, str]] = {
    "offer": N_("The service cannot change to this offer."),
    "slots": N_("This number of slots cannot be had with the offer."),
    "options": N_("Not all of these options can be had with the offer."),
    "server_count": N_("This number of servers cannot be had with the offer."),
}
_UNKNOWN: Final[Mapping[str, str]] = {
    "service": N_("There is no such service."),
    "server": N_("There is no such server."),
    "plan change": N_("There is no such plan change."),
    "account": N_("There is no such account."),
}


def _service_expired(t: Words, it: p.ServiceExpired) -> Lines:
    return t._("The service expired on {date}.", date=t.date(it.expired_at)), t._(
        "Renew it first; its plan can be changed then."
    )


def _change_in_progress(t: Words, it: p.ChangeInProgress) -> Lines:
    title = t._("Another plan change of this service is in progress.")
    return title, t._("Finish it or cancel it first (change {id}).", id=it.plan_change_id)


def _recurring_payment_active(t: Words, _it: p.RecurringPaymentActive) -> Lines:
    title = t._("A recurring payment subscription (PayPal) is active for this service.")
    return title, t._("Cancel the subscription first, then change the plan.")


def _configuration_invalid(t: Words, it: p.ConfigurationInvalid) -> Lines:
    unsold = _UNSOLD.get(it.field)
    title = (
        t.translate(unsold) if unsold else t._("This configuration cannot be had ({field}).", field=it.field)
    )
    if isinstance(it.allowed, Mapping):
        return title, _range(t, **it.allowed)
    if not it.allowed:
        return title, t._("None can be chosen here.")
    return title, t._("Possible: {codes}.", codes=", ".join(it.allowed))


def _range(t: Words, *, min: int, max: int, step: int) -> str:  # noqa: A002 - the figures' own names
    if min == max:
        return t._("Only {n} is possible.", n=min)
    if step == 1:
        return t._("Possible: {min} to {max}.", min=min, max=max)
    return t._("Possible: {min} to {max}, in steps of {step}.", min=min, max=max, step=step)


def _nothing_changes(t: Words, _it: p.NothingChanges) -> Lines:
    title = t._("This changes nothing: the service already has this configuration.")
    return title, t._("Choose another configuration, or mark servers for deletion.")


def _servers_not_marked(t: Words, it: p.ServersNotMarked) -> Lines:
    title = t._("The new configuration has fewer servers than the service.")
    return title, t.plural(
        "Mark the servers you give up first: {n} server has to be marked for deletion.",
        "Mark the servers you give up first: {n} servers have to be marked for deletion.",
        it.to_mark,
    )


def _servers_marked_mismatch(t: Words, it: p.ServersMarkedMismatch) -> Lines:
    if not it.kept:
        return t._("All servers are marked for deletion; at least one has to be kept."), t._(
            "Take back the mark of a server you keep."
        )
    title = t.plural(
        "With the present marks {n} server is kept, and the new configuration must have exactly that many.",
        "With the present marks {n} servers are kept, and the new configuration must have exactly that many.",
        it.kept,
    )
    return title, t._("Choose this number of servers, or change the marks.")


def _change_too_soon(t: Words, it: p.ChangeTooSoon) -> Lines:
    title = t._(
        "The last plan change of this service is too recent: the next is possible from {date}.",
        date=t.date(it.next_change_at),
    )
    advice = t._(
        "Wait until then. Sooner it takes an instant-change pass, or a service with the Flexi+ option."
    )
    return title, advice


def _not_convertible(t: Words, _it: p.NotConvertible) -> Lines:
    title = t._("The remaining time cannot be converted: one of the two configurations costs nothing.")
    return title, t._("Choose another configuration, or ask the support.")


def _insufficient_days(t: Words, it: p.InsufficientDays) -> Lines:
    """Say the host's own sentence (DESIGN, section 2), with real plurals."""
    title = " ".join(
        (
            t._("You do not have enough days left to make this plan change."),
            t.plural(
                "You need at least {n} day to be able to make it.",
                "You need at least {n} days to be able to make it.",
                it.required,
            ),
            t.plural("At present you have {n} day left.", "At present you have {n} days left.", it.remaining),
        )
    )
    return title, t._("Renew your service first.")


def _too_many_days(t: Words, it: p.TooManyDays) -> Lines:
    leaves = t.plural("The change would leave {n} day,", "The change would leave {n} days,", it.days_after)
    most = t.plural("and at most {n} day may be left.", "and at most {n} days may be left.", it.most)
    return f"{leaves} {most}", t._("Choose a larger configuration, or change the plan later.")


def _no_capacity(t: Words, it: p.NoCapacity) -> Lines:
    needs = t.plural(
        "The change needs {n} address for new servers,",
        "The change needs {n} addresses for new servers,",
        it.needed,
    )
    free = t.plural("and {n} is free at the moment.", "and {n} are free at the moment.", it.free)
    return f"{needs} {free}", t._("Try again later, or with fewer servers.")


def _request_invalid(t: Words, it: p.RequestInvalid) -> Lines:
    if it.field == "code":
        return t._("This cannot be a code; the try was not counted."), t._(
            "Type the code as it was mailed: eight letters, XXXX-XXXX."
        )
    title = t._("This value cannot be used: {field}.", field=it.field)
    return title, t._("Correct it and try again ({detail}).", detail=it.detail)


def _quote_stale(t: Words, _it: p.QuoteStale) -> Lines:
    title = t._("What you were shown is not what would happen now.")
    return title, t._("Look at the new quote, and confirm again if it suits you.")


def _acknowledgement_missing(t: Words, it: p.AcknowledgementMissing) -> Lines:
    title = t._(
        "It has to be acknowledged that nothing is refunded, and which servers are destroyed for good."
    )
    advice = t.plural(
        "Acknowledge both: {n} server is destroyed.",
        "Acknowledge both: {n} servers are destroyed.",
        len(it.destroys),
    )
    return title, advice


def _code_wrong(t: Words, it: p.CodeWrong) -> Lines:
    if not it.tries_left:
        return t._("The code is wrong, and no try is left for it."), t._(
            "Ask for a new code, if the change is still open."
        )
    left = t.plural("{n} try is left.", "{n} tries are left.", it.tries_left)
    advice = t._("Look at the last mail: only the code in it is valid.")
    return f"{t._('The code is wrong.')} {left}", advice


def _code_expired(t: Words, _it: p.CodeExpired) -> Lines:
    title = t._("No code is valid at the moment; the try was not counted.")
    return title, t._("Wait for the mail, or ask for a new code.")


def _code_locked(t: Words, _it: p.CodeLocked) -> Lines:
    return t._("This code is void after too many wrong tries."), t._("Ask for a new code.")


def _resend_too_soon(t: Words, it: p.ResendTooSoon) -> Lines:
    title = t.plural(
        "A new code can be asked for in {n} second.",
        "A new code can be asked for in {n} seconds.",
        it.retry_after,
    )
    return title, t._("Look at your mails, the unwanted ones too, then ask again.")


def _resend_limit(t: Words, it: p.ResendLimit) -> Lines:
    title = t.plural(
        "{n} code was mailed for this change already; there will be no further one.",
        "{n} codes were mailed for this change already; there will be no further one.",
        it.most,
    )
    return title, t._("Use the last code, or cancel this change and start again.")


def _change_closed(t: Words, it: p.ChangeClosed) -> Lines:
    if it.outcome in {"committed", "completed"}:
        title = t._("The change is confirmed: it cannot be undone any more.")
        return title, t._("The plan can be changed again by another change, when the rules allow it.")
    title = t._("The change is closed; nothing was changed.")
    if it.reason is not None and it.reason in REASONS:
        why = t.translate(REASONS[it.reason])
        title = t._("The change is closed ({why}); nothing was changed.", why=why)
    return title, t._("You can start a new plan change.")


def _not_found(t: Words, it: p.NotFound) -> Lines:
    if it.what == "open plan change":
        return t._("No plan change is open."), t._("Name one by its id; the history lists them.")
    unknown = _UNKNOWN.get(it.what)
    title = t.translate(unknown) if unknown else t._("There is no such thing here ({what}).", what=it.what)
    return title, t._("Check the name or the id.")


def _idempotency_key_missing(t: Words, _it: p.IdempotencyKeyMissing) -> Lines:
    return t._("The idempotency key is missing."), t._("Send one, a new one for each click.")


def _idempotency_key_reused(t: Words, _it: p.IdempotencyKeyReused) -> Lines:
    title = t._("This idempotency key was used for another request.")
    return title, t._("Use a new key for a new request.")


def _unauthorized(t: Words, _it: p.Unauthorized) -> Lines:
    return t._("The caller is not known."), t._("Sign in again, or check the API key.")


def _engine_unavailable(t: Words, it: p.EngineUnavailable) -> Lines:
    title = t._("Plan changes cannot be carried on at the moment; nothing is lost.")
    advice = t.plural(
        "Try again in {n} second, with the same key.",
        "Try again in {n} seconds, with the same key.",
        it.retry_after,
    )
    return title, advice


PROBLEM_TEXTS: Final[Mapping[str, Callable[[Words, Any], Lines]]] = {
    p.ServiceExpired.code: _service_expired,
    p.ChangeInProgress.code: _change_in_progress,
    p.RecurringPaymentActive.code: _recurring_payment_active,
    p.ConfigurationInvalid.code: _configuration_invalid,
    p.NothingChanges.code: _nothing_changes,
    p.ServersNotMarked.code: _servers_not_marked,
    p.ServersMarkedMismatch.code: _servers_marked_mismatch,
    p.ChangeTooSoon.code: _change_too_soon,
    p.NotConvertible.code: _not_convertible,
    p.InsufficientDays.code: _insufficient_days,
    p.TooManyDays.code: _too_many_days,
    p.NoCapacity.code: _no_capacity,
    p.RequestInvalid.code: _request_invalid,
    p.QuoteStale.code: _quote_stale,
    p.AcknowledgementMissing.code: _acknowledgement_missing,
    p.CodeWrong.code: _code_wrong,
    p.CodeExpired.code: _code_expired,
    p.CodeLocked.code: _code_locked,
    p.ResendTooSoon.code: _resend_too_soon,
    p.ResendLimit.code: _resend_limit,
    p.ChangeClosed.code: _change_closed,
    p.NotFound.code: _not_found,
    p.IdempotencyKeyMissing.code: _idempotency_key_missing,
    p.IdempotencyKeyReused.code: _idempotency_key_reused,
    p.Unauthorized.code: _unauthorized,
    p.EngineUnavailable.code: _engine_unavailable,
}
