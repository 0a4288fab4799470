"""A CycloneDX bill of materials of the lock and the vendored files: `./run sbom > sbom.json`.

The same checkout gives the same bytes: no time, no random number, nothing of this machine.
"""

import json
import subprocess
import sys
from typing import Any

from supply.licences import UnknownLicence, licences, read_rules
from supply.pins import LOCK, ROOT, Pin, VendoredFile, pins, vendored

COMMAND = [sys.executable, "-m", "cyclonedx_py", "requirements", "--output-reproducible", "--no-validate"]
"""Writes packages with the sums of their files; it doesn't know their licences, nor vendored files. A test
validates the whole."""


class BillError(Exception):
    """The lock could not be read; the text is what was said."""


def of_lock() -> dict[str, Any]:
    arguments = ["--pyproject", str(ROOT / "pyproject.toml"), str(LOCK)]
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BillError(f"cyclonedx-py ended with {done.returncode}:\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def component_of(file: VendoredFile) -> dict[str, Any]:
    return {
        "bom-ref": f"vendored-{file.path}",
        "type": "library",
        "name": file.name,
        "version": file.version,
        "purl": f"pkg:npm/{file.name}@{file.version}",
        "description": f"{file.path}: {file.source}",
        "hashes": [{"alg": "SHA-256", "content": file.sha256}],
        "licenses": [{"expression": file.licence}],
    }


def bill() -> dict[str, Any]:
    """Return the bill of materials. Raises `BillError`, or `UnknownLicence` as `licences` does."""
    found = of_lock()
    under = licences(read_rules(), pins())
    for component in found["components"]:
        pin = Pin(name=component["name"], version=component["version"])
        component["licenses"] = [{"expression": under[pin]}]
        component["description"] = "pinned in requirements/all.txt"  # it is the line, sums and all
    found["components"] += [component_of(file) for file in vendored()]
    return found


if __name__ == "__main__":
    try:
        sys.stdout.write(json.dumps(bill(), indent=2, sort_keys=True) + "\n")
    except (UnknownLicence, BillError) as error:
        sys.exit(str(error))
