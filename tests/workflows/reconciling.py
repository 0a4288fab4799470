"""What tests of the reconciler share: one look, run as the schedule runs it."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import WorkflowHandle

from activities import reconcile_changes, reconcile_mails, reconcile_runs
from tests.workflows.world import World
from workflows.reconciler import Reconcile
from workflows.reconciling import Finding, ReconcileOrder, ReconcileReport


def nothing_is_young(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take rows of this very second for old ones."""
    for module in (reconcile_changes, reconcile_mails, reconcile_runs):
        monkeypatch.setattr(module, "YOUNG", timedelta(0))


async def begin(world: World, *, dry_run: bool = False) -> WorkflowHandle[Any, ReconcileReport]:
    return await world.temporal.client.start_workflow(
        Reconcile.run,
        ReconcileOrder(dry_run=dry_run),
        id=f"reconcile/{uuid4()}",
        task_queue=world.settings.task_queue,
    )


async def reconcile(world: World, *, dry_run: bool = False) -> ReconcileReport:
    report = await (await begin(world, dry_run=dry_run)).result()
    assert report.failed == {}
    return report


def findings(report: ReconcileReport) -> list[Finding]:
    return [finding for check in report.checks.values() for finding in check.findings]


def healed(report: ReconcileReport) -> list[tuple[str, str]]:
    """Return what was healed, by kind and subject; nothing else may have been found."""
    assert all(finding.healed for finding in findings(report)), findings(report)
    return [(finding.kind, finding.subject) for finding in findings(report)]
