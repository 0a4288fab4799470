"""Masking: enough of an e-mail address for its owner to recognise it, too little for anyone else."""

import re
from typing import Final
from unicodedata import category

_HIDDEN: Final = "***"
_QUOTE: Final = "'"
_ADDRESS: Final = re.compile(r"[^\s@]*@[^\s@]*")
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
_WORDS: Final = re.compile(r"[\w ,'\u2019-]*")


def mask_address(address: str) -> str:
    """`jean@example.com` as `j***@e***.com`: the first letters and the last label of the domain.

    Takes any text and never raises; what is not an address shows even less of itself.
    """
    local, at, domain = address.rpartition("@")
    if not at:
        return _HIDDEN
    name, _, top = domain.rpartition(".")
    if not name or not top.replace("-", "").isalnum():
        return f"{_first(local)}@{_first(domain)}"
    return f"{_first(local)}@{_first(name)}.{top}"


def _first(text: str) -> str:
    return text[:1] + _HIDDEN if text[:1].isprintable() else _HIDDEN


def without_address(text: str) -> str:
    """Return a text with nothing that has an @ in it."""
    return _ADDRESS.sub(_HIDDEN, text)


def for_operators(name: str) -> str:
    """Return a name that somebody chose as Temporal may keep it and show it to operators (Markdown).

    An e-mail address in it is left out. What could be taken for a link, a picture or a line of our own stands
    between back-ticks, where all of it is text.
    """
    plain = "".join("\N{REPLACEMENT CHARACTER}" if category(it) in _UNSEEN else it for it in name)
    kept = without_address(plain)
    return kept if _WORDS.fullmatch(kept) else f"`{kept.replace('`', _QUOTE)}`"
