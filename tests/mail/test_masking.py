"""Masked addresses show what their owner recognises, and no more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from changeover.domain.masking import mask_address


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
