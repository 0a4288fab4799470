"""Which language the caller reads: `Accept-Language`, RFC 9110 section 12.5.4."""

import re

from starter.texts import LANGUAGES

_RANGE = re.compile(
    r"\s*(?P<tag>\*|[A-Za-z]{1,8})(?:-[A-Za-z0-9-]*)?\s*(?:;\s*[qQ]=(?P<q>[01](?:\.\d{0,3})?)\s*)?"
)
_MOST_RANGES = 20


def preferred(accept_language: str | None, default: str = LANGUAGES[0]) -> str:
    """Return the language of ours that the header likes best; `default` when it likes none."""
    best, best_quality = default, 0.0
    named: dict[str, float] = {}
    others = 0.0
    for part in (accept_language or "").split(",")[:_MOST_RANGES]:
        found = _RANGE.fullmatch(part)
        if found is None:
            continue
        quality = float(found["q"]) if found["q"] else 1.0
        tag = found["tag"].lower()
        if tag == "*":
            others = quality
        else:
            named[tag] = max(quality, named.get(tag, 0.0))
    for language in (*named, default, *LANGUAGES):
        quality = named.get(language, others)
        if language in LANGUAGES and quality > best_quality:
            best, best_quality = language, quality
    return best
