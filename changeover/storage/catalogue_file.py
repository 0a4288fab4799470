"""The catalogue file: what a host writes by hand in TOML, read with every mistake named at once.

`catalogue.example.toml` beside this module explains the format line by line.
"""

import unicodedata
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path

from changeover.domain.catalogue import Offer, Option, Per
from changeover.storage.catalogue_document import (
    CatalogueInvalid,
    Keys,
    Mistake,
    Table,
    dotted,
    read_document,
    shown,
    suggestion,
)

MOST_SLOTS = 100_000
MOST_SERVERS = 1_000


def read_catalogue(path: Path) -> dict[str, Offer]:
    """Return the offers of the file at `path` by code, in its order; withdrawn ones included.

    Raises `CatalogueInvalid` with every mistake there is. One that keeps the file from being read at all
    (missing, not UTF-8, not TOML) stands alone.
    """
    document = read_document(path)
    offers = _catalogue(document)
    if document.findings.mistakes:
        raise CatalogueInvalid(document.findings.in_order(), str(path))
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
            mistakes.append(Mistake(dotted(("offers", code, "game")), None, advice))
        mistakes += [
            _deleted(("offers", code, "options", option.code), "option")
            for option in before.options
            if after.option(option.code) is None
        ]
    if mistakes:
        raise CatalogueInvalid(tuple(mistakes))


def _deleted(keys: Keys, noun: str) -> Mistake:
    advice = f"is gone; an {noun} is never deleted: put it back and set on_sale = false to withdraw it"
    return Mistake(dotted(keys), None, advice)


def _catalogue(document: Table) -> dict[str, Offer]:
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


def _offer(code: str, entry: Table, known: Mapping[str, Mapping[str, str]]) -> Offer:
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


def _slots(entry: Table) -> tuple[int, int, int]:
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


def _options(table: Table, known: Mapping[str, Mapping[str, str]]) -> tuple[Option, ...]:
    options = []
    for code, entry in table.entries():
        entry.expect(("price", "per"), ("on_sale",))
        if code not in known:
            guess = get_close_matches(code, known, n=1)
            table.refuse(code, f"has no [{dotted(('options', code))}]; {suggestion(guess, known)}")
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


def _per(entry: Table) -> Per:
    value = entry.values.get("per", Per.SERVER)
    if isinstance(value, str) and value in tuple(Per):
        return Per(value)
    entry.refuse("per", f"{shown(value)} is unknown; write {' or '.join(repr(str(per)) for per in Per)}")
    return Per.SERVER


def _refuse_unused(described: Table, offers: Iterable[Offer]) -> None:
    used = {option.code for offer in offers for option in offer.options}
    for code in described.values:
        if code not in used:
            described.refuse(code, "is in no offer; add it to the options of one, or take it out")


def _refuse_same_names(sold: Table, offers: Iterable[Offer]) -> None:
    first: dict[tuple[str, str, str], str] = {}
    for offer in offers:
        for language, name in offer.names.items():
            if not (offer.game and name):
                continue  # refused already
            holder = first.setdefault((offer.game, language, _as_read(name)), offer.code)
            if holder != offer.code:
                message = f"{shown(name)} is the name of {dotted(('offers', holder))} too, of the same game"
                sold.findings.add((*sold.keys, offer.code, "names", language), message)


def _as_read(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())
