"""Who goes first when work has to wait: what a customer waits for, and every account in its turn.

Temporal orders what is queued by it, within a task queue and a priority. Activities and children inherit what
they don't say themselves. An account is named by its id, never by an address.
"""

from temporalio.common import Priority

LATER = Priority(priority_key=4)
"""Behind what a customer waits for, which has Temporal's default of 3: work on hosts, mails of outcomes."""


def of_account(account_id: str) -> Priority:
    """Return what has a run wait for its account's turn only, however much other accounts have queued."""
    return Priority(fairness_key=account_id)
