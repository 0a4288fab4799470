"""The bill of materials is whole, valid, and the same every time."""

import json
import subprocess
import sys

from supply.pins import ROOT, pins, vendored
from tests.e2e.running import clean_environment

COMMAND = [sys.executable, "-m", "supply.sbom"]
VALIDATION = """
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
sys.exit(JsonStrictValidator(SchemaVersion.V1_6).validate_str(sys.stdin.read()) is not None)
"""


def is_valid(bill: str) -> bool:
    """Ask the schema, in a process of its own: measured by coverage it would take a minute."""
    command = [sys.executable, "-c", VALIDATION]
    done = subprocess.run(command, env=clean_environment(), input=bill, text=True, check=False)
    return done.returncode == 0


def test_two_bills_are_the_same_valid_and_name_everything() -> None:
    running = [
        subprocess.Popen(COMMAND, cwd=ROOT, env=clean_environment(), stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    first, second = [process.communicate(timeout=250)[0] for process in running]
    assert first == second
    bill = json.loads(first)
    assert is_valid(first)
    assert not is_valid(json.dumps(bill | {"components": [{"name": "of no type"}]}))
    named = [(it["name"], it["version"]) for it in bill["components"]]
    kept = [(file.name, file.version) for file in vendored()]
    assert named == [*[(pin.name, pin.version) for pin in pins()], *kept]
    assert all(it["licenses"] for it in bill["components"])
    assert "serialNumber" not in bill
    assert str(ROOT) not in first
