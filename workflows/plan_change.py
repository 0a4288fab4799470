"""The story of a plan change: requested, confirmed by an e-mailed code, committed, carried out.

The database is the truth for what was recorded; this run decides when, waits, and never forgets. Every step
can be run again after a crash or a reset: it then returns what was recorded the first time.
"""

import asyncio
from contextlib import suppress
from dataclasses import replace

from temporalio import workflow
from temporalio.exceptions import ActivityError, TimeoutType, WorkflowAlreadyStartedError
from temporalio.exceptions import TimeoutError as GivenUp
from temporalio.workflow import ParentClosePolicy

from changeover.domain import problems
from changeover.domain.lifecycle import CLOSED, COMMITTED, AbandonReason, Stage
from workflows import fairness, ids, policies, search_attributes
from workflows.carrying_out import CarryingOut
from workflows.confirmation import Confirmation
from workflows.messages import (
    OPERATOR,
    Accepted,
    Answer,
    ChangeAt,
    ChangeRequest,
    ChangeResult,
    OpenChange,
    Opened,
    SendOutcome,
    Status,
)
from workflows.outcome_mail import OutcomeMail, left_behind, was_taken
from workflows.ports import DatabaseActivities, MailActivities
from workflows.refusals import as_failure
from workflows.transactions import transaction

TOLD = (AbandonReason.WINDOW_OVER, AbandonReason.STALE, AbandonReason.TOO_MANY_TRIES)
"""The ends, beside completion, that the customer gets a mail about."""


@workflow.defn
class PlanChange(Confirmation, CarryingOut):
    """One change of one service; its workflow id is the lock."""

    @workflow.init
    def __init__(self, request: ChangeRequest) -> None:
        super().__init__()
        self._request = request
        self._answer: Answer | None = None

    @workflow.run
    async def run(self, request: ChangeRequest) -> ChangeResult:
        """Tell the whole story; a cancellation of the run is an operator's wish, heard before the commit."""
        story = asyncio.create_task(self._story())
        while True:
            try:
                return await asyncio.shield(story)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if workflow.cancellation_reason() is None or task is None or story.cancelled():
                    raise  # the run is put out of the worker's cache, not cancelled
                task.uncancel()
                self._cancelled_by = OPERATOR

    async def _story(self) -> ChangeResult:
        await self._open()
        await self._confirm()
        await self._apply()
        await self._tell_outcome()
        await workflow.wait_condition(workflow.all_handlers_finished)
        change = self._present
        return ChangeResult(
            change_id=self._recap.change_id, outcome=change.stage, reason=change.reason, cause=change.cause
        )

    # The phases; `_confirm` is told in `Confirmation`, and the work on hosts in `CarryingOut`.

    async def _open(self) -> None:
        """Validate and open, or reject. A committed change whose run is gone is adopted instead."""
        order = OpenChange(request=self._request, at=workflow.now())
        opened = await transaction(DatabaseActivities.open_change, order, "Validate and open")
        self._begin(opened)
        self._answer = replace(opened.answer, accepted=self._accepted(opened))

    def _accepted(self, opened: Opened) -> Accepted | None:
        """Return what the request was accepted with, if it was this one: the row may be of another body."""
        if opened.as_of is None:
            return None
        change = opened.change
        assert change.codes is not None, "an accepted change awaits its code"
        assert change.new_expires_at is not None, "an accepted change has its days"
        return Accepted(
            fingerprint=self._request.fingerprint,
            as_of=opened.as_of,
            new_expires_at=change.new_expires_at,
            window_ends_at=change.codes.window_ends_at,
        )

    async def _apply(self) -> None:
        """Do what was committed, all of it side by side, and close the change."""
        if self._present.stage not in COMMITTED or self._present.stage is Stage.COMPLETED:
            return
        await asyncio.gather(*self._work())
        done = ChangeAt(change_id=self._recap.change_id, at=workflow.now())
        self._follow(await transaction(DatabaseActivities.complete_change, done, "Complete"))

    async def _tell_outcome(self) -> None:
        """Mail the outcome; if that fails at first, a run of its own goes on trying."""
        change = self._present
        if change.stage is not Stage.COMPLETED and change.reason not in TOLD:
            return
        change_id = self._recap.change_id
        try:
            await workflow.execute_activity_method(
                MailActivities.send_outcome,
                SendOutcome(change_id=change_id),
                task_queue=self._mail_queue,
                schedule_to_start_timeout=policies.OUTCOME_MAIL_TAKEN_UP,
                schedule_to_close_timeout=policies.OUTCOME_MAIL_AT_ONCE,
                start_to_close_timeout=policies.MAIL_ATTEMPT,
                heartbeat_timeout=policies.HEARTBEAT,
                retry_policy=policies.MAIL_RETRY,
                summary=f"Mail the outcome: {change.stage}",
                priority=fairness.LATER,
            )
        except ActivityError as error:
            await self._hand_outcome_over(error)

    async def _hand_outcome_over(self, error: ActivityError) -> None:
        """Have a run of its own mail the outcome; one that is at it already is left to it."""
        change, change_id = self._present, self._recap.change_id
        order = SendOutcome(
            change_id=change_id,
            title=self._recap.title,
            after=workflow.now() + policies.OUTCOME_MAIL_UNDER_WAY if _is_under_way(error) else None,
            taken=was_taken(left_behind(error)),
        )
        with suppress(WorkflowAlreadyStartedError):
            await workflow.start_child_workflow(
                OutcomeMail.run,
                order,
                id=ids.outcome_mail_workflow_id(change_id),
                parent_close_policy=ParentClosePolicy.ABANDON,
                search_attributes=search_attributes.at_start(
                    self._request.service_id,
                    self._request.account_id,
                    change.stage,
                    outcome=change.reason or change.stage,
                    deadline=workflow.now() + policies.OUTCOME_MAIL_PATIENCE,
                ),
                priority=fairness.LATER,
                static_summary=f"Mail the outcome ({change.reason or change.stage}): {self._recap.title}",
            )

    # What customers and operators send.

    @workflow.update(
        description="What the request was answered with: accepted or rejected. Sent by the panel; the input "
        "is the change's id."
    )
    async def answer(self, change_id: str) -> Answer:
        """Give the first answer to the request that started this run: accepted or rejected."""
        await workflow.wait_condition(lambda: self._answer is not None)
        assert self._answer is not None, change_id
        return self._answer

    @answer.validator
    def _answer_is_ours(self, change_id: str) -> None:
        if change_id != self._request.change_id:
            raise as_failure(problems.ChangeInProgress(plan_change_id=self._request.change_id))

    @workflow.query(description="Where the change stands, what it waits for and until when. No input.")
    def status(self) -> Status:
        change, policy = self._present, self._recap.code_policy
        return Status(
            change_id=self._recap.change_id,
            stage=Stage.NEEDS_ATTENTION if self._all_troubles else change.stage,
            waiting_for=self._waiting_for,
            deadline=change.codes.ends_at(policy) if change.codes else None,
            codes_asked_for=self._last_codes.number if self._last_codes else 0,
            tries_left=change.codes.tries_left(policy) if change.codes else None,
            troubles=self._all_troubles,
        )

    @property
    def _waiting_for(self) -> str:
        if self._all_troubles:
            return "an operator"
        if self._awaiting_code:
            return "the customer's code" if self._codes.handed_over_at else "the mail server"
        return "" if self._present.stage in CLOSED else "the work on hosts"


def _is_under_way(error: ActivityError) -> bool:
    """Say whether an attempt was begun whose end nobody waited for. One that failed is its cause."""
    cause = error.cause
    return isinstance(cause, GivenUp) and cause.type == TimeoutType.SCHEDULE_TO_CLOSE and cause.cause is None
