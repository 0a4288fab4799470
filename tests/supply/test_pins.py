"""The lock and the vendored files as values."""

import tomllib
from hashlib import sha256
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from supply.pins import LOCK, ROOT, VENDORED, Pin, pins, vendored

TESTS_OWN = ROOT / "tests" / "starter" / "panel" / "vendored.toml"


def test_a_lock_is_read_whatever_its_markers_and_sums(tmp_path: Path) -> None:
    lock = tmp_path / "all.txt"
    lock.write_text(
        "# a note\n"
        "B_b==2.0 ; sys_platform == 'win32' \\\n    --hash=sha256:00\n"
        "a[extra]==1 \\\n    --hash=sha256:11\n"
    )
    assert pins(lock) == [Pin(name="a", version="1"), Pin(name="b-b", version="2.0")]


def test_everything_in_the_lock_has_sums() -> None:
    blocks = LOCK.read_text().replace("\\\n", "").splitlines()
    assert len(blocks) == len(pins()) > 50
    assert [line for line in blocks if "--hash=sha256:" not in line] == []


@pytest.mark.parametrize("listed", [VENDORED, TESTS_OWN], ids=["served", "tests"])
def test_a_vendored_file_is_what_its_list_says_and_where_it_is_from(listed: Path) -> None:
    files = vendored(listed)
    assert files
    for file in files:
        assert sha256((listed.parent / file.path).read_bytes()).hexdigest() == file.sha256
        assert all((file.name, file.version, file.licence, file.source))


def needed(wanted: list[str]) -> set[str]:
    """Return the names of all that requirements need here, by what the installed packages say."""
    names: set[str] = set()
    open_ones = [(Requirement(text), "") for text in wanted]
    seen: set[tuple[str, str]] = set()
    while open_ones:
        requirement, extra = open_ones.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        names.add(name)
        for one in {"", *requirement.extras} - {extra for known, extra in seen if known == name}:
            seen.add((name, one))
            open_ones += [(Requirement(text), one) for text in requires(name) or []]
    return names


@pytest.mark.parametrize(
    ("lock", "extras"), [("all", ["embedded", "tracing", "dev"]), ("production", ["tracing"])]
)
def test_a_lock_names_all_that_is_needed_so_that_nothing_is_resolved(lock: str, extras: list[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = sum((project["optional-dependencies"][extra] for extra in extras), project["dependencies"])
    pinned = {pin.name for pin in pins(ROOT / "requirements" / f"{lock}.txt")}
    assert needed(wanted) - pinned == set()
