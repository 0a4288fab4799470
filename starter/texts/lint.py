"""`python -m starter.texts.lint`: translations are complete, well formed, compiled. Exits 1 with a list."""

import gettext
import re
import string
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from babel.messages.catalog import Catalog, Message

from starter.texts.compile import po_file, read
from starter.texts.extract import Found, extract
from starter.texts.words import FOLDER, LANGUAGES, SOURCE_LANGUAGE

SOURCES: Final = FOLDER.parent
_BREAKABLE: Final = {"fr": re.compile(r" [:;?!»%]|« ")}
"""Spaces that must not break a line in that language."""


def check(sources: Path, po: Path) -> list[str]:
    """Return everything that is wrong with the translations `po` of the texts in `sources`."""
    catalogue = read(po)
    found = extract(sources)
    return [*_missing(found, catalogue), *_stale(found, catalogue), *_malformed(catalogue), *_compiled(po)]


def _missing(found: list[Found], catalogue: Catalog) -> Iterator[str]:
    for text in found:
        if text.msgid is None:
            yield f"{text.place}: not a literal text"
            continue
        message = catalogue.get(text.msgid)
        if message is None:
            yield f"{text.place}: not in the .po: {text.msgid!r}"
        elif text.many is not None and _ids(message) != (text.msgid, text.many):
            yield f"{text.place}: the .po has another plural: {text.many!r}"


def _stale(found: list[Found], catalogue: Catalog) -> Iterator[str]:
    used = {text.msgid for text in found}
    for message in _messages(catalogue):
        if _ids(message)[0] not in used:
            yield f"no source has it any more: {_ids(message)[0]!r}"
    for message in catalogue.obsolete.values():
        yield f"obsolete entry (#~): {_ids(message)[0]!r}"


def _malformed(catalogue: Catalog) -> Iterator[str]:
    language = str(catalogue.locale)
    for message in _messages(catalogue):
        ids, texts = _ids(message), _strings(message)
        if message.fuzzy:
            yield f"fuzzy: {ids[0]!r}"
        forms = catalogue.num_plurals if len(ids) == 2 else 1
        if len(texts) != forms or not all(texts):
            yield f"not translated: {ids[0]!r}"
            continue
        for text in texts:
            if any(_placeholders(text) != _placeholders(msgid) for msgid in ids):
                yield f"other placeholders than {ids[0]!r}: {text!r}"
            if language in _BREAKABLE and _BREAKABLE[language].search(text):
                yield f"a space that can break: {text!r}"


def _compiled(po: Path) -> Iterator[str]:
    """Compare what the `.mo` says with the `.po`, text by text: the files' headers may differ."""
    mo = po.with_suffix(".mo")
    if not mo.is_file():
        yield f"{mo.name} is missing: python -m starter.texts.compile"
        return
    with mo.open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    for message in _messages(read(po)):
        ids, texts = _ids(message), _strings(message)
        if len(ids) == 2:
            same = {compiled.ngettext(*ids, number) for number in (0, 1, 2, 1000)} == set(texts)
        else:
            same = compiled.gettext(ids[0]) == texts[0]
        if not same:
            yield f"{mo.name} is older than the .po ({ids[0]!r}): python -m starter.texts.compile"
            return


def _messages(catalogue: Catalog) -> list[Message]:
    return [message for message in catalogue if message.id]


def _ids(message: Message) -> tuple[str, ...]:
    return (message.id,) if isinstance(message.id, str) else tuple(message.id)


def _strings(message: Message) -> tuple[str, ...]:
    return (message.string,) if isinstance(message.string, str) else tuple(message.string or ())


def _placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def main() -> int:
    """Check every language; print what is wrong to stderr."""
    mistakes = [
        f"{language}: {mistake}"
        for language in LANGUAGES
        if language != SOURCE_LANGUAGE
        for mistake in check(SOURCES, po_file(language))
    ]
    for mistake in mistakes:
        print(mistake, file=sys.stderr)  # noqa: T201 - a command
    return 1 if mistakes else 0


if __name__ == "__main__":
    sys.exit(main())
