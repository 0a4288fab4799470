"""Every id in one place: workflows, updates and changes. What is made here can be read back here.

The workflow id is the lock of a service; an update id makes sure that nothing pressed twice happens twice.
"""

from uuid import UUID, uuid5

_CHANGES = UUID("7a1f4c0e-8f5b-5d5e-9a52-3f6d8f0c2b11")
"""Namespace of change ids (a fixed random UUID)."""

_PLAN_CHANGE = "plan-change/"
_TEARDOWN = "teardown/"
_OUTCOME = "outcome/"
_EVIDENCE = "evidence/"
_FORGET = "forget/"
RECONCILE = "reconcile"
_TELLING = 32


def change_id(account_id: str, service_id: str, idempotency_key: str) -> str:
    """Return the id of the change that this click asks for: the same click, the same change."""
    return str(uuid5(_CHANGES, "\0".join((account_id, service_id, idempotency_key))))


def plan_change_workflow_id(service_id: str) -> str:
    return _PLAN_CHANGE + service_id


def service_id_from(workflow_id: str) -> str:
    """Inverse of `plan_change_workflow_id`. Raises `ValueError` for another kind of id."""
    return _rest(workflow_id, _PLAN_CHANGE)


def teardown_workflow_id(server_id: str) -> str:
    return _TEARDOWN + server_id


def server_id_from(workflow_id: str) -> str:
    """Inverse of `teardown_workflow_id`. Raises `ValueError` for another kind of id."""
    return _rest(workflow_id, _TEARDOWN)


def outcome_mail_workflow_id(change: str) -> str:
    return _OUTCOME + change


def evidence_workflow_id(server: str) -> str:
    return _EVIDENCE + server


def forget_workflow_id(account_id: str) -> str:
    return _FORGET + account_id


def reconcile_workflow_id(*, dry_run: bool) -> str:
    """Return the id of a look that an operator asks for; the schedule's have the time behind theirs."""
    return f"{RECONCILE}/{'dry-run' if dry_run else 'now'}"


def reconcile_schedule_id(task_queue: str) -> str:
    return f"{task_queue}-{RECONCILE}"


def code_update_id(number: int, proof: str) -> str:
    """Return the id of a try. The proof is made over the change: the same one is of no other change.

    Half of it (128 bits) tells tries apart; history keeps an update's id three times.
    """
    return f"code/{number}/{proof[:_TELLING]}"


def resend_update_id(change: str, number: int) -> str:
    """Return the id of asking for another code; `number` is that of the code it replaces."""
    return f"{change}/resend/{number}"


def cancel_update_id(change: str) -> str:
    return f"{change}/cancel"


def mail_queue(task_queue: str) -> str:
    """Return the task queue of mails beside the one of changes."""
    return f"{task_queue}-mail"


def server_id(change: str, index: int) -> str:
    """Return the id of the `index`-th server that a change creates, the same however often it is asked."""
    return str(uuid5(UUID(change), f"server/{index}"))


def _rest(workflow_id: str, prefix: str) -> str:
    if not workflow_id.startswith(prefix):
        raise ValueError(f"{workflow_id} doesn't begin with {prefix}")
    return workflow_id[len(prefix) :]
