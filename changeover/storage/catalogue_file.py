"""The catalogue file: what a host writes by hand in TOML, read with every mistake named at once.

`catalogue.example.toml` beside this module explains the format line by line.
"""

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from changeover.domain.catalogue import Offer, Option, Per

LANGUAGES = ("fr", "en")
HIGHEST_PRICE = 10_000_000
"""Cents per 30 days. A price above it is a slip of the keyboard."""
MOST_SLOTS = 100_000
MOST_SERVERS = 1_000
LONGEST_TEXT = 60
"""Characters that a name may have: it stands in a mail's subject and in a table on a phone."""

_CODE = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_UNPRINTABLE = {"Cc", "Cf", "Zl", "Zp"}  # controls, invisible formatting, line and paragraph separators

_OF_CENTS = " of cents"

_Keys = tuple[str, ...]


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


def read_catalogue(path: Path) -> dict[str, Offer]:
    """Return the offers of the file at `path` by code, in its order; withdrawn ones included.

    Raises `CatalogueInvalid` with every mistake there is. One that keeps the file from being read at all
    (missing, not UTF-8, not TOML) stands alone.
    """
    document, lines = _parse(_text(path), str(path))
    findings = _Findings(lines)
    offers = _catalogue(_Table(findings, (), document))
    if findings.mistakes:
        raise CatalogueInvalid(findings.in_order(), str(path))
    return offers


def check_successor(previous: Mapping[str, Offer], new: Mapping[str, Offer]) -> None:
    """Refuse `new` with `CatalogueInvalid` when it forgets what `previous` sold.

    Offers and options are withdrawn from sale, never deleted: services still run on them and need today's
    price. An offer never changes its game: the data of its services would belong to the wrong one.
    """
    mistakes: list[Mistake] = []
    for code, before in sorted(previous.items()):
        after = new.get(code)
        if after is None:
            mistakes.append(_deleted(("offers", code), "offer"))
            continue
        if after.game != before.game:
            advice = (
                f"was {before.game!r} and can't become {after.game!r}; give the new game an offer of its own"
            )
            mistakes.append(Mistake(_dotted(("offers", code, "game")), None, advice))
        mistakes += [
            _deleted(("offers", code, "options", option.code), "option")
            for option in before.options
            if after.option(option.code) is None
        ]
    if mistakes:
        raise CatalogueInvalid(tuple(mistakes))


def _deleted(keys: _Keys, noun: str) -> Mistake:
    advice = f"is gone; an {noun} is never deleted: put it back and set on_sale = false to withdraw it"
    return Mistake(_dotted(keys), None, advice)


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


def _parse(text: str, source: str) -> tuple[dict[str, Any], dict[_Keys, int]]:
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


def lines_of(text: str) -> dict[_Keys, int]:
    """Return the line (from 1) of each table and key of `text`, which must be valid TOML.

    A table stands at its header, anything else where the statement begins that names it first. Nothing inside
    an array has a line of its own.
    """
    lines: dict[_Keys, int] = {}
    table: _Keys = ()
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


def _named(table: _Keys, values: dict[str, Any]) -> Iterator[_Keys]:
    waiting = [(table, values)]
    while waiting:  # not recursive: a dotted key may be longer than Python's stack is deep
        above, content = waiting.pop()
        for key, value in content.items():
            yield (*above, key)
            if isinstance(value, dict):
                waiting.append(((*above, key), value))


@dataclass
class _Findings:
    lines: Mapping[_Keys, int]
    mistakes: list[Mistake] = field(default_factory=list)

    def add(self, keys: _Keys, message: str) -> None:
        known = (keys[:length] for length in range(len(keys), 0, -1))
        line = next((self.lines[above] for above in known if above in self.lines), None)
        self.mistakes.append(Mistake(_dotted(keys), line, message))

    def in_order(self) -> tuple[Mistake, ...]:
        return tuple(sorted(self.mistakes, key=lambda mistake: mistake.line or 0))


@dataclass(frozen=True)
class _Table:
    """A table of the file. What is wrong or missing is noted once, and a harmless value stands in for it."""

    findings: _Findings
    keys: _Keys
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
                self.refuse(key, f"is not a known key; {_suggestion(guess, known)}")
        for key in required:
            if key not in self.values and key not in meant:
                self.refuse(key, "is missing")

    def table(self, key: str) -> "_Table":
        value = self.values.get(key)
        if isinstance(value, dict):
            return _Table(self.findings, (*self.keys, key), value)
        if key in self.values:
            self.refuse(key, f"{_shown(value)} is not a table")
        return _Table(self.findings, (*self.keys, key), {}, stands_in=True)

    def entries(self) -> Iterator[tuple[str, "_Table"]]:
        """Yield the tables in this one by their codes."""
        for code in self.values:
            if not _CODE.fullmatch(code):
                self.refuse(code, _not_a_code(code))
            yield code, self.table(code)

    def whole(self, key: str, least: int, most: int, unit: str = "") -> int:
        value = self.values.get(key, least)
        if isinstance(value, bool) or not isinstance(value, int):
            hint = _in_cents(value) if unit == _OF_CENTS else ""
            self.refuse(key, f"{_shown(value)} is not a whole number{unit}{hint}")
        elif value < least:
            self.refuse(key, f"{_shown(value)} is too low; the least is {least}")
        elif value > most:
            self.refuse(key, f"{_shown(value)} is too high; the most is {most}")
        else:
            return value
        return least

    def price(self, key: str) -> int:
        return self.whole(key, 0, HIGHEST_PRICE, _OF_CENTS)

    def flag(self, key: str, default: bool) -> bool:
        value = self.values.get(key, default)
        if isinstance(value, bool):
            return value
        self.refuse(key, f"{_shown(value)} is neither true nor false")
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
            self.refuse(key, f"{_shown(value)} is not text; put it in quotes")
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


def _catalogue(document: _Table) -> dict[str, Offer]:
    document.expect((), ("options", "offers"))
    sold, described = document.table("offers"), document.table("options")
    names: dict[str, dict[str, str]] = {}
    for code, entry in described.entries():
        entry.expect(("names",))
        names[code] = entry.names()
    offers = {code: _offer(code, entry, names) for code, entry in sold.entries()}
    if offers:
        _refuse_unused(described, offers.values())
        _refuse_same_names(sold, offers.values())
    elif document.values.get("offers", {}) == {}:
        document.refuse("offers", "is empty; a catalogue has at least one offer, [offers.<code>]")
    return offers


def _offer(code: str, entry: _Table, known: Mapping[str, Mapping[str, str]]) -> Offer:
    entry.expect(("game", "names", "base", "per_slot", "slots", "most_servers"), ("on_sale", "options"))
    least, most, step = _slots(entry)
    return Offer(
        code=code,
        game=entry.code("game"),
        base=entry.price("base"),
        per_slot=entry.price("per_slot"),
        min_slots=least,
        max_slots=most,
        slot_step=step,
        most_servers=entry.whole("most_servers", 1, MOST_SERVERS),
        options=_options(entry.table("options"), known),
        visible=entry.flag("on_sale", default=True),
        names=entry.names(),
    )


def _slots(entry: _Table) -> tuple[int, int, int]:
    slots = entry.table("slots")
    mistakes_before = len(entry.findings.mistakes)
    slots.expect(("min", "max", "step"))
    least, most, step = (slots.whole(key, 1, MOST_SLOTS) for key in ("min", "max", "step"))
    if len(entry.findings.mistakes) > mistakes_before:
        return least, most, step  # nothing more can be said about figures that are wrong
    if most < least:
        slots.refuse("max", f"{most} is below min, {least}")
    elif beyond := (most - least) % step:
        reachable = f"write {most - beyond} or {most - beyond + step}"
        slots.refuse("max", f"{most} is never reached from {least} in steps of {step}; {reachable}")
    return least, most, step


def _options(table: _Table, known: Mapping[str, Mapping[str, str]]) -> tuple[Option, ...]:
    options = []
    for code, entry in table.entries():
        entry.expect(("price", "per"), ("on_sale",))
        if code not in known:
            guess = get_close_matches(code, known, n=1)
            table.refuse(code, f"has no [{_dotted(('options', code))}]; {_suggestion(guess, known)}")
        options.append(
            Option(
                code=code,
                price=entry.price("price"),
                per=_per(entry),
                visible=entry.flag("on_sale", default=True),
                names=known.get(code, {}),
            )
        )
    return tuple(sorted(options, key=lambda option: option.code))


def _per(entry: _Table) -> Per:
    value = entry.values.get("per", Per.SERVER)
    if isinstance(value, str) and value in tuple(Per):
        return Per(value)
    entry.refuse("per", f"{_shown(value)} is unknown; write {' or '.join(repr(str(per)) for per in Per)}")
    return Per.SERVER


def _refuse_unused(described: _Table, offers: Iterable[Offer]) -> None:
    used = {option.code for offer in offers for option in offer.options}
    for code in described.values:
        if code not in used:
            described.refuse(code, "is in no offer; add it to the options of one, or take it out")


def _refuse_same_names(sold: _Table, offers: Iterable[Offer]) -> None:
    first: dict[tuple[str, str, str], str] = {}
    for offer in offers:
        for language, name in offer.names.items():
            if not (offer.game and name):
                continue  # refused already
            holder = first.setdefault((offer.game, language, _as_read(name)), offer.code)
            if holder != offer.code:
                message = f"{_shown(name)} is the name of {_dotted(('offers', holder))} too, of the same game"
                sold.findings.add((*sold.keys, offer.code, "names", language), message)


def _as_read(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def _in_cents(value: object) -> str:
    if not isinstance(value, float) or not 0 <= value <= HIGHEST_PRICE / 100:
        return ""
    amount = f"{value:.2f}"
    return f"; write {int(amount.replace('.', ''))} for {amount}"


def _not_a_code(value: object) -> str:
    rule = "small letters a-z, digits, - and _, at most 40, a letter or a digit first"
    return f"{_shown(value)} is not a code; write {rule}"


def _suggestion(guess: list[str], known: Iterable[str]) -> str:
    if guess:
        return f"did you mean {_dotted((guess[0],))}?"
    return f"known are {', '.join(_dotted((key,)) for key in known)}" if known else "none is known"


def _dotted(keys: _Keys) -> str:
    return ".".join(key if _BARE_KEY.fullmatch(key) else _shown(key) for key in keys)


def _shown(value: object) -> str:
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
