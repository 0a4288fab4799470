"""Known weaknesses of what is pinned, by pip-audit: `./run audit`.

Ends with 0 when there is none, or all are explained in ignored.toml; with 1 when there is one; with 3 when
the database of weaknesses (OSV's, over the internet) could not be asked: then nothing is known, good or bad.
"""

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from supply.pins import LOCK, Pin, pins

CLEAN, WEAK, NOT_ASKED = 0, 1, 3
IGNORED = Path(__file__).with_name("ignored.toml")


@dataclass(frozen=True, kw_only=True)
class Ignored:
    """A known weakness that is lived with for a reason, of one pinned version, up to a day."""

    id: str
    package: str
    version: str
    reason: str
    until: date


def read_ignored(file: Path = IGNORED) -> list[Ignored]:
    return [Ignored(**it) for it in tomllib.loads(file.read_text(encoding="utf-8")).get("ignored", [])]


def in_force(entries: Iterable[Ignored], today: date, pinned: Iterable[Pin]) -> list[Ignored]:
    """Return the entries that still count: their day isn't over, and what they speak of is still pinned."""
    there = set(pinned)
    return [
        it
        for it in entries
        if today <= it.until and it.reason.strip() and Pin(name=it.package, version=it.version) in there
    ]


def weaknesses(report: dict[str, Any]) -> list[str]:
    """Return a line for each weakness that pip-audit reports, and for each package it could not judge."""
    lines = []
    for package in report["dependencies"]:
        if "skip_reason" in package:
            lines.append(f"{package['name']}: not judged: {package['skip_reason']}")
        for found in package.get("vulns", []):
            mended = ", ".join(found["fix_versions"]) or "no version"
            lines.append(f"{package['name']} {package['version']}: {found['id']}, mended in {mended}")
    return lines


def audit(lock: Path, ignored: Sequence[Ignored], *options: str) -> tuple[int, str]:
    """Ask about everything in `lock`; return the exit code and what to tell. `options` are pip-audit's."""
    command = [sys.executable, "-m", "pip_audit", "-r", str(lock), "--require-hashes", "--disable-pip"]
    command += ["--vulnerability-service", "osv", "--progress-spinner", "off", "--format", "json"]
    command += [word for it in ignored for word in ("--ignore-vuln", it.id)]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    try:
        report = json.loads(done.stdout)
    except json.JSONDecodeError:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        return NOT_ASKED, f"not audited: pip-audit could not ask its database. It said:\n{last}"
    found = weaknesses(report)
    counted = f"{len(report['dependencies'])} packages asked about, {len(ignored)} weaknesses explained"
    if found:
        return WEAK, "\n".join([*found, counted])
    return CLEAN, f"no unexplained weakness: {counted}"


def main() -> int:
    entries = read_ignored()
    valid = in_force(entries, datetime.now(UTC).date(), pins())
    for it in entries:
        if it not in valid:
            print(f"{it.id} of {it.package} is no longer ignored: its day is over, or its version is gone")
    status, text = audit(LOCK, valid)
    print(text, file=sys.stderr if status == NOT_ASKED else sys.stdout)
    return status


if __name__ == "__main__":
    sys.exit(main())
