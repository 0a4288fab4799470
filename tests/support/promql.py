"""Which metrics a PromQL expression names, with the labels that it expects of each; and what a scrape has."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]

_METRIC = re.compile(r"\b((?:changeover|temporal)_\w+)(?:\{([^}]*)\})?")
_FUNCTIONS = {"sum", "max", "min", "count", "by", "or", "rate", "increase", "absent", "time", "vector", "le"}
_FUNCTIONS |= {"histogram_quantile"}


def metrics_in(expression: str) -> dict[str, set[str]]:
    """Return the metrics' names, each with the labels of its matchers.

    Anything else that looks like a metric is an error: a name of a family that nobody exports.
    """
    found: dict[str, set[str]] = {}
    for name, matchers in _METRIC.findall(expression):
        found.setdefault(name, set()).update(re.findall(r"(\w+)\s*[=!]~?", matchers))
    rest = re.sub(r'"[^"]*"', "", _METRIC.sub("", expression))
    rest = re.sub(r"\bby\s*\([^)]*\)|\[[^\]]*\]", "", rest)
    strangers = set(re.findall(r"[A-Za-z_]\w*", rest)) - _FUNCTIONS
    assert not strangers, f"not known as a function, and no metric of ours: {strangers}"
    return found


def expressions() -> dict[str, str]:
    """Return every expression of the dashboard and of the alerts, by where it is."""
    board = json.loads((ROOT / "deploy/grafana/changeover.json").read_text())
    alerts = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())
    found: dict[str, Any] = {
        f"{panel['title']}/{target['refId']}": target["expr"]
        for panel in board["panels"]
        for target in panel.get("targets", ())
    }
    for group in alerts["groups"]:
        found |= {rule["alert"]: rule["expr"] for rule in group["rules"]}
    return found


def series_in(scrape: str) -> dict[str, set[str]]:
    """Return the series that a scrape has, each with its labels; declared ones without a sample included."""
    found: dict[str, set[str]] = {}
    for name, kind in re.findall(r"^# TYPE (\S+) (\w+)$", scrape, re.MULTILINE):
        suffixes = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
        found |= {name + suffix: found.get(name + suffix, set()) for suffix in suffixes}
    for name, labels in re.findall(r"^([a-z_]+)(?:\{(.*)\})? \S+$", scrape, re.MULTILINE):
        found.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    return found
