"""The bill of materials is whole, valid, and the same every time."""

import json
import subprocess
import sys

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from supply.pins import ROOT, pins, vendored

COMMAND = [sys.executable, "-m", "supply.sbom"]


def test_two_bills_are_the_same_valid_and_name_everything() -> None:
    running = [subprocess.Popen(COMMAND, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    first, second = [process.communicate(timeout=250)[0] for process in running]
    assert first == second
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(first) is None
    bill = json.loads(first)
    named = [(it["name"], it["version"]) for it in bill["components"]]
    kept = [(file.name, file.version) for file in vendored()]
    assert named == [*[(pin.name, pin.version) for pin in pins()], *kept]
    assert all(it["licenses"] for it in bill["components"])
    assert "serialNumber" not in bill
    assert str(ROOT) not in first
