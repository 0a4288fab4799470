"""The texts of everything that is known by a code: stages, reasons, causes, events, steps, states."""

from collections.abc import Mapping
from typing import Final

from starter.texts.words import N_

STAGES: Final[Mapping[str, str]] = {
    "requested": N_("requested"),
    "rejected": N_("refused"),
    "awaiting_code": N_("waiting for the code"),
    "abandoned": N_("abandoned"),
    "committed": N_("confirmed"),
    "applying": N_("being carried out"),
    "needs_attention": N_("confirmed, waiting for the host's team"),
    "completed": N_("completed"),
}

_ABANDONED: Final[Mapping[str, str]] = {
    "too-many-tries": N_("too many wrong codes, or no further code could be sent"),
    "window-over": N_("not confirmed in time"),
    "cancelled": N_("cancelled"),
    "mail-refused": N_("the e-mail address does not take our mail"),
    "stale": N_("something had changed in the meantime"),
    "interrupted": N_("interrupted"),
}

_REJECTED: Final[Mapping[str, str]] = {
    "service-expired": N_("the service has expired"),
    "change-in-progress": N_("another change is in progress"),
    "recurring-payment-active": N_("a recurring payment is active"),
    "configuration-invalid": N_("this configuration is not on sale"),
    "nothing-changes": N_("nothing would change"),
    "servers-not-marked": N_("servers to give up are not marked"),
    "servers-marked-mismatch": N_("the marks do not fit the number of servers"),
    "change-too-soon": N_("the last change is too recent"),
    "not-convertible": N_("the remaining time cannot be converted"),
    "insufficient-days": N_("not enough days left"),
    "too-many-days": N_("too many days would be left"),
    "no-capacity": N_("not enough free addresses"),
    "quote-stale": N_("the quote was out of date"),
    "acknowledgement-missing": N_("an acknowledgement was missing"),
}

REASONS: Final[Mapping[str, str]] = {**_ABANDONED, **_REJECTED}
"""Why a change came to nothing: abandoned, or rejected for a problem."""

CAUSES: Final[Mapping[str, str]] = {
    "service-expired": N_("the service had expired"),
    "configuration-changed": N_("the service no longer had the configuration that the change started from"),
    "offer-withdrawn": N_("the offer or an option is no longer on sale"),
    "prices-changed": N_("the prices had changed"),
    "servers-changed": N_("the servers, or those marked for deletion, were no longer the ones shown"),
    "pass-gone": N_("the instant-change pass was no longer available"),
    "expiry-shortened": N_("the service expires earlier than it did"),
    "recurring-payment-active": N_("a recurring payment subscription had become active"),
    "too-many-days": N_("the change would have left more days than is allowed"),
    "no-capacity": N_("there were no longer enough free addresses"),
    "rules-changed": N_("the change was no longer allowed"),
}

EVENTS: Final[Mapping[str, str]] = {
    "requested": N_("Plan change requested"),
    "accepted": N_("Request accepted"),
    "rejected": N_("Request refused"),
    "code_mailed": N_("Code mailed"),
    "code_wrong": N_("Wrong code typed"),
    "code_requested": N_("New code asked for"),
    "abandoned": N_("Change abandoned, nothing was changed"),
    "committed": N_("Change confirmed"),
    "applying": N_("The change is being carried out"),
    "server_created": N_("Server created"),
    "limits_applied": N_("New limits applied"),
    "teardown_record": N_("Contents of the server recorded"),
    "teardown_stop": N_("Server stopped"),
    "teardown_delete_backups": N_("Backups deleted"),
    "teardown_delete_data": N_("Data deleted"),
    "teardown_verify_gone": N_("Deletion verified"),
    "server_destroyed": N_("Server destroyed"),
    "needs_attention": N_("The host's team has to look at it"),
    "retried": N_("Tried again by the host's team"),
    "skipped": N_("A step was skipped by the host's team"),
    "resumed": N_("Taken up again after an interruption"),
    "evidence_recorded": N_("Deletion proved by the host's team"),
    "address_released": N_("Address released"),
    "completed": N_("Change completed"),
    "outcome_mailed": N_("Outcome mailed"),
}

STEPS: Final[Mapping[str, str]] = {
    "record": N_("record the contents"),
    "stop": N_("stop"),
    "delete_backups": N_("delete the backups"),
    "delete_data": N_("delete the data"),
    "verify_gone": N_("verify that it is gone"),
    "release_address": N_("release the address"),
}

WORK: Final[Mapping[str, str]] = {
    "create": N_("create"),
    "limits": N_("apply limits"),
    "teardown": N_("destroy"),
}

SERVER_STATES: Final[Mapping[str, str]] = {
    "creating": N_("being created"),
    "active": N_("active"),
    "marked": N_("marked for deletion"),
    "destroying": N_("being destroyed"),
    "destroyed": N_("destroyed"),
}

TASK_STATES: Final[Mapping[str, str]] = {
    "pending": N_("in progress"),
    "attention": N_("needs attention"),
    "done": N_("done"),
    "skipped": N_("skipped"),
}
