"""Masking: enough of an e-mail address for its owner to recognise it, too little for anyone else."""

from typing import Final

_HIDDEN: Final = "***"


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
