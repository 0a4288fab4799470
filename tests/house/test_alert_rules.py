"""Prometheus' own tool takes the alert rules, and each of them fires when it should and only then."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "deploy/prometheus"
RULES = [
    rule
    for group in yaml.safe_load((FOLDER / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
TESTS: list[dict[str, Any]] = yaml.safe_load((FOLDER / "alerts.test.yml").read_text(encoding="utf-8"))[
    "tests"
]


@pytest.fixture(scope="module")
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("no promtool here (apt-get install prometheus)")
    return found


def run(promtool: str, *arguments: str, folder: Path = FOLDER) -> subprocess.CompletedProcess[str]:
    command = [promtool, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)


def test_the_rules_and_the_scrape_example_are_well_formed(promtool: str) -> None:
    for checked in (("check", "rules", "alerts.yml"), ("check", "config", "prometheus.yml")):
        done = run(promtool, *checked)
        assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_fires_when_it_should_and_only_then(promtool: str) -> None:
    done = run(promtool, "test", "rules", "alerts.test.yml")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_series_are_given_for_which_it_fires_and_others_for_which_it_never_does(rule: dict[str, Any]) -> None:
    fires, quiet = 0, 0
    for case in TESTS:
        expected = [it["exp_alerts"] for it in case["alert_rule_test"] if it["alertname"] == rule["alert"]]
        fires += any(expected)
        quiet += bool(expected) and not any(expected)
    assert fires >= 1
    assert quiet >= 1


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_a_rule_that_is_never_true_fails_its_test(
    promtool: str, tmp_path: Path, rule: dict[str, Any]
) -> None:
    text = (FOLDER / "alerts.yml").read_text(encoding="utf-8")
    groups = yaml.safe_load(text)
    for group in groups["groups"]:
        for it in group["rules"]:
            if it["alert"] == rule["alert"]:
                it["expr"] = "vector(0) > 1"
    (tmp_path / "alerts.yml").write_text(yaml.safe_dump(groups))
    shutil.copy(FOLDER / "alerts.test.yml", tmp_path)
    done = run(promtool, "test", "rules", "alerts.test.yml", folder=tmp_path)
    assert done.returncode == 1
    assert f"alertname: {rule['alert']}," in done.stdout + done.stderr
