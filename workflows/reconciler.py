"""The reconciler: finds what should never be, heals what is certain, and says the rest to people."""

from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError

from workflows import policies, search_attributes
from workflows.display import as_list
from workflows.ports import ReconcileActivities
from workflows.reconciling import CheckOrder, Finding, ReconcileOrder, ReconcileReport
from workflows.troubles import describe

_ATTEMPT = timedelta(minutes=30)
_TO_DO = "What needs attention waits for people: the page `reconciler.md` of the runbook has each kind."

CHECKS = {
    "open changes": ReconcileActivities.check_open_changes,
    "outcome mails": ReconcileActivities.check_outcome_mails,
    "runs": ReconcileActivities.check_runs,
    "servers": ReconcileActivities.check_servers,
    "addresses": ReconcileActivities.check_addresses,
    "marks": ReconcileActivities.check_marks,
    "clean-up": ReconcileActivities.clean_up,
}
"""In this order, one after the other; what one can't do is no reason to leave out the next."""


@workflow.defn
class Reconcile:
    """One look. A schedule starts it, and `changeover ops reconcile`; two at once do no harm."""

    @workflow.run
    async def run(self, order: ReconcileOrder) -> ReconcileReport:
        report = ReconcileReport(dry_run=order.dry_run)
        for name, check in CHECKS.items():
            try:
                report.checks[name] = await workflow.execute_activity_method(
                    check,
                    CheckOrder(dry_run=order.dry_run, at=workflow.now()),
                    start_to_close_timeout=_ATTEMPT,
                    heartbeat_timeout=policies.HEARTBEAT,
                    retry_policy=policies.CHECK_RETRY,
                    summary=f"Check: {name}",
                )
            except ActivityError as error:
                report.failed[name] = describe(error)
                workflow.logger.warning("the check of %s could not be made: %s", name, error.cause)
            workflow.set_current_details(_details(report))
        if report.needs_attention:
            workflow.upsert_search_attributes([search_attributes.NEEDS_ATTENTION.value_set(True)])
        return report


def _details(report: ReconcileReport) -> str:
    """Return what operators read of a look in the Temporal UI (Markdown)."""
    lines = []
    for name, check in report.checks.items():
        cleaned = f", cleaned {check.cleaned}" if check.cleaned else ""
        lines.append(
            f"{name}: found {check.found}, healed {check.healed}, needs attention {check.attention}{cleaned}"
        )
        lines += [_line(finding) for finding in check.findings]
    lines += [f"**{name}: could not be checked**: {why}" for name, why in report.failed.items()]
    return "\n\n".join((as_list(lines), *([_TO_DO] if report.needs_attention else [])))


def _line(finding: Finding) -> str:
    said = "healed" if finding.healed else "would be healed" if finding.certain else "**needs attention**"
    return f"{said}: {finding.kind} `{finding.subject}`: {finding.detail}"
