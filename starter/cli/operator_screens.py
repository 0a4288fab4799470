"""What operators see in the terminal."""

from collections.abc import Iterable
from typing import NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from starter.cli.change_screens import moment, receipts, stage
from starter.cli.output import safe
from starter.cli.screens import DANGER, fact_table, list_table
from starter.operator_views import FindingView, ListedChange, ShownChange, TaskView
from starter.texts import Texts
from starter.views import TimelineEntry
from workflows.messages import EvidenceOutcome, EvidenceResult, Forgotten
from workflows.reconciling import Finding, ReconcileReport


class TaskServer(NamedTuple):
    """A server that a change has work for."""

    id: str
    name: str


def listed(changes: Iterable[ListedChange], texts: Texts) -> RenderableType:
    table = list_table(
        texts._("Requested"), texts._("Stage"), texts._("Service"), texts._("Waiting since"), "id"
    )
    for change in changes:
        told = f"{change.stage} ({change.reason})" if change.reason else change.stage  # the runbook's words
        since = "" if change.waiting_since is None else texts.date(change.waiting_since)
        table.add_row(
            f"{change.as_of.astimezone(texts.zone):%Y-%m-%d %H:%M}",
            told,
            safe(change.service),
            Text(since, style=DANGER),
            change.id,
        )
    return table if table.row_count else Text(texts._("No plan change."))


def shown(found: ShownChange, texts: Texts) -> RenderableType:
    """Return all that is known of a change."""
    view = found.change
    facts = fact_table()
    facts.add_row(texts._("Plan change"), view.id)
    code = "" if texts.stage(view.stage) == view.stage else f"{view.stage}: "  # the runbook's word
    facts.add_row(texts._("Stage"), Text.assemble(code, stage(view, texts)))
    facts.add_row(texts._("Service"), f"{safe(found.service)} ({view.service_id})")
    facts.add_row(texts._("Account"), f"{found.account_id} ({safe(view.sent_to)})")
    facts.add_row(texts._("Requested"), texts.date(view.as_of))
    if view.new_expires_at is not None:
        facts.add_row(texts._("New expiry"), texts.date(view.new_expires_at))
    parts: list[RenderableType] = [facts, Text()]
    if found.tasks:
        parts += [*(_task(task, texts) for task in found.tasks), Text()]
    parts += [_trail(view.timeline, texts), Text()]
    if view.receipts:
        names = {task.server_id: task.server for task in found.tasks}
        parts += [receipts(view.receipts, names, texts), Text()]
    runs = list_table(texts._("Workflow"), texts._("Behind the address of the Temporal UI"))
    for run in found.workflows:
        runs.add_row(run.id, run.path)
    return Group(*parts, runs)


def temporal_says(gone: tuple[str, ...] | None) -> list[RenderableType]:
    """Say where Temporal disagrees with what was shown, or that it didn't answer (English)."""
    if gone is None:
        return [Text("Temporal doesn't answer: this is what the database has (see `changeover doctor`).")]
    return [
        Text(
            f"Temporal disagrees: {workflow_id}: no run works on it. If this stays for a minute: "
            "changeover ops reconcile",
            style=DANGER,
        )
        for workflow_id in gone
    ]


def forgotten(result: Forgotten) -> list[RenderableType]:
    """Say what became of forgetting an account, and what is left to do."""
    if result.at is None:
        needed = [
            *(f"service {service_id} is not expired" for service_id in result.unexpired),
            *(f"change {change_id} is open" for change_id in result.open_changes),
        ]
        lines = [f"Nothing was removed: the data of account {result.account_id} is still needed.", *needed]
        return [Text(line) for line in [*lines, "Ask again when they are over."]]
    when = f"{result.at:%Y-%m-%d %H:%M:%S} UTC"
    lines = [f"Account {result.account_id} was forgotten on {when}, by {safe(result.actor)}."]
    if result.servers_left:
        lines.append(
            f"{result.servers_left} of its servers still stand on their host, with what the customer keeps "
            "there: delete them by the host's own means."
        )
    lines.append("What Temporal and backups keep, and for how long: docs/operations/privacy.md.")
    return [Text(line) for line in lines]


def _task(task: TaskView, texts: Texts) -> RenderableType:
    """Return the work on one server: what it is, what was done of it and what is left, and what is wrong."""
    held = f" ({texts._('held back')})" if task.address_held else ""
    waits = task.state == "attention"
    title = Text.assemble(
        f"{texts.work(task.kind)} {safe(task.server)}  {task.address}{held}  ",
        (texts.task_state(task.state), DANGER if waits else ""),
        (f"  {task.server_id}", "dim"),
    )
    facts = fact_table()
    if task.steps_done:
        facts.add_row(f"  {texts._('Done')}", ", ".join(map(texts.step, task.steps_done)))
    if task.steps_left:
        facts.add_row(f"  {texts._('Left')}", ", ".join(map(texts.step, task.steps_left)))
    if task.problem is not None and task.problem_since is not None:
        problem = texts._(
            "since {date}: {problem}", date=texts.date(task.problem_since), problem=safe(task.problem)
        )
        facts.add_row(f"  {texts._('Problem')}", Text(problem, style=DANGER))
    return Group(title, facts) if facts.row_count else title


_EVIDENCE = {
    EvidenceOutcome.RECORDED: "recorded: {address} is freed and may be given again from {date}",
    EvidenceOutcome.RECORDED_BEFORE: "this was recorded before; nothing was changed",
    EvidenceOutcome.UNKNOWN: "no change gave this server up",
    EvidenceOutcome.NOT_OVER: "its teardown is not over: give the evidence with `ops skip --evidence`",
    EvidenceOutcome.REMAINS: "the host still has this server: delete it there first; nothing was changed",
    EvidenceOutcome.NOTHING_HELD: "its address is not kept back; nothing was changed",
    EvidenceOutcome.MISSING: "no evidence was given; nothing was changed",
}


def evidence(result: EvidenceResult, texts: Texts) -> RenderableType:
    """Say what became of evidence (operators' texts are English)."""
    date = "" if result.free_from is None else texts.date(result.free_from)
    return Text(f"{result.server_id}: {_EVIDENCE[result.outcome].format(address=result.address, date=date)}")


def report(found: ReconcileReport) -> RenderableType:
    """Return what a look has found (operators' texts are English)."""
    table = list_table("Check", "Found", "Healed", "Needs attention", "Cleaned")
    for name, check in found.checks.items():
        attention = Text(str(check.attention), style=DANGER if check.attention else "")
        table.add_row(name, str(check.found), str(check.healed), attention, str(check.cleaned))
    for name, why in found.failed.items():
        table.add_row(name, Text(f"could not be checked: {safe(why)}", style=DANGER))
    lines = [
        Text(f"{_said(finding)}: {finding.kind} {finding.subject}: {safe(finding.detail)}")
        for check in found.checks.values()
        for finding in check.findings
    ]
    return Group(table, *lines)


def _said(finding: Finding) -> str:
    return "healed" if finding.healed else "would heal" if finding.certain else "needs attention"


def findings(found: Iterable[FindingView], texts: Texts) -> RenderableType:
    """Return what the looks so far have found and people have to decide (English)."""
    table = list_table("Since", "Kind", "What", "")
    for finding in found:
        table.add_row(
            texts.date(finding.first_seen), finding.kind, safe(finding.subject), safe(finding.detail)
        )
    return table if table.row_count else Text("Nothing that the reconciler found needs attention.")


def _trail(entries: Iterable[TimelineEntry], texts: Texts) -> RenderableType:
    table = Table(box=None, pad_edge=False, show_header=False)
    for entry in entries:
        data = ", ".join(f"{name}={value}" for name, value in entry.data.items() if value is not None)
        said = texts.event(entry.event, entry.data)
        table.add_row(
            Text(moment(entry, texts), style="dim"),
            safe(entry.actor),
            safe(said),
            Text(safe(data), style="dim"),
        )
    return table
