"""What operators are given agrees with the code: the list of metrics, alerts, dashboard, configuration."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from changeover.storage.database import Database
from changeover.telemetry.census import CensusFigures
from changeover.telemetry.figures import Figures
from changeover.telemetry.probes import Probes
from starter.api.metrics import Metrics
from tests.support.promql import metrics_in

ROOT = Path(__file__).parents[2]


def ours() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return our metrics: name to type and labels."""
    figures, api, other = Figures(), Metrics(), CollectorRegistry()
    database = Database("sqlite+aiosqlite:///nowhere.db")

    async def answers() -> bool:
        return True

    CensusFigures(database, other)
    Probes(database, other, answers, needs_temporal=True)
    found = {}
    for registry in (figures.registry, api.registry, other):
        for collector in registry._collector_to_names:
            metric = next(iter(collector.collect()))
            suffix = "_total" if metric.type == "counter" else ""
            found[metric.name + suffix] = (metric.type, tuple(collector._labelnames))  # type: ignore[attr-defined]
    return found


def told() -> dict[str, tuple[str, tuple[str, ...]]]:
    text = (ROOT / "docs/operations/metrics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|([^|]*)\| \S.* \|$", text, re.MULTILINE)
    return {name: (kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


def test_every_metric_is_explained_with_its_type_and_labels() -> None:
    assert told() == ours()


def test_no_metric_has_a_label_that_names_somebody() -> None:
    allowed = {
        *(
            "outcome",
            "reason",
            "result",
            "mail",
            "work",
            "activity",
            "type",
            "step",
            "stage",
            "state",
            "kind",
        ),
        *("method", "route", "status", "part", "kind"),
    }
    assert {label for _, labels in ours().values() for label in labels} <= allowed


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule["alert"]))
def test_every_alert_has_its_section_in_the_runbook(rule: dict[str, Any]) -> None:
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    headings = re.findall(r"^## (\w+)$", (ROOT / page).read_text(), re.MULTILINE)
    assert anchor == rule["alert"].lower()
    assert rule["alert"] in headings
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert metrics_in(rule["expr"])


def test_no_section_is_about_an_alert_that_does_not_exist() -> None:
    headings = re.findall(r"^## (\w+)$", (ROOT / "docs/operations/alerts.md").read_text(), re.MULTILINE)
    assert headings == [rule["alert"] for rule in rules()]


def test_the_scrape_example_loads_the_alerts_and_both_kinds_of_process() -> None:
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    assert config["rule_files"] == ["alerts.yml"]
    assert [job["job_name"] for job in config["scrape_configs"]] == ["changeover-api", "changeover-worker"]


def test_every_panel_of_the_dashboard_asks_for_something_and_says_what() -> None:
    board = json.loads((ROOT / "deploy/grafana/changeover.json").read_text())
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    for panel in panels:
        assert panel["title"]
        assert panel["description"]
        assert all(metrics_in(target["expr"]) for target in panel["targets"])
