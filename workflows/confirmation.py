"""The part of the story that waits: codes are mailed, tries judged, until one is right or time is up."""

import asyncio
from dataclasses import replace
from datetime import datetime

from temporalio import workflow
from temporalio.exceptions import ActivityError
from temporalio.workflow import ActivityCancellationType

from changeover.domain import problems
from changeover.domain.confirmation import Verdict
from changeover.domain.lifecycle import AbandonReason
from workflows import policies
from workflows.messages import (
    Abandon,
    Answer,
    CancelChange,
    CodeAnswer,
    CodeAttempt,
    Handover,
    JudgeCode,
    Judgement,
    RequestCode,
    ResendCode,
    SendCode,
)
from workflows.operators import check_actor, signed
from workflows.ports import DatabaseActivities, MailActivities
from workflows.refusals import as_failure
from workflows.standing import Standing
from workflows.transactions import transaction


class Confirmation(Standing):
    """From the accepted request to the right code, or to the change being given up."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = asyncio.Lock()  # held while the change may leave `awaiting_code`
        self._cancelled_by: str | None = None

    async def _confirm(self) -> None:
        """Mail codes and wait for the right one, until the deadline."""
        if not self._awaiting_code:
            return
        mailing = asyncio.create_task(self._mail_codes())
        while self._awaiting_code:
            deadline = self._deadline
            try:
                await workflow.wait_condition(
                    lambda deadline=deadline: self._left_waiting(deadline),  # type: ignore[misc]
                    timeout=max(0.0, (deadline - workflow.now()).total_seconds()),
                    timeout_summary="Until the change is abandoned, unconfirmed",
                )
            except TimeoutError:
                await self._abandon(AbandonReason.WINDOW_OVER)
            if self._cancelled_by is not None:
                await self._abandon(AbandonReason.CANCELLED, self._cancelled_by)
        mailing.cancel()

    def _left_waiting(self, deadline: datetime) -> bool:
        return not self._awaiting_code or self._cancelled_by is not None or self._deadline != deadline

    async def _abandon(self, reason: AbandonReason, actor: str = "system") -> None:
        """Close the change, unless a code that came in time was right."""
        async with self._lock:
            if not self._awaiting_code:
                return
            order = Abandon(change_id=self._recap.change_id, reason=reason, actor=actor, at=workflow.now())
            self._follow(await transaction(DatabaseActivities.abandon_change, order, f"Abandon: {reason}"))

    # Mailing codes.

    async def _mail_codes(self) -> None:
        """Hand each code over, one after the other as they are asked for."""
        while self._awaiting_code:
            number = self._codes.number
            if self._codes.handed_over_at is None:
                await self._mail_code(number)
            await workflow.wait_condition(lambda number=number: not self._is_current(number))  # type: ignore[misc]

    async def _mail_code(self, number: int) -> None:
        left = self._codes.window_ends_at - workflow.now()
        try:
            mailed = await workflow.execute_activity_method(
                MailActivities.send_code,
                SendCode(change_id=self._recap.change_id, number=number),
                task_queue=self._mail_queue,
                schedule_to_close_timeout=left,
                start_to_close_timeout=policies.MAIL_ATTEMPT,
                heartbeat_timeout=policies.HEARTBEAT,
                retry_policy=policies.MAIL_RETRY,
                cancellation_type=ActivityCancellationType.TRY_CANCEL,
                summary=f"Mail code number {number}",
            )
        except ActivityError as error:
            workflow.logger.warning("code number %d was not handed over: %s", number, error.cause)
            return  # the deadline ends it
        if mailed.handover is Handover.REFUSED:
            await self._abandon(AbandonReason.MAIL_REFUSED)
        elif mailed.at is not None and self._is_current(number):
            codes = replace(self._codes, handed_over_at=mailed.at)
            self._follow(replace(self._present, codes=codes))

    def _is_current(self, number: int) -> bool:
        return self._awaiting_code and self._codes.number == number

    # What customers and operators send.

    @workflow.update(
        description="A code that the customer typed, as a proof of it. Sent by the panel, not by hand: the "
        "right one commits the change."
    )
    async def submit_code(self, attempt: CodeAttempt) -> CodeAnswer:
        """Judge a try. The time that counts is when it arrived."""
        arrived_at = workflow.now()
        await self._until_opened(lambda: self._code_can_be_judged(attempt))
        async with self._lock:
            judgement = Judgement.MOOT
            if self._awaiting_code:
                order = JudgeCode(attempt=attempt, at=arrived_at)
                judged = await transaction(DatabaseActivities.judge_code, order, "Check the code and commit")
                self._follow(judged.change)
                judgement = judged.judgement
            change = self._present
            return CodeAnswer(
                judgement=judgement,
                tries_left=self._codes.tries_left(self._recap.code_policy),
                stage=change.stage,
                reason=change.reason,
            )

    @submit_code.validator
    def _code_can_be_judged(self, attempt: CodeAttempt) -> None:
        if self._must_await_code(attempt.change_id) is None:
            return
        codes = self._codes
        verdict = codes.verdict(self._recap.code_policy, workflow.now())
        if verdict is Verdict.LOCKED:
            raise as_failure(problems.CodeLocked())
        # The mail may arrive before this run hears of its hand-over: then the database knows.
        may_be_valid = verdict is Verdict.JUDGED or codes.handed_over_at is None
        if not may_be_valid or attempt.number != codes.number:
            raise as_failure(problems.CodeExpired())

    @workflow.update(
        description='Mail the customer a new code; it voids the one before. Input: {"change_id": "..."}. '
        "Refused within a minute of the last mail, and after the third."
    )
    async def resend_code(self, order: ResendCode) -> int:
        """Void the present code, have the next one mailed, and return its number."""
        await self._until_opened(lambda: self._code_can_be_resent(order))
        async with self._lock:
            if self._awaiting_code:
                request = RequestCode(
                    change_id=order.change_id, number=self._codes.number + 1, at=workflow.now()
                )
                opened = transaction(
                    DatabaseActivities.request_code, request, "Void the code, open a new one"
                )
                self._follow(await opened)
            return self._codes.number

    @resend_code.validator
    def _code_can_be_resent(self, order: ResendCode) -> None:
        if self._must_await_code(order.change_id) is None:
            return
        refusal = self._codes.resend_refusal(self._recap.code_policy, workflow.now())
        if refusal is not None:
            raise as_failure(refusal)

    @workflow.update(
        description='Give the change up. Input: {"change_id": "...", "actor": "your name"}. Only before it '
        "is confirmed; nothing is changed or destroyed then, and the customer gets no mail."
    )
    async def cancel(self, order: CancelChange) -> Answer:
        """Abandon the change, and return how it stands."""
        await self._until_opened(lambda: self._can_be_cancelled(order))
        await self._abandon(AbandonReason.CANCELLED, signed(order.actor))
        return Answer(stage=self._present.stage, reason=self._present.reason)

    @cancel.validator
    def _can_be_cancelled(self, order: CancelChange) -> None:
        self._must_await_code(order.change_id)
        check_actor(order)
