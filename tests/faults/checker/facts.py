"""What several judges ask of the evidence."""

from typing import Any

from changeover.domain.lifecycle import Stage
from tests.faults.evidence import Evidence

Broken = list[str] | None
"""What is broken, in words; None when nothing in the run could have broken it."""

Row = dict[str, Any]


def changes(evidence: Evidence, *stages: Stage) -> list[Row]:
    return [row for row in evidence.rows["plan_changes"] if not stages or row["stage"] in stages]


def committed(evidence: Evidence) -> list[Row]:
    return [row for row in evidence.rows["plan_changes"] if row["committed_at"] is not None]


def events(evidence: Evidence, change_id: str, name: str | None = None) -> list[Row]:
    return [
        entry
        for entry in evidence.rows["trail"]
        if entry["change_id"] == change_id and name in {None, entry["event"]}
    ]


def doomed(evidence: Evidence) -> dict[str, Row]:
    """Return the servers that committed changes name, each with its change."""
    return {server["id"]: change for change in committed(evidence) for server in change["destroys"]}
