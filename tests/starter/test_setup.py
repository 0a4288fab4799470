"""What `changeover setup` takes for addresses: each is given to one customer, so each has one spelling."""

import pytest

from starter.setup import AddressesInvalid, read_addresses


def test_addresses_are_read_once_each_with_remarks_left_out() -> None:
    lines = ["203.0.113.7:27015  # the first", "", "# none", " 203.0.113.7:27016", "203.0.113.7:27015"]
    assert read_addresses(lines) == ["203.0.113.7:27015", "203.0.113.7:27016"]


def test_spellings_of_one_address_are_one_address() -> None:
    six = ["[2001:db8::7]:27015", "[2001:DB8:0::7]:27015", "[2001:db8:0:0:0:0:0:7]:27015"]
    assert read_addresses(six) == ["[2001:db8::7]:27015"]
    assert read_addresses(["203.0.113.7:7015", "203.0.113.7:07015"]) == ["203.0.113.7:7015"]


@pytest.mark.parametrize(
    "line",
    [
        "203.0.113.7",
        "203.0.113.7:",
        "203.0.113.7:0",
        "203.0.113.7:65536",
        "203.0.113.7:99999",
        "203.0.113.7:027015",
        "203.0.113.007:27015",
        "300.1.1.1:27015",
        "203.0.113:27015",
        "[::::]:1",
        "[203.0.113.7]:27015",
        "[fe80::1%eth0]:27015",
        "2001:db8::7:27015",
        "panel.example:27015",
        "\N{ARABIC-INDIC DIGIT TWO}03.0.113.7:27015",
    ],
)
def test_what_is_no_address_is_refused_with_its_line(line: str) -> None:
    with pytest.raises(AddressesInvalid, match=r"line 2: .* is not an address like 203\.0\.113\.7:27015"):
        read_addresses(["203.0.113.7:27015", line])
