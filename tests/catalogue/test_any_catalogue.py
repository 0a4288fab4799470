"""Any catalogue is read as it was written; any text is read, or refused with its mistakes."""

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from changeover.domain.catalogue import Offer, Option, Per
from changeover.storage.catalogue_document import HIGHEST_PRICE, LONGEST_TEXT, CatalogueInvalid
from changeover.storage.catalogue_file import check_successor
from tests.catalogue.conftest import VALID, Read

PROFILE = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

codes = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,39}", fullmatch=True)
prices = st.integers(0, HIGHEST_PRICE)
texts = st.text(
    st.characters(exclude_categories=("Cc", "Cf", "Cs", "Zl", "Zp")),
    min_size=1,
    max_size=LONGEST_TEXT,
).filter(str.strip)


@st.composite
def catalogues(draw: st.DrawFn) -> dict[str, Offer]:
    names = st.fixed_dictionaries({"fr": texts, "en": texts})
    described = draw(st.dictionaries(codes, names, max_size=4))
    offers = {
        code: draw(_offers(code, described))
        for code in draw(st.lists(codes, min_size=1, max_size=4, unique=True))
    }
    used = {option.code for offer in offers.values() for option in offer.options}
    last = list(offers)[-1]
    unused = [
        Option(code=code, price=draw(prices), per=Per.SERVICE, names=described[code])
        for code in described.keys() - used
    ]
    options = sorted([*offers[last].options, *unused], key=lambda option: option.code)
    return {**offers, last: replace(offers[last], options=tuple(options))}


@st.composite
def _offers(draw: st.DrawFn, code: str, described: Mapping[str, Mapping[str, str]]) -> Offer:
    least, step = draw(st.integers(1, 100)), draw(st.integers(1, 50))
    taken = draw(st.sets(st.sampled_from(sorted(described)))) if described else set()
    return Offer(
        code=code,
        game=code,  # a game each: names may be the same then
        base=draw(prices),
        per_slot=draw(prices),
        min_slots=least,
        max_slots=least + step * draw(st.integers(0, 100)),
        slot_step=step,
        most_servers=draw(st.integers(1, 1000)),
        options=tuple(
            Option(
                code=option,
                price=draw(prices),
                per=draw(st.sampled_from(Per)),
                visible=draw(st.booleans()),
                names=described[option],
            )
            for option in sorted(taken)
        ),
        visible=draw(st.booleans()),
        names=draw(st.fixed_dictionaries({"fr": texts, "en": texts})),
    )


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _names(names: Mapping[str, str]) -> str:
    return f"names = {{ fr = {_quoted(names['fr'])}, en = {_quoted(names['en'])} }}"


def _toml(offers: Mapping[str, Offer]) -> str:
    described = {option.code: option.names for offer in offers.values() for option in offer.options}
    lines = [f"[options.{code}]\n{_names(names)}" for code, names in described.items()]
    for offer in offers.values():
        slots = f"{{ min = {offer.min_slots}, max = {offer.max_slots}, step = {offer.slot_step} }}"
        lines += [
            f"[offers.{offer.code}]",
            f'game = "{offer.game}"',
            _names(offer.names),
            f"base = {offer.base}",
            f"per_slot = {offer.per_slot}",
            f"slots = {slots}",
            f"most_servers = {offer.most_servers}",
            f"on_sale = {str(offer.visible).lower()}",
        ]
        lines += [
            f'options.{option.code} = {{ price = {option.price}, per = "{option.per}", '
            f"on_sale = {str(option.visible).lower()} }}"
            for option in offer.options
        ]
    return "\n".join(lines)


@PROFILE
@given(catalogues())
def test_what_is_written_is_what_is_read(read: Read, offers: dict[str, Offer]) -> None:
    again = read(_toml(offers))
    assert again == offers
    for code, offer in offers.items():
        assert again[code].names == offer.names
        assert [option.names for option in again[code].options] == [option.names for option in offer.options]
    check_successor(offers, again)


@PROFILE
@given(catalogues(), st.data())
def test_a_broken_price_is_found_on_its_line(
    read: Read, offers: dict[str, Offer], data: st.DataObject
) -> None:
    lines = _toml(offers).split("\n")
    at = data.draw(st.sampled_from([at for at, line in enumerate(lines) if line.startswith("base = ")]))
    lines[at] = "base = 0.5"
    with pytest.raises(CatalogueInvalid) as refused:
        read("\n".join(lines))
    assert [mistake.line for mistake in refused.value.mistakes] == [at + 1]


pieces = st.sampled_from(
    ["[", "]", "[[", "]]", "{", "}", "=", " = ", ".", ",", "\n", "\r\n", " ", '"', "'", '"""', "'''",
     "#", "\\", "offers", "options", "start", "names", "fr", "en", "slots", "min", "max", "step", "base",
     "per_slot", "price", "per", "on_sale", "game", "most_servers", "flexi_plus", "1", "-1", "1.5",
     "nan", "inf", "true", "0xff", "é", "1979-05-27T07:32:00Z", "[offers.start]\n",
     "[options.flexi_plus]\n", "base = ", "slots = {", "\t", "\x00", "\u2028"]
)  # fmt: skip
values = st.recursive(
    st.sampled_from(
        ["1", "-7", "1.5", "true", '"text"', "''", "nan", "1979-05-27", "07:32:00", "99999999999999999999"]
    ),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.dictionaries(st.sampled_from(["fr", "min", "price", "names", "'x y'"]), inner, max_size=3).map(
            lambda items: "{" + ", ".join(f"{key} = {value}" for key, value in items.items()) + "}"
        )
    ),
    max_leaves=6,
)
keys = st.sampled_from(
    ["game", "names", "base", "per_slot", "slots", "slots.min", "most_servers", "on_sale", "options",
     "options.flexi_plus", "price", "per", "offers", "offers.a", "''", '"é\\n"']
)  # fmt: skip
headers = st.sampled_from(
    [
        "[offers.start]",
        "[offers.'']",
        "[options.flexi_plus]",
        '[options."flexi\\nplus"]',
        "[[offers]]",
        "[offers]",
        "[offers.start.options.x]",
        "",
    ]
)
statements = st.lists(
    st.tuples(headers, st.dictionaries(keys, values, max_size=4)).map(
        lambda table: "\n".join([table[0], *(f"{key} = {value}" for key, value in table[1].items())])
    ),
    max_size=4,
).map("\n".join)


@settings(PROFILE, max_examples=300)
@given(
    st.lists(pieces, max_size=30).map("".join).map(str.encode)
    | statements.map(str.encode)
    | st.binary(max_size=40)
)
@example(VALID.encode())
def test_whatever_the_file_holds_it_is_read_or_refused(read: Read, content: bytes) -> None:
    refused = None
    try:
        offers = read(content)
    except CatalogueInvalid as invalid:
        refused = invalid
    if refused is None:
        assert offers
    else:
        assert len(str(refused).splitlines()) == len(refused.mistakes) > 0
