"""What a change did, and what it left alone: I1, I2, I3, I8, I16."""

from datetime import datetime, timedelta
from fractions import Fraction
from itertools import permutations

from changeover.domain.lifecycle import Stage
from tests.faults.checker import facts
from tests.faults.checker.facts import Broken, Row
from tests.faults.evidence import Evidence, Person


def destroyed_only_what_was_confirmed(evidence: Evidence) -> Broken:
    """I1."""
    doomed, broken = facts.doomed(evidence), []
    rows = {row["id"]: row for row in evidence.rows["servers"]}
    for person in evidence.people:
        for server_id in person.server_ids:
            if server_id in doomed:
                if rows[server_id]["destroyed_by"] != doomed[server_id]["id"]:
                    broken.append(f"server {server_id} is destroyed by another change than was confirmed")
                continue
            kept = evidence.files.get(server_id) == person.before.files[server_id]
            if not kept and server_id not in evidence.ledger.host_removed:
                broken.append(f"files of server {server_id} are gone or altered; no commit names it")
            if rows[server_id]["state"] not in {"active", "marked"}:
                broken.append(f"server {server_id} is {rows[server_id]['state']}; no commit names it")
    strangers = [row for row in evidence.rows["receipts"] if row["server_id"] not in doomed]
    broken += [f"a receipt of {row['step']} for server {row['server_id']}" for row in strangers]
    return broken if evidence.rows["plan_changes"] else None


def changed_once_as_confirmed(evidence: Evidence) -> Broken:
    """I2."""
    broken = []
    for change in facts.changes(evidence):
        times = len(facts.events(evidence, change["id"], "committed"))
        if times != (change["committed_at"] is not None):
            broken.append(f"change {change['id']} has {times} commits in its trail")
    for person in evidence.people:
        broken += _service_is_as_confirmed(evidence, person)
    return broken if facts.committed(evidence) or broken else None


def _service_is_as_confirmed(evidence: Evidence, person: Person) -> list[str]:
    (service,) = [row for row in evidence.rows["services"] if row["id"] == person.service_id]
    commits = [row for row in facts.committed(evidence) if row["service_id"] == person.service_id]
    commits.sort(key=lambda row: facts.events(evidence, row["id"], "committed")[0]["seq"])
    wrote = evidence.ledger.host_wrote.get(person.service_id, {})
    before = person.before.service | wrote
    wanted = (
        commits[-1]["after"]
        if commits
        else {
            "offer": before["offer_code"],
            "slots": before["slots"],
            "options": before["options"],
            "server_count": before["server_count"],
        }
    )
    found = {
        "offer": service["offer_code"],
        "slots": service["slots"],
        "options": service["options"],
        "server_count": service["server_count"],
    }
    broken = []
    if found != wanted:
        broken.append(f"service {person.service_id} is {found}, confirmed was {wanted}")
    has = [
        row
        for row in evidence.rows["servers"]
        if row["service_id"] == person.service_id and row["state"] in {"active", "marked", "creating"}
    ]
    if len(has) != service["server_count"]:
        broken.append(f"service {person.service_id} has {len(has)} servers of {service['server_count']}")
    if "expires_at" in wrote:  # the host's own hand: from there on nothing can be worked out
        return broken
    renewed = evidence.ledger.renewals.get(person.service_id, [])
    if not _some_order_leads_to(before["expires_at"], service["expires_at"], commits, renewed):
        broken.append(f"service {person.service_id} expires at {service['expires_at']}: no order leads there")
    for change in commits:
        told = evidence.ledger.accepted.get(change["id"])
        was_told = datetime.fromisoformat(told["new_expires_at"]) if told else change["new_expires_at"]
        if not renewed and was_told != change["new_expires_at"]:
            assert told is not None
            broken.append(f"change {change['id']} was confirmed for {told['new_expires_at']}")
    return broken


def _some_order_leads_to(
    start: datetime, end: datetime, commits: list[Row], renewals: list[datetime]
) -> bool:
    """Say whether commits (in their order) and renewals, in some order, make `end` of `start`, once each."""
    acts: list[Row | datetime] = [*commits, *renewals]
    return any(_leads_to(start, end, order) for order in permutations(acts))


def _leads_to(start: datetime, end: datetime, acts: tuple[Row | datetime, ...]) -> bool:
    expires_at = start
    for act in acts:
        if isinstance(act, datetime):
            whole_days = (act - expires_at) % timedelta(days=1) == timedelta(0)
            if act <= expires_at or not whole_days:
                return False
            expires_at = act
        else:
            left = Fraction((expires_at - act["as_of"]) // timedelta(microseconds=1), 1_000_000)
            seconds = left * act["terms"]["rate_before"] // act["terms"]["rate_after"]
            expires_at = act["as_of"] + timedelta(seconds=int(seconds))
            if expires_at != act["new_expires_at"]:
                return False
    return expires_at == end


def destroyed_nothing_before_the_commit(evidence: Evidence) -> Broken:
    """I3."""
    broken = [f"server {it} lost files before a commit" for it in evidence.seen.touched_before_commit]
    commits = {row["id"]: facts.events(evidence, row["id"], "committed") for row in facts.changes(evidence)}
    for entry in evidence.rows["trail"]:
        if entry["event"].startswith(("teardown_", "server_destroyed")):
            committed = commits[entry["change_id"]]
            if not committed or entry["seq"] < committed[0]["seq"]:
                broken.append(f"{entry['event']} of {entry['change_id']} stands before its commit")
    broken += [
        f"a receipt of {receipt['step']} without a commit"
        for receipt in evidence.rows["receipts"]
        if not commits[receipt["change_id"]]
    ]
    asked = any(change["destroys"] for change in facts.changes(evidence))
    return broken if asked or broken else None


def spent_passes_with_commits(evidence: Evidence) -> Broken:
    """I8."""
    broken = []
    passes = evidence.rows["passes"]
    changes = {row["id"]: row for row in facts.changes(evidence)}
    for row in passes:
        spender = changes.get(row["spent_by"] or "")
        if row["spent_by"] and (spender is None or not spender["committed_at"] or not spender["spends_pass"]):
            broken.append(f"pass {row['id']} was spent by {row['spent_by']}, which didn't commit or need it")
        if row["spent_at"] and not row["spent_by"] and row["id"] not in evidence.ledger.host_removed:
            broken.append(f"pass {row['id']} was spent by nobody")
    for change in changes.values():
        spent = sum(row["spent_by"] == change["id"] for row in passes)
        due = int(change["spends_pass"] and change["committed_at"] is not None)
        if spent != due:
            broken.append(f"change {change['id']} spent {spent} passes, {due} were due")
    return broken if passes or broken else None


def left_the_refused_alone(evidence: Evidence) -> Broken:
    """I16."""
    broken = []
    refused = facts.changes(evidence, Stage.ABANDONED, Stage.REJECTED)
    ids = {row["id"] for row in refused}
    for name in ("tasks", "receipts"):
        its = [row for row in evidence.rows[name] if row["change_id"] in ids]
        broken += [f"{name} of {row['change_id']}, which came to nothing" for row in its]
    spent = [row for row in evidence.rows["passes"] if row["spent_by"] in ids]
    broken += [f"a pass was spent by {row['spent_by']}, which came to nothing" for row in spent]
    for row in evidence.rows["servers"]:
        if row["created_by"] in ids or row["destroyed_by"] in ids:
            broken.append(f"server {row['id']} was made or destroyed by a change that came to nothing")
    touched = {row["service_id"] for row in facts.committed(evidence)}
    for person in evidence.people:
        if person.service_id not in touched:
            broken += _altered(evidence, person)
    return broken if refused or broken else None


def _altered(evidence: Evidence, person: Person) -> list[str]:
    """Compare what a customer has with what they had on arrival, and did themselves since."""
    ledger = evidence.ledger
    expected = person.before.service | ledger.host_wrote.get(person.service_id, {})
    renewed = ledger.renewals.get(person.service_id)
    if renewed:
        expected = expected | {"expires_at": max(renewed)}
    (service,) = [row for row in evidence.rows["services"] if row["id"] == person.service_id]
    broken = [
        f"{name} of service {person.service_id} is {service[name]}, it was {value}"
        for name, value in expected.items()
        if service[name] != value
    ]
    now = {row["id"]: row for row in evidence.rows["servers"]}
    for server_id, before in person.before.servers.items():
        state = ledger.marks.get(server_id, before["state"])
        if now[server_id]["state"] != state:
            broken.append(f"server {server_id} is {now[server_id]['state']}, it was {state}")
        as_it_was = evidence.files.get(server_id) == person.before.files[server_id]
        if not as_it_was and server_id not in ledger.host_removed:
            broken.append(f"files of server {server_id} were altered")
    extra = [row for row in evidence.rows["servers"] if row["service_id"] == person.service_id]
    if len(extra) != len(person.before.servers):
        broken.append(f"service {person.service_id} has {len(extra)} servers, not what it had")
    return broken
