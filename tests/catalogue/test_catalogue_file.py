"""The catalogue file: each mistake at its place and line, all at once; what is read is what was written."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

from changeover.domain.catalogue import FLEXI_PLUS, Configuration, Offer, Option, Per, rate
from changeover.storage import catalogue_file
from changeover.storage.catalogue_document import CatalogueInvalid, Mistake
from changeover.storage.catalogue_file import check_successor, read_catalogue
from tests.catalogue.conftest import VALID, Mistakes, Read

EXAMPLE = Path(catalogue_file.__file__).with_name("catalogue.example.toml")

SECOND = """
[offers.second]
game = "minecraft"
names.fr = "Deuxième"
names.en = "Second"
base = 100
per_slot = 0
slots = { min = 1, max = 1, step = 1 }
most_servers = 1
"""  # 17 to 24: what is appended to VALID begins with an empty line, 17, and its header is on 18


def test_a_valid_file_is_read_as_offers(read: Read) -> None:
    offers = read(VALID)
    flexi = Option(code="flexi_plus", price=490, per=Per.SERVICE)
    assert offers == {
        "start": Offer(
            code="start",
            game="minecraft",
            base=0,
            per_slot=100,
            min_slots=10,
            max_slots=32,
            slot_step=2,
            most_servers=5,
            options=(flexi,),
        )
    }
    assert offers["start"].names == {"fr": "Départ", "en": "Start"}
    assert offers["start"].options[0].names == {"fr": "Flexi+", "en": "Flexi+ en"}


def test_offers_keep_the_order_of_the_file_and_options_are_ordered_by_code(read: Read) -> None:
    extra = (
        '[options.a]\nnames = { fr = "A", en = "A" }\n[offers.start.options.a]\nprice = 0\nper = "server"\n'
    )
    offers = read(VALID + SECOND + extra)
    assert list(offers) == ["start", "second"]
    assert [option.code for option in offers["start"].options] == ["a", "flexi_plus"]


def test_on_sale_false_withdraws_an_offer_or_an_option_of_one(read: Read) -> None:
    offers = read(VALID.replace("on_sale = true", "on_sale = false") + "on_sale = false\n")
    assert not offers["start"].visible
    assert not offers["start"].options[0].visible


def test_a_free_offer_is_allowed(read: Read) -> None:
    assert read(VALID.replace("per_slot = 100", "per_slot = 0"))["start"].per_slot == 0


def test_the_limits_themselves_are_allowed(read: Read) -> None:
    text = VALID.replace("per_slot = 100", "per_slot = 10_000_000").replace(
        "most_servers = 5", "most_servers = 1000"
    )
    text = text.replace('"Start"', f'"{"x" * 60}"').replace("offers.start", f"offers.{'s' * 40}")
    offer = read(text)["s" * 40]
    assert (offer.per_slot, offer.most_servers, offer.names["en"]) == (10_000_000, 1000, "x" * 60)


@pytest.mark.parametrize(
    "prepare", [lambda text: b"\xef\xbb\xbf" + text, lambda text: text.replace(b"\n", b"\r\n")]
)
def test_an_editor_of_windows_does_no_harm(read: Read, prepare: Callable[[bytes], bytes]) -> None:
    assert read(prepare(VALID.encode())) == read(VALID)


# What is written instead, the place, the line, and how the message begins.
WRONG = [
    # prices
    ("per_slot = 100", "per_slot = 1.5", "offers.start.per_slot", 9,
     "1.5 is not a whole number of cents; write 150 for 1.50"),
    ("base = 0", "base = 4.90", "offers.start.base", 8,
     "4.9 is not a whole number of cents; write 490 for 4.90"),
    ("base = 0", "base = -0.5", "offers.start.base", 8, "-0.5 is not a whole number of cents"),
    ("base = 0", "base = nan", "offers.start.base", 8, "nan is not a whole number of cents"),
    ("base = 0", "base = 1e300", "offers.start.base", 8, "1e+300 is not a whole number of cents"),
    ("base = 0", "base = true", "offers.start.base", 8, "true is not a whole number of cents"),
    ("base = 0", 'base = "1"', "offers.start.base", 8, "'1' is not a whole number of cents"),
    ("base = 0", "base = []", "offers.start.base", 8, "an array is not a whole number of cents"),
    ("base = 0", "base = 2026-01-02", "offers.start.base", 8, "2026-01-02 is not a whole number of cents"),
    ("base = 0", "base = -1", "offers.start.base", 8, "-1 is too low; the least is 0"),
    ("base = 0", "base = 10_000_001", "offers.start.base", 8, "10000001 is too high; the most is 10000000"),
    ("base = 0", f"base = 0x{'f' * 6000}", "offers.start.base", 8, "a number that long is too high"),
    ("price = 490", "price = 4.9", "offers.start.options.flexi_plus.price", 15,
     "4.9 is not a whole number of cents; write 490 for 4.90"),
    ("price = 490", "price = -490", "offers.start.options.flexi_plus.price", 15, "-490 is too low"),
    ("price = 490\n", "", "offers.start.options.flexi_plus.price", 14, "is missing"),
    ("base = 0\n", "", "offers.start.base", 5, "is missing"),
    # slots and servers
    ("min = 10", "min = 0", "offers.start.slots.min", 10, "0 is too low; the least is 1"),
    ("max = 32", "max = 8", "offers.start.slots.max", 10, "8 is below min, 10"),
    ("max = 32", "max = 31", "offers.start.slots.max", 10,
     "31 is never reached from 10 in steps of 2; write 30 or 32"),
    ("max = 32", "max = 100_001", "offers.start.slots.max", 10, "100001 is too high; the most is 100000"),
    ("step = 2", "step = 0", "offers.start.slots.step", 10, "0 is too low; the least is 1"),
    ("step = 2", "step = 2.0", "offers.start.slots.step", 10, "2.0 is not a whole number"),
    (", step = 2", "", "offers.start.slots.step", 10, "is missing"),
    ("slots = { min = 10, max = 32, step = 2 }", "slots = 10", "offers.start.slots", 10, "10 is not a table"),
    ("slots = { min = 10, max = 32, step = 2 }\n", "", "offers.start.slots", 5, "is missing"),
    ("most_servers = 5", "most_servers = 0", "offers.start.most_servers", 11, "0 is too low; the least is 1"),
    ("most_servers = 5", "most_servers = 1001", "offers.start.most_servers", 11,
     "1001 is too high; the most is 1000"),
    ("most_servers = 5", "most_servers = false", "offers.start.most_servers", 11,
     "false is not a whole number"),
    # texts
    (', en = "Start"', "", "offers.start.names.en", 7, "is missing"),
    ('"Départ"', '""', "offers.start.names.fr", 7, "is empty"),
    ('"Départ"', '" "', "offers.start.names.fr", 7, "is empty"),
    ('"Départ"', "5", "offers.start.names.fr", 7, "5 is not text; put it in quotes"),
    ('"Départ"', '"a\\u0007"', "offers.start.names.fr", 7, "holds the character U+0007"),
    ('"Départ"', '"a\\u202Eb"', "offers.start.names.fr", 7, "holds the character U+202E"),
    ('"Départ"', '"""\na\nb"""', "offers.start.names.fr", 7, "holds the character U+000A"),
    ('"Départ"', f'"{"x" * 61}"', "offers.start.names.fr", 7, "has 61 characters; the most is 60"),
    ('names = { fr = "Départ", en = "Start" }', 'names = "Start"', "offers.start.names", 7,
     "'Start' is not a table"),
    ('en = "Flexi+ en"', 'en = ""', "options.flexi_plus.names.en", 3, "is empty"),
    ('names = { fr = "Flexi+", en = "Flexi+ en" }\n', "", "options.flexi_plus.names", 2, "is missing"),
    # flags and kinds
    ("on_sale = true", 'on_sale = "yes"', "offers.start.on_sale", 12, "'yes' is neither true nor false"),
    ("on_sale = true", "on_sale = 0", "offers.start.on_sale", 12, "0 is neither true nor false"),
    ('per = "service"', 'per = "month"', "offers.start.options.flexi_plus.per", 16,
     "'month' is unknown; write 'server' or 'service'"),
    ('per = "service"', "per = 1", "offers.start.options.flexi_plus.per", 16, "1 is unknown"),
    ('per = "service"\n', "", "offers.start.options.flexi_plus.per", 14, "is missing"),
    # keys and codes
    ("per_slot = 100", "per_slots = 100", "offers.start.per_slots", 9,
     "is not a known key; did you mean per_slot?"),
    ("on_sale = true", "colour = 1", "offers.start.colour", 12,
     "is not a known key; known are game, names, base, per_slot, slots, most_servers, on_sale, options"),
    ("step = 2", "step = 2, zzz = 1", "offers.start.slots.zzz", 10,
     "is not a known key; known are min, max, step"),
    ("price = 490", "price = 490\nperr = 2", "offers.start.options.flexi_plus.perr", 16,
     "is not a known key; did you mean per?"),
    ('en = "Start"', 'en = "Start", de = "Los"', "offers.start.names.de", 7,
     "is not a known key; known are fr, en"),
    ("# line 1", "currency = 'EUR'", "currency", 1, "is not a known key; known are options, offers"),
    ("# line 1", "'a\\nb'.c = 1", "'a\\\\nb'", 1, "is not a known key"),
    ("[offers.start]", "[offers.Start]\n[offers.start]", "offers.Start", 5,
     "'Start' is not a code; write small letters"),
    ('"minecraft"', '"Minecraft"', "offers.start.game", 6, "'Minecraft' is not a code; write small letters"),
    ('"minecraft"', "7", "offers.start.game", 6, "7 is not a code"),
    ('"minecraft"', '""', "offers.start.game", 6, "'' is not a code"),
    ('game = "minecraft"\n', "", "offers.start.game", 5, "is missing"),
    ("[options.flexi_plus]", "[options.flexi_plus]\nprice = 490", "options.flexi_plus.price", 3,
     "is not a known key"),
    # between tables
    ("[offers.start.options.flexi_plus]", "[offers.start.options.flexi_plux]",
     "offers.start.options.flexi_plux", 14, "has no [options.flexi_plux]; did you mean flexi_plus?"),
    ("[options.flexi_plus]", '[options."z\\n"]', "offers.start.options.flexi_plus", 14,
     "has no [options.flexi_plus]; known are 'z\\n'"),
    ("[options.flexi_plus]", "[options.zzz]", "offers.start.options.flexi_plus", 14,
     "has no [options.flexi_plus]; known are zzz"),
    ("# line 1", "options.spare.names = { fr = 'a', en = 'b' }\n[spare]", "options.spare", 1,
     "is in no offer"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("written", "instead", "place", "line", "message"),
    WRONG,
    ids=[f"{case[2]}:{case[1][:24]!r}" for case in WRONG],
)
def test_a_mistake_is_named_with_its_place_and_line(
    mistakes: Mistakes, written: str, instead: str, place: str, line: int, message: str
) -> None:
    assert VALID.count(written) == 1
    found = [mistake for mistake in mistakes(VALID.replace(written, instead)) if mistake.place == place]
    assert [(mistake.line, mistake.message[: len(message)]) for mistake in found] == [(line, message)]


@pytest.mark.parametrize(
    ("written", "instead"),
    [
        ("per_slot = 100", "per_slots = 100"),  # nor is per_slot missing
        ("slots = { min = 10, max = 32, step = 2 }", "slots = 10"),  # nor are min, max and step
        ("max = 32", "max = 0"),  # nor is it below min
        ('names = { fr = "Départ", en = "Start" }', "names = 0"),
        ("price = 490", "price = 1.0"),
    ],
)
def test_one_mistake_is_not_reported_as_two(mistakes: Mistakes, written: str, instead: str) -> None:
    assert len(mistakes(VALID.replace(written, instead))) == 1


def test_all_mistakes_are_reported_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.toml"
    text = VALID.replace("per_slot = 100", "per_slot = 1.5").replace("price = 490", "price = true")
    path.write_text(text.replace("Flexi+ en", "").replace("max = 32", "max = 9"), encoding="utf-8")
    with pytest.raises(CatalogueInvalid) as refused:
        read_catalogue(path)
    assert str(refused.value).splitlines() == [
        f"{path}:3: options.flexi_plus.names.en: is empty",
        f"{path}:9: offers.start.per_slot: 1.5 is not a whole number of cents; write 150 for 1.50",
        f"{path}:10: offers.start.slots.max: 9 is below min, 10",
        f"{path}:15: offers.start.options.flexi_plus.price: true is not a whole number of cents",
    ]


@pytest.mark.parametrize("name", ["Start", "  START ", "\uff33tart"])
def test_two_offers_of_a_game_never_read_alike(mistakes: Mistakes, name: str) -> None:
    [mistake] = mistakes(VALID + SECOND.replace('"Second"', f'"{name}"'))
    assert (mistake.place, mistake.line) == ("offers.second.names.en", 21)
    assert mistake.message == f"{name!r} is the name of offers.start too, of the same game"


def test_offers_of_two_games_may_have_one_name(read: Read) -> None:
    other = SECOND.replace("minecraft", "rust").replace('"Second"', '"Start"').replace("Deuxième", "Départ")
    assert read(VALID + other)["second"].names == read(VALID)["start"].names


def test_offers_without_a_usable_name_or_game_are_not_called_alike(mistakes: Mistakes) -> None:
    text = (VALID + SECOND).replace('"minecraft"', '"?"').replace('"Second"', '""').replace('"Start"', '""')
    assert [mistake.line for mistake in mistakes(text)] == [6, 7, 19, 21]


@pytest.mark.parametrize("text", ["", "# nothing\n", "[offers]\n", "[options]\n"])
def test_an_empty_catalogue_is_refused(mistakes: Mistakes, text: str) -> None:
    [mistake] = mistakes(text)
    assert mistake.message.startswith("is empty; a catalogue has at least one offer")
    assert (mistake.place, mistake.line) == ("offers", 1 if text == "[offers]\n" else None)


@pytest.mark.parametrize("key", ["offers", "options"])
@pytest.mark.parametrize(("value", "shown"), [("0", "0"), ("[]", "an array"), ("[[1]]", "an array")])
def test_a_table_that_is_none_is_refused(mistakes: Mistakes, key: str, value: str, shown: str) -> None:
    assert Mistake(key, 1, f"{shown} is not a table") in mistakes(f"{key} = {value}\n")


def test_an_array_of_tables_is_refused_at_its_header(mistakes: Mistakes) -> None:
    assert mistakes('\n[[offers]]\ngame = "rust"\n') == [Mistake("offers", 2, "an array is not a table")]


def test_an_offer_or_an_option_that_is_no_table_is_one_mistake(mistakes: Mistakes) -> None:
    text = VALID.replace('[offers.start.options.flexi_plus]\nprice = 490\nper = "service"\n', "")
    assert mistakes(text + "options.flexi_plus = 490\n[offers]\nx = 1\n") == [
        Mistake("offers.start.options.flexi_plus", 14, "490 is not a table"),
        Mistake("offers.x", 16, "1 is not a table"),
    ]


def test_an_option_where_none_is_described_has_no_suggestion(mistakes: Mistakes) -> None:
    [mistake] = mistakes(VALID.split("\n", 4)[4])
    assert mistake == Mistake(
        "offers.start.options.flexi_plus", 10, "has no [options.flexi_plus]; none is known"
    )


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "none.toml"
    with pytest.raises(CatalogueInvalid) as refused:
        read_catalogue(path)
    assert str(refused.value) == f"{path}: can't be read: No such file or directory"


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogueInvalid, match="can't be read: Is a directory"):
        read_catalogue(tmp_path)


def test_a_file_that_is_not_utf8_is_refused_with_the_line(mistakes: Mistakes) -> None:
    [mistake] = mistakes(VALID.encode("latin-1"))
    assert mistake == Mistake("", 7, "is not UTF-8; save the file in that encoding")


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a = 1\nb = \n", 2, "Invalid value"),
        ("a = 1\n\na = 2\n", 3, "Cannot overwrite a value"),
        ("[a]\nb = 1\n[a]\n", 3, "Cannot declare"),
        ("a = 1\n[b", 2, "Expected ']'"),
        ("a = {", 1, "end of document"),
        ('a = 1\nb = """\n\n', 4, "Unterminated string"),
        (f"a = {'9' * 5000}\n", None, "4300 digits"),
    ],
)
def test_what_is_not_toml_is_refused_with_the_line(
    mistakes: Mistakes, text: str, line: int | None, message: str
) -> None:
    [mistake] = mistakes(text)
    assert (mistake.place, mistake.line) == ("", line)
    assert mistake.message.startswith("is not TOML: ")
    assert message in mistake.message


def test_a_file_nested_without_end_is_refused(mistakes: Mistakes) -> None:
    assert mistakes(f"a = {'[' * 20_000}") == [Mistake("", None, "is nested too deeply")]


def test_a_dotted_key_without_end_is_refused(mistakes: Mistakes) -> None:
    assert mistakes(".".join("a" * 2_000) + " = 1")


def test_the_refusal_shows_each_mistake_on_one_line() -> None:
    invalid = CatalogueInvalid(
        (
            Mistake(
                "offers.minecraft-start.per_slot",
                42,
                "1.5 is not a whole number of cents; write 150 for 1.50",
            ),
            Mistake("", None, "can't be read"),
        ),
        "catalogue.toml",
    )
    assert str(invalid) == (
        "catalogue.toml:42: offers.minecraft-start.per_slot: "
        "1.5 is not a whole number of cents; write 150 for 1.50\n"
        "catalogue.toml: can't be read"
    )


# The next version of a catalogue

START = Offer(
    code="start",
    game="minecraft",
    base=0,
    per_slot=100,
    min_slots=1,
    max_slots=9,
    slot_step=1,
    most_servers=2,
    options=(Option(code="flexi_plus", price=1, per=Per.SERVER), Option(code="ram", price=1, per=Per.SERVER)),
)


def test_a_successor_may_add_withdraw_and_reprice() -> None:
    withdrawn = tuple(replace(option, visible=False) for option in START.options)
    after = replace(START, base=7, visible=False, options=withdrawn, max_slots=3)
    check_successor({}, {})
    check_successor({"start": START}, {"new": replace(START, code="new"), "start": after})


def test_a_successor_names_all_that_it_forgot() -> None:
    previous = {code: replace(START, code=code) for code in ("start", "gone", "moved")}
    new = {
        "start": replace(START, options=START.options[1:]),
        "moved": replace(START, code="moved", game="rust", options=()),
    }
    with pytest.raises(CatalogueInvalid) as refused:
        check_successor(previous, new)
    back = "is never deleted: put it back and set on_sale = false to withdraw it"
    other = "was 'minecraft' and can't become 'rust'; give the new game an offer of its own"
    assert str(refused.value).splitlines() == [
        f"catalogue: offers.gone: is gone; an offer {back}",
        f"catalogue: offers.moved.game: {other}",
        f"catalogue: offers.moved.options.flexi_plus: is gone; an option {back}",
        f"catalogue: offers.moved.options.ram: is gone; an option {back}",
        f"catalogue: offers.start.options.flexi_plus: is gone; an option {back}",
    ]


# The example


@pytest.fixture(scope="module")
def offers() -> Mapping[str, Offer]:
    return MappingProxyType(read_catalogue(EXAMPLE))


def test_the_example_shows_what_a_catalogue_can_say(offers: Mapping[str, Offer]) -> None:
    assert len(offers) >= 6
    assert len({offer.game for offer in offers.values()}) >= 4
    options = [option for offer in offers.values() for option in offer.options]
    assert FLEXI_PLUS in {option.code for option in options}
    assert len({option.code for option in options}) >= 3
    assert {option.per for option in options} == {Per.SERVER, Per.SERVICE}
    assert [offer.code for offer in offers.values() if not offer.visible] == ["valheim-viking"]
    assert not all(option.visible for option in options)


def test_the_example_has_the_offers_of_the_worked_examples(offers: Mapping[str, Offer]) -> None:
    public, eco, tournament, club = (
        offers[f"cs2-{name}"] for name in ("public", "eco", "tournament", "club")
    )
    assert len({offer.game for offer in (public, eco, tournament, club)}) == 1
    assert all(public.allows_slots(slots) for slots in (10, 12, 16, 20, 32))
    assert public.most_servers >= 5
    assert public.option(FLEXI_PLUS) is not None
    assert eco.allows_slots(16)
    assert eco.most_servers >= 3
    assert tournament.allows_slots(12)
    assert club.allows_slots(12)
    assert rate(public, Configuration.of(public.code, 20, (), 3)) == 6000
    assert rate(public, Configuration.of(public.code, 20, (), 2)) == 4000
    assert rate(public, Configuration.of(public.code, 10, (), 1)) == 1000
    assert rate(public, Configuration.of(public.code, 32, (), 1)) == 3200
    assert rate(eco, Configuration.of(eco.code, 16, (), 2)) == 2880
    assert rate(eco, Configuration.of(eco.code, 16, (), 3)) == 4320
    assert rate(tournament, Configuration.of(tournament.code, 12, (), 1)) == 2100
    assert rate(club, Configuration.of(club.code, 12, ("extra_ram",), 1)) == 1810
