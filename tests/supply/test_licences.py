"""Every licence is known, allowed, and in the document."""

import importlib.metadata

from supply.licences import PAGE, Rules, current, licence_of, licences, read_rules, refused
from supply.pins import Pin, pins

RULES = Rules(allowed={"MIT": "", "MPL-2.0": "by file"}, words={"MIT License": "MIT"}, said={"odd": "MIT"})


def test_the_document_is_what_the_command_writes() -> None:
    assert PAGE.read_text(encoding="utf-8") == current(), "./run licences"


def test_a_licence_that_is_not_listed_is_refused_with_its_package() -> None:
    found = {
        Pin(name="a", version="1"): "MIT",
        Pin(name="b", version="2"): "MIT AND GPL-3.0-only",
        Pin(name="c", version="3"): "",
        Pin(name="d", version="4"): "MIT OR MPL-2.0",
    }
    assert refused(found, RULES) == ["b 2: MIT AND GPL-3.0-only", "c 3: says no licence"]


def test_what_is_said_by_hand_counts_and_what_is_not_installed_is_unknown() -> None:
    assert licence_of("odd", RULES) == "MIT"
    assert licence_of("surely-not-installed", RULES) == ""


def test_metadata_are_read_in_all_their_forms() -> None:
    rules = read_rules()
    assert licence_of("pytest", rules) == importlib.metadata.metadata("pytest")["License-Expression"]
    assert licence_of("certifi", rules) == "MPL-2.0"
    assert licence_of("six", rules) == "MIT"


def test_nothing_is_said_by_hand_that_is_not_pinned() -> None:
    assert set(read_rules().said) <= {pin.name for pin in pins()}


def test_every_word_and_licence_listed_is_of_use() -> None:
    rules = read_rules()
    used = " ".join(licences(rules, pins()).values())
    assert [name for name in rules.allowed if name not in used] == []
    assert set(rules.words.values()) | set(rules.said.values()) <= set(rules.allowed)
