"""The README's first command."""

import json
import subprocess

from tests.e2e.running import COMMAND, clean_environment

STEPS = [
    "service",
    "marked",
    "quote",
    "requested",
    "mail",
    "wrong code",
    "confirmed",
    "timeline",
    "receipt",
    "after",
]


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, "demo", *arguments],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_demo_shows_a_whole_change_and_exits_with_0() -> None:
    done = demo()
    assert done.returncode == 0, done.stdout + done.stderr
    shown = [line[:12].strip() for line in done.stdout.splitlines()]
    assert [step for step in STEPS if step not in shown] == []
    assert done.stderr == ""


def test_the_demo_as_json_gives_one_object_per_step_with_its_figures() -> None:
    done = demo("--json")
    assert done.returncode == 0, done.stdout + done.stderr
    steps = [json.loads(line) for line in done.stdout.splitlines()]
    by_name = {step["step"]: step for step in steps}
    assert list(dict.fromkeys(step["step"] for step in steps if step["step"] in STEPS)) == STEPS
    assert by_name["requested"]["new_expires_at"] == by_name["confirmed"]["new_expires_at"]
    assert by_name["confirmed"]["new_expires_at"] == by_name["after"]["expires_at"]
    assert by_name["after"]["expires_at"] > by_name["service"]["expires_at"]
    receipts = [step["evidence"] for step in steps if step["step"] == "receipt"]
    assert sum(receipt.get("data_files", 0) for receipt in receipts) > 0
    assert {"found": False} in receipts
