"""Codes, tries and mails: I5, I6, I12."""

from tests.faults.checker import facts
from tests.faults.checker.facts import Broken
from tests.faults.evidence import Evidence


def accepted_the_right_code_once(evidence: Evidence) -> Broken:
    """I5."""
    broken = []
    for change in facts.changes(evidence):
        if (change["accepted_proof"] is None) != (change["committed_at"] is None):
            broken.append(f"change {change['id']}: a commit without a code, or a code without a commit")
        if change["accepted_proof"] not in {None, evidence.accepting_proofs.get(change["id"])}:
            broken.append(f"change {change['id']} accepted what is no code of its own, its number and terms")
        if len(facts.events(evidence, change["id"], "committed")) > 1:
            broken.append(f"change {change['id']} accepted a code more than once")
        expected = evidence.expected_codes.get((change["id"], change["code_number"]))
        if change["committed_at"] and expected not in {mail.code for mail in evidence.mails}:
            broken.append(f"change {change['id']} accepted a code that was never mailed")
    for tried in evidence.ledger.tries:
        right = evidence.codes_of(tried.change_id)
        if tried.status == 200 and tried.code not in right:
            broken.append(f"change {tried.change_id}: {tried.code} was answered 200")
    return broken if evidence.ledger.tries or broken else None


def judged_no_more_tries_than_allowed(evidence: Evidence) -> Broken:
    """I6."""
    broken = []
    tries = evidence.rows["code_tries"]
    for change in facts.changes(evidence):
        its = [row for row in tries if row["change_id"] == change["id"]]
        numbers = [row["number"] for row in its]
        if len(its) > 10 or any(numbers.count(number) > 5 for number in numbers):
            broken.append(f"change {change['id']}: {len(its)} tries were judged, by code {sorted(numbers)}")
        counted = len(facts.events(evidence, change["id"], "code_wrong"))
        if not change["wrong_on_change"] == len(its) == counted:
            figures = f"{len(its)} tries, {change['wrong_on_change']} counted, {counted} told"
            broken.append(f"change {change['id']}: {figures}")
        if change["code_number"] and change["wrong_on_code"] != numbers.count(change["code_number"]):
            broken.append(f"change {change['id']}: the tries on its code are miscounted")
        told_wrong = {
            tried.code
            for tried in evidence.ledger.tries
            if tried.change_id == change["id"] and tried.problem == "code-wrong"
        }
        if len(told_wrong) > len(its):
            broken.append(f"change {change['id']}: {len(told_wrong)} codes were told wrong")
    return broken if tries or broken else None


def mailed_within_limits(evidence: Evidence) -> Broken:
    """I12."""
    broken = []
    addresses = {person.email for person in evidence.people}
    broken += [
        f"a mail went to {len(mail.recipients)} recipients"
        for mail in evidence.mails
        if len(mail.recipients) != 1
    ]
    ours = [mail for mail in evidence.mails if set(mail.recipients) <= addresses and mail.code]
    for change in facts.changes(evidence):
        its = evidence.codes_of(change["id"])
        mails = [mail for mail in ours if mail.code in its]
        if change["code_number"] > 3 or len({mail.code for mail in mails}) > 3:
            broken.append(f"change {change['id']} mailed more than 3 codes")
        ids = {code: {mail.message_id for mail in mails if mail.code == code} for code in its}
        broken += [f"change {change['id']}: a code has two Message-IDs" for it in ids.values() if len(it) > 1]
        handed_over = facts.events(evidence, change["id"], "code_mailed")
        numbers = [entry["data"]["number"] for entry in handed_over]
        if len(numbers) != len(set(numbers)):
            broken.append(f"change {change['id']}: a code was handed over twice by the trail")
        if change["committed_at"] and not handed_over:
            broken.append(f"change {change['id']} committed, its code was never handed over")
        if change["reason"] == "mail-refused" and change["committed_at"]:
            broken.append(f"change {change['id']}: a refused mail confirmed it")
    known = set(evidence.expected_codes.values())
    broken += ["a mail holds a code of no change" for mail in ours if mail.code not in known]
    return broken if ours or broken or any(row["code_number"] for row in facts.changes(evidence)) else None
