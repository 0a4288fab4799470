"""The course that changes took, and what was written of it: I7, I9, I13, I15."""

from itertools import pairwise

from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

from changeover.domain.lifecycle import CLOSED, OPEN, TRANSITIONS, Stage
from starter.engine import DATA_CONVERTER
from tests.faults.checker import facts
from tests.faults.checker.facts import Broken, Row
from tests.faults.evidence import Evidence
from worker import WORKFLOWS


def had_one_open_change_at_most(evidence: Evidence) -> Broken:
    """I7."""
    broken = [f"service {it} was seen with two open changes" for it in evidence.seen.open_twice]
    services = {row["id"]: row["service_id"] for row in facts.changes(evidence)}
    open_now: dict[str, str] = {}
    for entry in evidence.rows["trail"]:
        service_id = services[entry["change_id"]]
        is_open = entry["stage"] in OPEN - {Stage.REQUESTED}
        other = open_now.get(service_id, entry["change_id"])
        if is_open and other != entry["change_id"]:
            broken.append(f"service {service_id} has {other} and {entry['change_id']} open at once")
        if is_open:
            open_now[service_id] = entry["change_id"]
        elif other == entry["change_id"]:
            open_now.pop(service_id, None)
    return broken if facts.changes(evidence) else None


def came_to_an_end(evidence: Evidence) -> Broken:
    """I9."""
    broken = []
    for change in facts.changes(evidence):
        if change["stage"] in CLOSED:
            continue
        waits = [row for row in evidence.rows["tasks"] if row["change_id"] == change["id"]]
        if change["stage"] == Stage.NEEDS_ATTENTION and any(row["state"] == "attention" for row in waits):
            continue
        broken.append(f"change {change['id']} hangs: it is {change['stage']}")
    closed = {row["service_id"] for row in facts.changes(evidence)} - {
        row["service_id"] for row in facts.changes(evidence) if row["stage"] in OPEN
    }
    for run in evidence.runs:
        kind, _, service_id = run.workflow_id.partition("/")
        if run.status == "FAILED":
            broken.append(f"{run.workflow_id} failed: a defect")
        if kind == "plan-change" and service_id in closed and run.status == "RUNNING":
            last = run.history.events[-1]
            since = f"its last event {last.event_id} is of {last.event_time.ToDatetime():%H:%M:%S}"
            broken.append(f"{run.workflow_id} still runs, its changes are closed; {since}; {run.pending}")
    for tasks in evidence.rows["tasks"]:
        (change,) = [row for row in facts.changes(evidence) if row["id"] == tasks["change_id"]]
        if change["stage"] == Stage.COMPLETED and tasks["state"] not in {"done", "skipped"}:
            broken.append(f"{tasks['kind']} of {tasks['server_id']} is {tasks['state']}, not done")
    for name, log in evidence.logs.items():
        broken += [f"{name}: {line}" for line in log.splitlines() if ": a defect: " in line]
    broken += [f"the API failed: {it}" for it in evidence.ledger.server_errors]
    return broken if facts.changes(evidence) or broken else None


def kept_a_true_trail(evidence: Evidence) -> Broken:
    """I13."""
    broken = [] if evidence.rewriting_refused else ["the trail can be rewritten or emptied"]
    trail = {entry["seq"]: entry for entry in evidence.rows["trail"]}
    mine = {row["id"] for row in facts.changes(evidence)}
    for seq, entry in evidence.seen.trail.items():
        if entry["change_id"] in mine and trail.get(seq) != entry:
            broken.append(f"entry {seq} of the trail was altered or is gone")
    receipts = {(row["change_id"], row["server_id"], row["step"]): row for row in evidence.rows["receipts"]}
    for key, receipt in evidence.seen.receipts.items():
        if key[0] in mine and receipts.get(key) != receipt:
            broken.append(f"the receipt {key} was altered or is gone")
    for change in facts.changes(evidence):
        broken += _untrue(evidence, change)
    return broken if mine or broken else None


def _untrue(evidence: Evidence, change: Row) -> list[str]:
    """Compare a change's trail with its row and what hangs on it."""
    name = f"change {change['id']}"
    entries = facts.events(evidence, change["id"])
    stages = [Stage(entry["stage"]) for entry in entries]
    if not stages or stages[0] is not Stage.REQUESTED or stages[-1] != change["stage"]:
        return [f"{name}: its trail ends at {stages[-1:]}, it is {change['stage']}"]
    broken = [
        f"{name}: {present} was followed by {following}"
        for present, following in pairwise(stages)
        if present is not following and following not in TRANSITIONS[present]
    ]
    counts = {
        "committed": int(change["committed_at"] is not None),
        "abandoned": int(change["stage"] == Stage.ABANDONED),
        "completed": int(change["stage"] == Stage.COMPLETED),
        "accepted": int(change["stage"] != Stage.REJECTED),
        "rejected": int(change["stage"] == Stage.REJECTED),
        "server_destroyed": sum(
            row["change_id"] == change["id"] and row["kind"] == "teardown" and row["state"] == "done"
            for row in evidence.rows["tasks"]
        ),
        "server_created": _done(evidence, change, "create"),
        "limits_applied": _done(evidence, change, "limits"),
    }
    for event, count in counts.items():
        told = sum(entry["event"] == event for entry in entries)
        if told != count:
            broken.append(f"{name}: the trail says {event} {told} times, it happened {count} times")
    if (change["closed_at"] is not None) != (change["stage"] in CLOSED):
        broken.append(f"{name}: it is {change['stage']}, closed at {change['closed_at']}")
    return broken


def _done(evidence: Evidence, change: Row, kind: str) -> int:
    return sum(
        row["change_id"] == change["id"] and row["kind"] == kind and row["state"] == "done"
        for row in evidence.rows["tasks"]
    )


async def replays(evidence: Evidence) -> Broken:
    """I15: what ran is replayed by the code as it is."""
    replayer = Replayer(
        workflows=WORKFLOWS,
        data_converter=DATA_CONVERTER,
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    broken = []
    for run in evidence.runs:
        result = await replayer.replay_workflow(run.history, raise_on_replay_failure=False)
        if result.replay_failure is not None:
            broken.append(f"{run.workflow_id} doesn't replay: {type(result.replay_failure).__name__}")
    return broken if evidence.runs else None
