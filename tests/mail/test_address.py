"""Fault 12: one recipient or refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from changeover.mail import InvalidRecipient, parse_recipient


@pytest.mark.parametrize(
    ("value", "parsed"),
    [
        ("jean@example.com", "jean@example.com"),
        ("Jean.Dupont+jeux@Mail.Example.com", "Jean.Dupont+jeux@Mail.Example.com"),
        ("root@localhost", "root@localhost"),
        ("jean@b\u00fccher.example", "jean@xn--bcher-kva.example"),
        ("jean@\u0440\u043e\u0441\u0441\u0438\u044f.\u0440\u0444", "jean@xn--h1alffa9f.xn--p1ai"),
        ("a" * 64 + "@example.com", "a" * 64 + "@example.com"),
    ],
)
def test_one_plain_address_is_taken(value: str, parsed: str) -> None:
    assert parse_recipient(value) == parsed


@pytest.mark.parametrize(
    "value",
    [
        "",
        "jean",
        "@example.com",
        "jean@",
        "jean@@example.com",
        "jean@example.com\r\nRCPT TO:<other@example.com>",
        "jean@example.com\n",
        "jean@example.com ",
        " jean@example.com",
        "jean\x00@example.com",
        "jean@example.com\x7f",
        "jean@example.com, other@example.com",
        "jean@example.com,other@example.com",
        "jean@example.com;other@example.com",
        "jean@example.com other@example.com",
        "Jean <jean@example.com>",
        "<jean@example.com>",
        '"jean"@example.com',
        "jean(comment)@example.com",
        "je\u00e1n@example.com",
        ".jean@example.com",
        "jean..dupont@example.com",
        "jean@[127.0.0.1]",
        "jean@example..com",
        "jean@-example.com",
        "jean@example.com.",
        "jean@exam_ple.com",
        "a" * 65 + "@example.com",
        "jean@" + "a" * 64 + ".com",
        "jean@" + "a." * 124 + "example",
        "jean@\u00fc" + "a" * 70 + ".example",
        # Names that IDNA 2003 would turn into another domain:
        "jean@fa\u00df.de",
        "jean@exa\u200dmple.com",
        "jean@example\u3002com",
        "jean@\uff45xample.com",
        "jean@example.com\u2028",
    ],
)
def test_anything_else_is_refused_without_quoting_it(value: str) -> None:
    with pytest.raises(InvalidRecipient) as caught:
        parse_recipient(value)
    assert caught.value.args == ("the recipient is not exactly one plain e-mail address",)
    assert caught.value.__context__ is None


@given(st.text(max_size=300) | st.emails())
def test_what_is_taken_is_safe_on_a_command_line(value: str) -> None:
    try:
        parsed = parse_recipient(value)
    except InvalidRecipient:
        return
    assert parsed.count("@") == 1
    assert parsed.isascii()
    assert parsed.isprintable()
    assert not set(parsed) & set(' ,;:<>()[]"\\')
    assert len(parsed) <= 254
    assert parse_recipient(parsed) == parsed
