"""Who sees what: I10, I11, I14."""

import re
from datetime import datetime

from changeover.domain.confirmation import ALPHABET
from tests.faults.checker import facts
from tests.faults.checker.facts import Broken
from tests.faults.evidence import Evidence

_ADDRESS = re.compile(r"[\w.+-]+@[\w.-]+")
_HALF = f"[{ALPHABET.lower()}]{{4}}"
_LIKE_A_CODE = re.compile(f"(?=({_HALF})-?({_HALF}))")


def told_no_secret(evidence: Evidence) -> Broken:
    """I10."""
    addresses = {person.email for person in evidence.people}
    addresses |= {it for row in evidence.rows["accounts"] for it in _ADDRESS.findall(row["email"])}
    names = {person.email.partition("@")[0] for person in evidence.people}
    typed = {tried.code for tried in evidence.ledger.tries}
    mailed = {mail.code for mail in evidence.mails if mail.code}
    codes = typed | mailed | set(evidence.expected_codes.values())
    # Codes are found by their form: thousands of them can't each be looked for in a large file.
    formed = {code.casefold() for code in codes if _LIKE_A_CODE.match(code.casefold())}
    others = {it.casefold() for it in names | (codes - {code.upper() for code in formed})}
    others |= {it.casefold() for it in addresses if it.partition("@")[0] not in names}
    places = {f"history of {run.workflow_id}": run.history_text for run in evidence.runs}
    places |= {f"description of {run.workflow_id}": run.description_text for run in evidence.runs}
    places |= {f"log {name}": text for name, text in evidence.logs.items()}
    places["metrics"] = evidence.metrics
    places["Temporal's database file"] = evidence.temporal_file.decode("latin-1")
    broken = [
        f"{place} holds a secret"
        for place, text in places.items()
        for folded in [text.casefold()]
        if any(secret in folded for secret in others)
        or any(f"{first}-{last}" in formed for first, last in _LIKE_A_CODE.findall(folded))
    ]
    return broken if evidence.runs else None


def hid_the_history_of_the_expired(evidence: Evidence) -> Broken:
    """I11."""
    broken = []
    expired = 0
    for person in evidence.people:
        (service,) = [row for row in evidence.rows["services"] if row["id"] == person.service_id]
        is_over = service["expires_at"] <= datetime.now(service["expires_at"].tzinfo)
        expired += is_over
        shown = person.sees["history"]
        statuses = set(person.sees["changes"].values())
        if is_over and (shown or statuses - {404}):
            broken.append(f"service {person.service_id} is expired and shows its history")
        if not is_over and statuses - {200}:
            broken.append(f"service {person.service_id} isn't expired and hides its changes: {statuses}")
    for look in evidence.ledger.looks:
        wanted = (set(), {404}) if look.expired else (set(look.changes), {200})
        if look.changes and (set(look.listed), set(look.statuses)) != wanted:
            when = "while it was expired" if look.expired else "though it was not expired"
            broken.append(f"service {look.service_id} showed {look.listed} and {look.statuses} {when}")
        expired += look.expired and bool(look.changes)
    return broken if expired or broken else None


def kept_accounts_apart(evidence: Evidence) -> Broken:
    """I14."""
    broken = [wrong for person in evidence.people for wrong in person.stranger]
    owners = {row["id"]: row["account_id"] for row in evidence.rows["services"]}
    broken += [
        f"change {change['id']} is of another account than its service"
        for change in facts.changes(evidence)
        if owners[change["service_id"]] != change["account_id"]
    ]
    return broken if evidence.people else None
