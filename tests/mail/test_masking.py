"""Masked addresses show what their owner recognises, and no more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from changeover.domain.masking import for_operators, mask_address


@pytest.mark.parametrize(
    ("address", "masked"),
    [
        ("jean@example.com", "j***@e***.com"),
        ("j@e.com", "j***@e***.com"),
        ("jean.dupont@mail.example.co.uk", "j***@m***.uk"),
        ("root@localhost", "r***@l***"),
        ("jean@b\u00fccher.\u0440\u0444", "j***@b***.\u0440\u0444"),
        ("jean@example.xn--p1ai", "j***@e***.xn--p1ai"),
        ("@example.com", "***@e***.com"),
        ("jean@", "j***@***"),
        ("jean@.com", "j***@.***"),
        ("jean@example.com, other@players.example", "j***@p***.example"),
        ("jean@example.com\r\nBcc", "j***@e***"),
        ("\njean@example.com", "***@e***.com"),
        ("j\nean@example.com", "j***@e***.com"),
        ("jean@example.-", "j***@e***"),
        ("no address", "***"),
        ("", "***"),
    ],
)
def test_masking(address: str, masked: str) -> None:
    assert mask_address(address) == masked


@given(st.text())
def test_no_text_is_too_strange(address: str) -> None:
    assert mask_address(address).isprintable()
    assert mask_address(f"{address}@players.example").endswith("***@p***.example")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Les Renards, l\u2019équipe n_2", "Les Renards, l\u2019équipe n_2"),
        ("", ""),
        ("[FR] Clan #1", "`[FR] Clan #1`"),
        ("[see](https://evil.example)", "`[see](https://evil.example)`"),
        ("www.evil.example", "`www.evil.example`"),
        ("`![x](//evil.example)`", "`'![x](//evil.example)'`"),
        ("<img src=x>", "`<img src=x>`"),
        ("x\n- **needs no attention**", "`x\ufffd- **needs no attention**`"),
        ("x\u202ey\u2028z", "`x\ufffdy\ufffdz`"),
        ("of jean@example.com, ours", "`of *** ours`"),
        ("<jean@example.com>", "`***`"),
        ("@jean", "`***`"),
    ],
)
def test_a_name_is_told_to_operators_as_text_and_without_an_address(name: str, shown: str) -> None:
    assert for_operators(name) == shown


@given(st.text())
def test_no_name_is_more_than_one_line_of_text(name: str) -> None:
    shown = for_operators(name)
    assert len(shown.splitlines()) <= 1
    assert "@" not in shown
    assert shown.count("`") in {0, 2}
