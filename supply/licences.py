"""Which licences everything pinned is under: `./run licences` writes docs/licences.md.

A package says so in the metadata that is installed with it; licences.toml says it for those that don't, or
not in SPDX's words. What is under a licence that isn't listed there stops the command.
"""

import importlib.metadata
import re
import sys
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supply.pins import ROOT, Pin, VendoredFile, pins, vendored

PAGE = ROOT / "docs" / "licences.md"
RULES = Path(__file__).with_name("licences.toml")

HEAD = """# Licences

Written by `./run licences` from the lock and the packages' own metadata; a test holds it to the lock.
`supply/licences.toml` lists the licences that may be here, with the reason where one needs it.
"""


class UnknownLicence(Exception):
    """Packages whose licence is unsaid or not allowed; the text names them and what to do."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """`allowed`: SPDX identifiers and why; `words`: other words for one; `said`: packages' by hand."""

    allowed: Mapping[str, str]
    words: Mapping[str, str]
    said: Mapping[str, str]


def read_rules(file: Path = RULES) -> Rules:
    return Rules(**tomllib.loads(file.read_text(encoding="utf-8")))


def licence_of(name: str, rules: Rules) -> str:
    """Return the licence as an SPDX expression, or what the package says, or nothing."""
    if name in rules.said:
        return rules.said[name]
    try:
        said: Mapping[str, Any] = importlib.metadata.metadata(name).json
    except importlib.metadata.PackageNotFoundError:  # pinned for another system or Python
        return ""
    if expression := said.get("license_expression"):
        return str(expression)
    text = str(said.get("license", "")).strip()
    if (spdx := rules.words.get(text, text)) in rules.allowed:
        return spdx
    classifiers = [it.split(" :: ")[-1] for it in said.get("classifier", []) if "License ::" in it]
    return " AND ".join(rules.words.get(it, it) for it in classifiers) or text[:40]


def refused(found: Mapping[Pin, str], rules: Rules) -> list[str]:
    """Return a line for each package with a licence that isn't allowed, whatever it is joined to."""
    return [
        f"{pin.name} {pin.version}: {licence or 'says no licence'}"
        for pin, licence in found.items()
        if not set(re.split(r" (?:AND|OR|WITH) ", licence.strip("()"))) <= rules.allowed.keys()
    ]


def licences(rules: Rules, of: Iterable[Pin]) -> dict[Pin, str]:
    """Return each pin's licence. Raises `UnknownLicence` when one is unsaid or not allowed."""
    found = {pin: licence_of(pin.name, rules) for pin in of}
    if wrong := refused(found, rules):
        raise UnknownLicence(
            "\n".join(["these licences are not in supply/licences.toml:", *wrong])
            + "\nAllow the licence there, say the package's by hand, or do without the package."
        )
    return found


def page(found: Mapping[Pin, str], files: Iterable[VendoredFile], rules: Rules) -> str:
    lines = [HEAD, "| package | version | licence |", "|---|---|---|"]
    lines += [f"| {pin.name} | {pin.version} | {licence} |" for pin, licence in found.items()]
    lines += ["", "Files that are kept here and served:", "", "| file | of | licence |", "|---|---|---|"]
    lines += [f"| {it.path} | {it.name} {it.version} | {it.licence} |" for it in files]
    reasons = [f"- {name}: {reason}" for name, reason in rules.allowed.items() if reason]
    return "\n".join([*lines, "", *reasons]) + "\n"


def current() -> str:
    """Return what the page should be now."""
    rules = read_rules()
    return page(licences(rules, pins()), vendored(), rules)


if __name__ == "__main__":
    try:
        PAGE.write_text(current(), encoding="utf-8")
    except UnknownLicence as error:
        sys.exit(str(error))
