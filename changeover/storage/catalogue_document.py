"""A TOML document that a host writes by hand: its tables, the line of each, and every mistake at once."""

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

LANGUAGES = ("fr", "en")
HIGHEST_PRICE = 10_000_000
"""Cents per 30 days. A price above it is a slip of the keyboard."""
LONGEST_TEXT = 60
"""Characters that a name may have: it stands in a mail's subject and in a table on a phone."""

_CODE = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_UNPRINTABLE = {"Cc", "Cf", "Zl", "Zp"}  # controls, invisible formatting, line and paragraph separators

_OF_CENTS = " of cents"

Keys = tuple[str, ...]


@dataclass(frozen=True)
class Mistake:
    """One thing to put right. `place` is the dotted key, empty when it is the file as a whole."""

    place: str
    line: int | None
    message: str


class CatalogueInvalid(Exception):
    """The catalogue can't be used; `mistakes` holds all that is wrong with it, in the order of the file."""

    def __init__(self, mistakes: tuple[Mistake, ...], source: str = "catalogue") -> None:
        super().__init__(mistakes, source)
        self.mistakes = mistakes
        self.source = source

    def __str__(self) -> str:
        return "\n".join(self._shown(mistake) for mistake in self.mistakes)

    def _shown(self, mistake: Mistake) -> str:
        where = self.source if mistake.line is None else f"{self.source}:{mistake.line}"
        return ": ".join(part for part in (where, mistake.place, mistake.message) if part)


def read_document(path: Path) -> "Table":
    """Return the table that the file at `path` is as a whole.

    Raises `CatalogueInvalid` when it can't be read at all: missing, not UTF-8, not TOML.
    """
    document, lines = _parse(_text(path), str(path))
    return Table(Findings(lines), (), document)


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise _unusable(str(path), f"can't be read: {error.strerror or error}") from error
    try:
        return raw.decode("utf-8-sig")  # some editors begin a file with a byte order mark
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _unusable(str(path), "is not UTF-8; save the file in that encoding", line) from error


def _parse(text: str, source: str) -> tuple[dict[str, Any], dict[Keys, int]]:
    try:
        return tomllib.loads(text), lines_of(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"\(at line (\d+), column \d+\)", str(error))
        line = int(found[1]) if found else text.count("\n") + 1  # "at end of document"
        raise _unusable(source, f"is not TOML: {error}", line) from error
    except ValueError as error:  # Python's own limit on digits
        raise _unusable(source, f"is not TOML: {error}") from error
    except RecursionError as error:
        raise _unusable(source, "is nested too deeply") from error


def _unusable(source: str, message: str, line: int | None = None) -> CatalogueInvalid:
    return CatalogueInvalid((Mistake("", line, message),), source)


def lines_of(text: str) -> dict[Keys, int]:
    """Return the line (from 1) of each table and key of `text`, which must be valid TOML.

    A table stands at its header, anything else where the statement begins that names it first. Nothing inside
    an array has a line of its own.
    """
    lines: dict[Keys, int] = {}
    table: Keys = ()
    statement = ""
    for number, line in enumerate(text.split("\n"), 1):
        if not statement:
            start = number
        statement += line + "\n"
        try:
            parsed = tomllib.loads(statement)
        except ValueError:
            continue  # a string or an array goes on: the shortest run of lines that parses is a statement
        header = statement.lstrip(" \t").startswith("[")
        statement = ""
        named = list(_named((), parsed) if header else _named(table, parsed))
        for keys in named:
            lines.setdefault(keys, start)
        if header:
            table = max(named, key=len)
            lines[table] = start
    return lines


def _named(table: Keys, values: dict[str, Any]) -> Iterator[Keys]:
    waiting = [(table, values)]
    while waiting:  # not recursive: a dotted key may be longer than Python's stack is deep
        above, content = waiting.pop()
        for key, value in content.items():
            yield (*above, key)
            if isinstance(value, dict):
                waiting.append(((*above, key), value))


@dataclass
class Findings:
    lines: Mapping[Keys, int]
    mistakes: list[Mistake] = field(default_factory=list)

    def add(self, keys: Keys, message: str) -> None:
        known = (keys[:length] for length in range(len(keys), 0, -1))
        line = next((self.lines[above] for above in known if above in self.lines), None)
        self.mistakes.append(Mistake(dotted(keys), line, message))

    def in_order(self) -> tuple[Mistake, ...]:
        return tuple(sorted(self.mistakes, key=lambda mistake: mistake.line or 0))


@dataclass(frozen=True)
class Table:
    """A table of the file. What is wrong or missing is noted once, and a harmless value stands in for it."""

    findings: Findings
    keys: Keys
    values: Mapping[str, Any]
    stands_in: bool = False

    def refuse(self, key: str, message: str) -> None:
        self.findings.add((*self.keys, key), message)

    def expect(self, required: Iterable[str], optional: Iterable[str] = ()) -> None:
        if self.stands_in:
            return
        known = [*required, *optional]
        meant = set()
        for key in self.values:
            if key not in known:
                guess = get_close_matches(key, known, n=1)
                meant.update(guess)
                self.refuse(key, f"is not a known key; {suggestion(guess, known)}")
        for key in required:
            if key not in self.values and key not in meant:
                self.refuse(key, "is missing")

    def table(self, key: str) -> "Table":
        value = self.values.get(key)
        if isinstance(value, dict):
            return Table(self.findings, (*self.keys, key), value)
        if key in self.values:
            self.refuse(key, f"{shown(value)} is not a table")
        return Table(self.findings, (*self.keys, key), {}, stands_in=True)

    def entries(self) -> Iterator[tuple[str, "Table"]]:
        """Yield the tables in this one by their codes."""
        for code in self.values:
            if not _CODE.fullmatch(code):
                self.refuse(code, _not_a_code(code))
            yield code, self.table(code)

    def whole(self, key: str, least: int, most: int, unit: str = "") -> int:
        value = self.values.get(key, least)
        if isinstance(value, bool) or not isinstance(value, int):
            hint = _in_cents(value) if unit == _OF_CENTS else ""
            self.refuse(key, f"{shown(value)} is not a whole number{unit}{hint}")
        elif value < least:
            self.refuse(key, f"{shown(value)} is too low; the least is {least}")
        elif value > most:
            self.refuse(key, f"{shown(value)} is too high; the most is {most}")
        else:
            return value
        return least

    def price(self, key: str) -> int:
        return self.whole(key, 0, HIGHEST_PRICE, _OF_CENTS)

    def flag(self, key: str, default: bool) -> bool:
        value = self.values.get(key, default)
        if isinstance(value, bool):
            return value
        self.refuse(key, f"{shown(value)} is neither true nor false")
        return default

    def code(self, key: str) -> str:
        value = self.values.get(key, "")
        if isinstance(value, str) and _CODE.fullmatch(value):
            return value
        if key in self.values:
            self.refuse(key, _not_a_code(value))
        return ""

    def text(self, key: str) -> str:
        value = self.values.get(key, "")
        if not isinstance(value, str):
            self.refuse(key, f"{shown(value)} is not text; put it in quotes")
        elif key in self.values and not value.strip():
            self.refuse(key, "is empty")
        elif len(value) > LONGEST_TEXT:
            self.refuse(key, f"has {len(value)} characters; the most is {LONGEST_TEXT}")
        elif hidden := next((char for char in value if unicodedata.category(char) in _UNPRINTABLE), ""):
            self.refuse(key, f"holds the character U+{ord(hidden):04X}, which can't be seen; take it out")
        else:
            return value
        return ""

    def names(self) -> dict[str, str]:
        names = self.table("names")
        names.expect(LANGUAGES)
        return {language: names.text(language) for language in LANGUAGES}


def _in_cents(value: object) -> str:
    if not isinstance(value, float) or not 0 <= value <= HIGHEST_PRICE / 100:
        return ""
    amount = f"{value:.2f}"
    return f"; write {int(amount.replace('.', ''))} for {amount}"


def _not_a_code(value: object) -> str:
    rule = "small letters a-z, digits, - and _, at most 40, a letter or a digit first"
    return f"{shown(value)} is not a code; write {rule}"


def suggestion(guess: list[str], known: Iterable[str]) -> str:
    if guess:
        return f"did you mean {dotted((guess[0],))}?"
    return f"known are {', '.join(dotted((key,)) for key in known)}" if known else "none is known"


def dotted(keys: Keys) -> str:
    return ".".join(key if _BARE_KEY.fullmatch(key) else shown(key) for key in keys)


def shown(value: object) -> str:
    """Say `value` as the host wrote it, on one line and in few words."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "an array"
    if isinstance(value, int) and value.bit_length() > 63:
        return "a number that long"
    words = repr(value) if isinstance(value, str | float) else str(value)
    return words if len(words) <= LONGEST_TEXT else f"{words[:LONGEST_TEXT]}..."
