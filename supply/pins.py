"""The lock, requirements/all.txt, as values; and the files that others wrote and we keep."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements" / "all.txt"
VENDORED = ROOT / "starter" / "panel" / "vendored.toml"


@dataclass(frozen=True, kw_only=True, order=True)
class Pin:
    """One version of one package; another system or Python may have another."""

    name: str
    version: str


@dataclass(frozen=True, kw_only=True)
class VendoredFile:
    """A file that is served from here and written by others. `sha256` is of the file, in hex."""

    path: str
    name: str
    version: str
    licence: str
    source: str
    sha256: str


def pins(lock: Path = LOCK) -> list[Pin]:
    """Return what the lock pins, for all systems and Pythons, by name and version."""
    lines = lock.read_text(encoding="utf-8").splitlines()
    found = [Requirement(line.rstrip(" \\")) for line in lines if line and line[0].isalnum()]
    return sorted(
        Pin(name=canonicalize_name(it.name), version=next(iter(it.specifier)).version) for it in found
    )


def vendored(listed: Path = VENDORED) -> list[VendoredFile]:
    """Return the vendored files that the panel serves."""
    return [VendoredFile(**entry) for entry in tomllib.loads(listed.read_text(encoding="utf-8"))["file"]]
