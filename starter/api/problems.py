"""Problems as RFC 9457 tells them: one table of statuses, one shape, the figures as members."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

from fastapi import Response

from changeover.domain.problems import BLOCKERS, Problem
from starter.texts import Texts

MEDIA_TYPE: Final = "application/problem+json"
TYPES: Final = "/problems/"
"""`type` is this and the problem's code; docs/problems/ has a page for each."""


@dataclass(eq=False)
class MethodNotAllowed(Problem):
    """The address is right, the method isn't; `allowed` are those that it has."""

    code = "method-not-allowed"
    allowed: list[str]


@dataclass(eq=False)
class InternalError(Problem):
    """A defect of ours. What was asked may or may not have been done; the same key may be sent again."""

    code = "internal-error"


OWN: Final[tuple[type[Problem], ...]] = (MethodNotAllowed, InternalError)
"""Problems that only HTTP has."""

STATUSES: Final[Mapping[str, HTTPStatus]] = {
    "service-expired": HTTPStatus.GONE,
    "change-in-progress": HTTPStatus.CONFLICT,
    "recurring-payment-active": HTTPStatus.CONFLICT,
    "configuration-invalid": HTTPStatus.UNPROCESSABLE_ENTITY,
    "nothing-changes": HTTPStatus.UNPROCESSABLE_ENTITY,
    "servers-not-marked": HTTPStatus.UNPROCESSABLE_ENTITY,
    "servers-marked-mismatch": HTTPStatus.UNPROCESSABLE_ENTITY,
    "change-too-soon": HTTPStatus.CONFLICT,
    "not-convertible": HTTPStatus.UNPROCESSABLE_ENTITY,
    "insufficient-days": HTTPStatus.UNPROCESSABLE_ENTITY,
    "too-many-days": HTTPStatus.UNPROCESSABLE_ENTITY,
    "no-capacity": HTTPStatus.CONFLICT,
    "request-invalid": HTTPStatus.UNPROCESSABLE_ENTITY,
    "quote-stale": HTTPStatus.CONFLICT,
    "acknowledgement-missing": HTTPStatus.UNPROCESSABLE_ENTITY,
    "code-wrong": HTTPStatus.UNPROCESSABLE_ENTITY,
    "code-expired": HTTPStatus.GONE,
    "code-locked": HTTPStatus.TOO_MANY_REQUESTS,
    "resend-too-soon": HTTPStatus.TOO_MANY_REQUESTS,
    "resend-limit": HTTPStatus.TOO_MANY_REQUESTS,
    "change-closed": HTTPStatus.CONFLICT,
    "not-found": HTTPStatus.NOT_FOUND,
    "idempotency-key-missing": HTTPStatus.BAD_REQUEST,
    "idempotency-key-reused": HTTPStatus.UNPROCESSABLE_ENTITY,
    "unauthorized": HTTPStatus.UNAUTHORIZED,
    "engine-unavailable": HTTPStatus.SERVICE_UNAVAILABLE,
    "method-not-allowed": HTTPStatus.METHOD_NOT_ALLOWED,
    "internal-error": HTTPStatus.INTERNAL_SERVER_ERROR,
}

_BLOCKERS: Final = frozenset(blocker.code for blocker in BLOCKERS)
_OWN_TEXTS: Final[Mapping[str, Mapping[str, tuple[str, str]]]] = {
    MethodNotAllowed.code: {
        "en": ("This method is not allowed here.", "Use one of the methods that `allowed` names."),
        "fr": ("Cette méthode n'est pas permise ici.", "Utilisez l'une des méthodes de `allowed`."),
    },
    InternalError.code: {
        "en": ("Something went wrong on our side.", "Try again, with the same key where one is used."),
        "fr": ("Une erreur s'est produite chez nous.", "Réessayez, avec la même clé s'il y en a une."),
    },
}


def member(value: Any) -> Any:
    """Return a figure as plain JSON: times in UTC with Z, mappings in a fixed order of their keys."""
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case Mapping():
            return {name: member(value[name]) for name in sorted(value)}
        case str():
            return value
        case Iterable():
            return [member(item) for item in value]
    return value


def shape(problem: Problem, texts: Texts) -> dict[str, Any]:
    """Return the members of a problem, with all blockers when it is the first of some."""
    told = _members(problem, texts)
    if problem.blockers and problem.code in _BLOCKERS:
        told["blockers"] = [_members(blocker, texts) for blocker in problem.blockers]
    return told


def _members(problem: Problem, texts: Texts) -> dict[str, Any]:
    """Return what a problem says of itself. `detail` is the advice; `request-invalid` has its own detail."""
    own = _OWN_TEXTS.get(problem.code)
    title, advice = own[texts.language] if own else texts.problem(problem)
    told: dict[str, Any] = {
        "type": TYPES + problem.code,
        "title": title,
        "status": int(STATUSES[problem.code]),
        "detail": advice,
        **{name: member(value) for name, value in problem.figures.items()},
    }
    if problem.code == "quote-stale":
        told["quote"] = _quote(told["quote"])
    return told


def response(problem: Problem, texts: Texts) -> Response:
    """Return the answer that tells the problem."""
    headers = {"Content-Language": texts.language}
    match problem.figures:
        case {"retry_after": int(seconds)}:
            headers["Retry-After"] = str(seconds)
        case {"allowed": list(methods)} if isinstance(problem, MethodNotAllowed):
            headers["Allow"] = ", ".join(methods)
    if problem.code == "unauthorized":
        headers["WWW-Authenticate"] = "Bearer"
    content = json.dumps(shape(problem, texts), ensure_ascii=False).encode()
    return Response(content, STATUSES[problem.code], headers, MEDIA_TYPE)


def _quote(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a quote that a row kept in the very shape in which quotes are answered."""
    from starter.api.answers import QuoteAnswer  # noqa: PLC0415 - the answers speak of problems, too

    return QuoteAnswer.model_validate(record).model_dump(mode="json")
