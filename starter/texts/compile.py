"""`python -m starter.texts.compile`: make the `.mo` of every language that has a `.po`."""

from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from starter.texts.words import DOMAIN, FOLDER, LANGUAGES, SOURCE_LANGUAGE


def po_file(language: str) -> Path:
    return FOLDER / language / "LC_MESSAGES" / f"{DOMAIN}.po"


def read(po: Path) -> Catalog:
    """Read translations. Raises `babel.messages.pofile.PoFileError` for what is not a `.po`."""
    with po.open("rb") as file:
        return read_po(file, locale=po.parent.parent.name, domain=DOMAIN, abort_invalid=True)


def compile_po(po: Path) -> Path:
    """Write the `.mo` beside `po`, and return it."""
    mo = po.with_suffix(".mo")
    with mo.open("wb") as file:
        write_mo(file, read(po))
    return mo


if __name__ == "__main__":
    for translated in LANGUAGES:
        if translated != SOURCE_LANGUAGE:
            print(compile_po(po_file(translated)).name)  # noqa: T201 - a command
