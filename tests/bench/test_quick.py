"""`./run bench --quick` runs: every scenario on SQLite, a little of it, with nothing lost."""

import json
import subprocess
from pathlib import Path

import pytest

from bench.goals import GOALS
from bench.scenarios import SCENARIOS
from tests.e2e.running import clean_environment

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(600)  # on a busy machine; alone it is a matter of a minute
def test_a_quick_run_measures_every_scenario_and_loses_nothing(tmp_path: Path) -> None:
    command = [
        str(ROOT / "run"),
        "bench",
        "--quick",
        "--database",
        "sqlite",
        "--waiting",
        "40",
        "--out",
        str(tmp_path),
    ]
    environ = clean_environment()
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    written = json.loads((tmp_path / "bench.json").read_text(encoding="utf-8"))
    results = {result["scenario"]: result for result in written["results"]}
    assert results.keys() == SCENARIOS.keys()
    for result in results.values():
        assert result["complete"], result["incomplete"]
        assert result["series"]
    assert results["change"]["checked"]["workflows closed"] > 0
    assert {goal["name"] for goal in written["goals"]} == {goal.name for goal in GOALS}
    assert written["machine"]["Temporal"].startswith("temporal version")
    assert {file.name for file in tmp_path.glob("*.png")} == {
        "fairness-sqlite.png",
        "waiting-sqlite.png",
        "latency-sqlite.png",
        "load-sqlite.png",
        "steps-sqlite.png",
    }
