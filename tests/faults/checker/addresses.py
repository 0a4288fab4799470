"""Addresses are released last, or held back: I4."""

from tests.faults.checker import facts
from tests.faults.checker.facts import Broken
from tests.faults.evidence import Evidence

_PROOFS_OF_DELETION = ("delete_backups", "delete_data", "verify_gone")


def released_no_address_too_early(evidence: Evidence) -> Broken:
    """I4."""
    broken = [f"the address of {it} was free while it stood" for it in evidence.seen.released_too_early]
    owners = {row["address"]: row for row in evidence.rows["addresses"]}
    for row in evidence.rows["servers"]:
        address = owners[row["address"]]
        if row["state"] in {"active", "marked", "creating"} and address["server_id"] != row["id"]:
            broken.append(f"server {row['id']} lost its address to {address['server_id']}")
        if row["state"] not in {"destroying", "destroyed"} or address["server_id"] == row["id"]:
            continue
        if evidence.files.get(row["id"]):
            broken.append(f"the address of {row['id']} is released, its files stand")
        broken += _unproved(evidence, row["id"])
    for task in evidence.rows["tasks"]:
        address = owners[task["address"]]
        if task["address_held"] and not (address["held"] and address["server_id"] == task["server_id"]):
            broken.append(f"the address of {task['server_id']} was to be held back for good")
    return broken if facts.doomed(evidence) or broken else None


def _unproved(evidence: Evidence, server_id: str) -> list[str]:
    """Return the deletions that a released address lacks a proof of."""
    its = [row for row in evidence.rows["receipts"] if row["server_id"] == server_id]
    receipts = {row["step"]: row["evidence"] for row in its}
    proved = {step for step, proof in receipts.items() if not proof.get("skipped") or proof.get("evidence")}
    return [
        f"the address of {server_id} is released without proof of {step}"
        for step in _PROOFS_OF_DELETION
        if step not in proved
    ]
