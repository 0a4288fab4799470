"""A valid catalogue file, and what reads one or says what is wrong with it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from changeover.domain.catalogue import Offer
from changeover.storage.catalogue_document import CatalogueInvalid, Mistake
from changeover.storage.catalogue_file import read_catalogue

VALID = """\
# line 1
[options.flexi_plus]
names = { fr = "Flexi+", en = "Flexi+ en" }

[offers.start]
game = "minecraft"
names = { fr = "Départ", en = "Start" }
base = 0
per_slot = 100
slots = { min = 10, max = 32, step = 2 }
most_servers = 5
on_sale = true

[offers.start.options.flexi_plus]
price = 490
per = "service"
"""

Read = Callable[[str | bytes], dict[str, Offer]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def write_and_read(content: str | bytes) -> dict[str, Offer]:
        path = tmp_path / "catalogue.toml"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_catalogue(path)

    return write_and_read


@pytest.fixture
def mistakes(read: Read) -> Callable[[str | bytes], list[Mistake]]:
    def read_and_refuse(content: str | bytes) -> list[Mistake]:
        with pytest.raises(CatalogueInvalid) as refused:
            read(content)
        return list(refused.value.mistakes)

    return read_and_refuse


Mistakes = Callable[[str | bytes], list[Mistake]]
