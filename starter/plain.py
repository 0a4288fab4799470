"""How what a request names may be written, before Temporal or a database sees it."""

import re
from collections.abc import Iterable
from typing import Final

from changeover.domain.catalogue import Configuration
from changeover.domain.problems import RequestInvalid

LONGEST: Final = 100
PATTERN: Final = r"^[ -?A-~]*$"
"""Printable ASCII, as every code of the catalogue, every id and every digest is.

Anything else couldn't be kept by every database, and an address with its @ would stay in Temporal's history.
"""
_PLAIN: Final = re.compile(PATTERN.removeprefix("^").removesuffix("$"))


def require_plain(wanted: Configuration, quote_digest: str = "", destroys: Iterable[str] = ()) -> None:
    """Refuse what can't be a code, an id or a digest. Raises `RequestInvalid`."""
    named = {
        "offer": (wanted.offer,),
        "options": wanted.options,
        "digest": (quote_digest,),
        "destroys": tuple(destroys),
    }
    for field, texts in named.items():
        if not all(len(text) <= LONGEST and _PLAIN.fullmatch(text) for text in texts):
            raise RequestInvalid(field=field, detail=f"at most {LONGEST} characters of ASCII, without an @")
