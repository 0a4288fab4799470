"""What the OpenAPI document says of a route beside what FastAPI sees: body, headers, problems, examples."""

from collections.abc import Mapping
from typing import Any, Final, Literal, get_type_hints

from pydantic import BaseModel, create_model
from pydantic.json_schema import models_json_schema

from changeover.domain.problems import BLOCKERS, PROBLEMS
from starter.api import bodies, examples
from starter.api.answers import QuoteAnswer
from starter.api.problems import MEDIA_TYPE, OWN, STATUSES, TYPES, shape
from starter.texts import Texts

_REF: Final = "#/components/schemas/"
EVERYWHERE: Final = ("unauthorized", "request-invalid", "not-found", "engine-unavailable", "internal-error")
"""The problems that every route of `/v1` can answer with."""
ALL_BLOCKERS: Final = tuple(blocker.code for blocker in BLOCKERS)

ACCOUNT: Final = {
    "name": "X-Account-Id",
    "in": "header",
    "required": True,
    "description": "The customer that is acted for.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 36, "pattern": "^[!-~]+$"},
    "example": examples.ACCOUNT_ID,
}
LANGUAGE: Final = {
    "name": "Accept-Language",
    "in": "header",
    "required": False,
    "description": "Language of titles, advice and names: `en` or `fr`, with q-values.",
    "schema": {"type": "string"},
    "example": "fr, en;q=0.5",
}
KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "A new one for each click. The same key with the same body gets the same answer for 24 h.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    "example": "3f8a2b0e-6f0e-4d7c-9a51-2f6f8f0c2b11",
}
LAST_EVENT_ID: Final = {
    "name": "Last-Event-ID",
    "in": "header",
    "required": False,
    "description": "Go on behind this event.",
    "schema": {"type": "string", "pattern": "^[0-9]{1,18}$"},
    "example": "4711",
}


def takes(body: type[BaseModel] | None = None, *parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a route takes: the headers of all routes, its own, and its body."""
    told: dict[str, Any] = {"parameters": [ACCOUNT, LANGUAGE, *parameters]}
    if body is not None:
        told["requestBody"] = {
            "required": body is not bodies.EmptyBody,
            "content": {"application/json": {"schema": {"$ref": _REF + body.__name__}}},
        }
    return told


def problems(*codes: str) -> dict[int | str, dict[str, Any]]:
    """Return the problem responses of a route, by status, each problem with its example."""
    by_status: dict[int, list[str]] = {}
    for code in (*EVERYWHERE, *codes):
        its = by_status.setdefault(int(STATUSES[code]), [])
        if code not in its:
            its.append(code)
    return {status: _response(status, its) for status, its in sorted(by_status.items())}


def _response(status: int, codes: list[str]) -> dict[str, Any]:
    refs = [{"$ref": _REF + _name(code)} for code in codes]
    told: dict[str, Any] = {
        "description": ", ".join(f"`{code}`" for code in codes),
        "content": {
            MEDIA_TYPE: {
                "schema": refs[0] if len(refs) == 1 else {"oneOf": refs},
                "examples": {code: {"value": _EXAMPLES[code]} for code in codes},
            }
        },
    }
    if "engine-unavailable" in codes or "resend-too-soon" in codes:
        seconds = {"type": "integer"}
        told["headers"] = {"Retry-After": {"description": "Seconds to wait.", "schema": seconds}}
    if status == STATUSES["unauthorized"]:
        told["headers"] = {"WWW-Authenticate": {"description": "Bearer", "schema": {"type": "string"}}}
    return told


_EXAMPLES: Final = {problem.code: shape(problem, Texts("en")) for problem in examples.PROBLEMS}


def _name(code: str) -> str:
    return "".join(part.capitalize() for part in code.split("-")) + "Problem"


def _problem_models() -> list[type[BaseModel]]:
    """Return a model per problem: the members of RFC 9457, and its figures by their own types."""
    made: list[type[BaseModel]] = []
    for code, kind in {**PROBLEMS, **{own.code: own for own in OWN}}.items():
        figures: dict[str, Any] = {
            name: (QuoteAnswer if name == "quote" else hint, ...)
            for name, hint in get_type_hints(kind).items()
            if name not in {"code", "blockers"}
        }
        if code in ALL_BLOCKERS:
            figures["blockers"] = (list[dict[str, Any]] | None, None)
        members: dict[str, Any] = {
            "type": (Literal[TYPES + code], ...),
            "title": (str, ...),
            "status": (Literal[int(STATUSES[code])], ...),
            "detail": (str, ...),
        }
        made.append(create_model(_name(code), **members | figures))
    return made


def complete(document: dict[str, Any]) -> dict[str, Any]:
    """Add the schemas that routes refer to by name."""
    kinds = [
        *(
            value
            for value in vars(bodies).values()
            if isinstance(value, type) and issubclass(value, bodies.Body)
        ),
        *_problem_models(),
    ]
    wanted: list[tuple[type[BaseModel], Literal["validation", "serialization"]]] = [
        (kind, "validation") for kind in kinds if kind is not bodies.Body
    ]
    _, schemas = models_json_schema(wanted, ref_template=_REF + "{model}")
    named = document.setdefault("components", {}).setdefault("schemas", {})
    for name, schema in schemas.get("$defs", {}).items():
        named.setdefault(name, schema)
    return document
