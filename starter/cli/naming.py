"""How things are named on the command line: by id, by name, or by the first characters of the id."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from changeover.domain.problems import NotFound
from starter.texts import Texts

LEAST_PREFIX = 4
"""Characters of an id that may stand for it."""


class Misused(Exception):
    """The command line can't be understood; the text says why, in the reader's language."""


class Named(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...


N = TypeVar("N", bound=Named)


def pick(given: str | None, among: Sequence[N], what: str, texts: Texts) -> N:
    """Return the one that `given` names; without a name, the only one there is.

    An id is stronger than a name, and a name than the beginning of an id. Raises `NotFound`, or `Misused`
    when there are several.
    """
    found = list(among) if given is None else _matching(given, among)
    if not found:
        raise NotFound(what=what)
    if len(found) > 1:
        choices = ", ".join(f"{it.name} ({it.id})" if it.name else it.id for it in found)
        if given is None:
            raise Misused(texts._("Say which one is meant: {choices}.", choices=choices))
        raise Misused(texts._("“{given}” can mean several: {choices}.", given=given, choices=choices))
    return found[0]


def _matching(given: str, among: Sequence[N]) -> list[N]:
    by_id = [it for it in among if it.id == given.lower()]
    by_name = [it for it in among if it.name and it.name.casefold() == given.casefold()]
    by_prefix = [it for it in among if len(given) >= LEAST_PREFIX and it.id.startswith(given.lower())]
    return by_id or by_name or by_prefix
