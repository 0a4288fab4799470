"""What `--json` prints: the names of the REST API, times as ISO 8601 UTC with Z, problems by their type."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import Any

from changeover.domain.problems import Problem
from changeover.domain.quote import Quote, to_record
from starter.texts import Texts
from starter.views import OfferView, ServiceView

_UTC_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00")


def plain(value: Any) -> Any:
    """Return views, mappings and times as plain JSON values."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, str):
        return value.replace("+00:00", "Z") if _UTC_TIME.fullmatch(value) else str(value)
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, Iterable):
        return [plain(item) for item in value]
    return value


def problem(found: Problem, texts: Texts) -> dict[str, Any]:
    """Return a problem with all the blockers that it is the first of."""
    shape = blocker(found, texts)
    if found.blockers:
        shape["blockers"] = [blocker(it, texts) for it in found.blockers]
    return shape


def blocker(found: Problem, texts: Texts) -> dict[str, Any]:
    """Return a problem alone: its type, title, advice and figures."""
    title, advice = texts.problem(found)
    return {"type": found.code, "title": title, "advice": advice, **plain(found.figures)}


def service(view: ServiceView) -> dict[str, Any]:
    shape: dict[str, Any] = plain(view)
    shape["configuration"] = view.configuration.record
    del shape["offer_names"]
    return shape


def offer(view: OfferView, language: str) -> dict[str, Any]:
    it = view.offer
    return {
        "code": it.code,
        "name": it.names.get(language, it.code),
        "game": it.game,
        "base": it.base,
        "per_slot": it.per_slot,
        "slots": {"min": it.min_slots, "max": it.max_slots, "step": it.slot_step},
        "most_servers": it.most_servers,
        "options": [
            {
                "code": option.code,
                "name": option.names.get(language, option.code),
                "price": option.price,
                "per": option.per.value,
            }
            for option in it.options
            if option.code in view.options
        ],
        "is_present": view.is_present,
    }


def quote(found: Quote, texts: Texts) -> dict[str, Any]:
    shape: dict[str, Any] = plain(to_record(found))
    shape["blockers"] = [blocker(it, texts) for it in found.blockers]
    return {"before": found.before.record, "after": found.after.record, **shape}
