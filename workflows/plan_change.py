"""The story of a plan change: requested, confirmed by an e-mailed code, committed, carried out.

The database is the truth for what was recorded; this run decides when, waits, and never forgets. Every step
can be run again after a crash or a reset: it then returns what was recorded the first time.
"""

import asyncio
from dataclasses import replace
from datetime import datetime

from temporalio import workflow
from temporalio.exceptions import ActivityError, ChildWorkflowError, WorkflowAlreadyStartedError
from temporalio.workflow import ActivityCancellationType, ParentClosePolicy

from changeover.domain import problems
from changeover.domain.confirmation import Verdict
from changeover.domain.lifecycle import COMMITTED, AbandonReason, Stage
from workflows import ids, policies, search_attributes
from workflows.messages import (
    Abandon,
    Answer,
    CancelChange,
    ChangeAt,
    ChangeRequest,
    ChangeResult,
    CodeAnswer,
    CodeAttempt,
    GivenUp,
    Handover,
    HostOrder,
    HostWork,
    JudgeCode,
    Judgement,
    OpenChange,
    RequestCode,
    ResendCode,
    Retry,
    SendCode,
    SendOutcome,
    Skip,
    Status,
    TeardownNews,
    TeardownOrder,
)
from workflows.outcome_mail import OutcomeMail
from workflows.ports import DatabaseActivities, MailActivities, ServerActivities, TroubleActivities
from workflows.refusals import as_failure
from workflows.server_teardown import ServerTeardown
from workflows.standing import Standing
from workflows.transactions import transaction

TOLD = (AbandonReason.WINDOW_OVER, AbandonReason.STALE, AbandonReason.TOO_MANY_TRIES)
"""The ends, beside completion, that the customer gets a mail about."""


@workflow.defn
class PlanChange(Standing):
    """One change of one service; its workflow id is the lock."""

    @workflow.init
    def __init__(self, request: ChangeRequest) -> None:
        super().__init__()
        self._request = request
        self._answer: Answer | None = None
        self._lock = asyncio.Lock()  # held while the change may leave `awaiting_code`
        self._cancelled_by: str | None = None

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
                self._cancelled_by = "operator"

    async def _story(self) -> ChangeResult:
        await self._open()
        await self._confirm()
        await self._apply()
        await self._tell_outcome()
        await workflow.wait_condition(workflow.all_handlers_finished)
        change = self._present
        return ChangeResult(
            change_id=change.change_id, outcome=change.stage, reason=change.reason, cause=change.cause
        )

    # The four phases.

    async def _open(self) -> None:
        """Validate and open, or reject. A committed change whose run is gone is adopted instead."""
        order = OpenChange(request=self._request, at=workflow.now())
        opened = await transaction(DatabaseActivities.open_change, order, "Validate and open")
        self._answer = opened.answer
        self._follow(opened.change)

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
                    timeout_summary="Window to confirm",
                )
            except TimeoutError:
                await self._abandon(AbandonReason.WINDOW_OVER)
            if self._cancelled_by is not None:
                await self._abandon(AbandonReason.CANCELLED, self._cancelled_by)
        mailing.cancel()

    async def _apply(self) -> None:
        """Do what was committed: new servers, new limits, one teardown per server given up."""
        change = self._present
        if change.stage not in COMMITTED or change.stage is Stage.COMPLETED:
            return
        work = [self._tear_down(server) for server in change.gives_up]
        if change.creates:
            work.append(self._host_work(HostWork.CREATE, f"Create {change.creates} server(s)"))
        if change.new_limits:
            work.append(self._host_work(HostWork.LIMITS, "Apply new limits"))
        await asyncio.gather(*work)
        done = ChangeAt(change_id=change.change_id, at=workflow.now())
        self._follow(await transaction(DatabaseActivities.complete_change, done, "Complete"))

    async def _tell_outcome(self) -> None:
        """Mail the outcome; if that fails at first, a run of its own goes on trying."""
        change = self._present
        if change.stage is not Stage.COMPLETED and change.reason not in TOLD:
            return
        order = SendOutcome(change_id=change.change_id)
        try:
            await workflow.execute_activity_method(
                MailActivities.send_outcome,
                order,
                task_queue=self._mail_queue,
                schedule_to_close_timeout=policies.OUTCOME_MAIL_AT_ONCE,
                start_to_close_timeout=policies.MAIL_ATTEMPT,
                heartbeat_timeout=policies.HEARTBEAT,
                retry_policy=policies.MAIL_RETRY,
                summary=f"Mail the outcome: {change.stage}",
            )
        except ActivityError:
            await workflow.start_child_workflow(
                OutcomeMail.run,
                order,
                id=ids.outcome_mail_workflow_id(change.change_id),
                parent_close_policy=ParentClosePolicy.ABANDON,
                static_summary=f"Outcome mail of {change.title}",
            )

    # What the phases are made of.

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
                SendCode(change_id=self._present.change_id, number=number),
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

    async def _abandon(self, reason: AbandonReason, actor: str = "system") -> None:
        """Close the change, unless a code that came in time was right."""
        async with self._lock:
            if not self._awaiting_code:
                return
            order = Abandon(change_id=self._present.change_id, reason=reason, actor=actor, at=workflow.now())
            self._follow(await transaction(DatabaseActivities.abandon_change, order, f"Abandon: {reason}"))

    async def _host_work(self, work: HostWork, summary: str) -> None:
        change_id = self._present.change_id
        activity = {
            HostWork.CREATE: ServerActivities.create_servers,
            HostWork.LIMITS: ServerActivities.apply_limits,
        }[work]

        async def attempt() -> None:
            await workflow.execute_activity_method(
                activity,
                HostOrder(change_id=change_id),
                schedule_to_close_timeout=policies.HOST_PATIENCE,
                start_to_close_timeout=policies.HOST_ATTEMPT,
                heartbeat_timeout=policies.HEARTBEAT,
                retry_policy=policies.HOST_RETRY,
                summary=summary,
            )

        await self._troubles.overcome(attempt, name=summary, change_id=change_id, work=work)

    async def _tear_down(self, server: GivenUp) -> None:
        """Have a child destroy the server; one that was terminated is started again until it is done."""
        change = self._present
        order = TeardownOrder(change_id=change.change_id, server_id=server.server_id)
        done = False
        while not done:
            try:
                await workflow.execute_child_workflow(
                    ServerTeardown.run,
                    order,
                    id=ids.teardown_workflow_id(server.server_id),
                    parent_close_policy=ParentClosePolicy.ABANDON,
                    search_attributes=search_attributes.at_start(
                        change.service_id, change.account_id, Stage.APPLYING
                    ),
                    static_summary=f"Destroy {server.name}",
                )
                done = True
            except WorkflowAlreadyStartedError:
                done = await self._watch_teardown(order)
            except ChildWorkflowError as error:
                workflow.logger.error("the teardown of %s ended: %s", server.server_id, error.cause)
                await workflow.sleep(policies.CHILD_RESTART, summary=f"Before {server.name} again")

    async def _watch_teardown(self, order: TeardownOrder) -> bool:
        """Wait until a teardown that an earlier run of this service began is done."""
        pause = policies.FIRST_LOOK
        while not await transaction(TroubleActivities.teardown_is_done, order, "Is the teardown done?"):
            await workflow.sleep(pause, summary="Until the next look at a teardown")
            pause = min(2 * pause, policies.LONGEST_LOOK)
        return True

    # What customers and operators send.

    @workflow.update
    async def answer(self, change_id: str) -> Answer:
        """Give the first answer to the request that started this run: accepted or rejected."""
        await workflow.wait_condition(lambda: self._answer is not None)
        assert self._answer is not None, change_id
        return self._answer

    @answer.validator
    def _answer_is_ours(self, change_id: str) -> None:
        if change_id != self._request.change_id:
            raise as_failure(problems.ChangeInProgress(plan_change_id=self._request.change_id))

    @workflow.update(description="Judge a code that the customer typed; the right one commits the change.")
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
                tries_left=self._codes.tries_left(change.code_policy),
                stage=change.stage,
                reason=change.reason,
                new_expires_at=change.new_expires_at,
            )

    @submit_code.validator
    def _code_can_be_judged(self, attempt: CodeAttempt) -> None:
        change = self._must_await_code(attempt.change_id)
        if change is None:
            return
        codes = self._codes
        verdict = codes.verdict(change.code_policy, workflow.now())
        if verdict is Verdict.LOCKED:
            raise as_failure(problems.CodeLocked())
        # The mail may arrive before this run hears of its hand-over: then the database knows.
        may_be_valid = verdict is Verdict.JUDGED or codes.handed_over_at is None
        if not may_be_valid or attempt.number != codes.number:
            raise as_failure(problems.CodeExpired())

    @workflow.update(description="Mail a new code to the customer; it voids the one before.")
    async def resend_code(self, order: ResendCode) -> int:
        """Void the present code, have the next one mailed, and return its number."""
        await self._until_opened(lambda: self._code_can_be_resent(order))
        async with self._lock:
            if self._awaiting_code:
                request = RequestCode(
                    change_id=order.change_id, number=self._codes.number + 1, at=workflow.now()
                )
                self._follow(
                    await transaction(
                        DatabaseActivities.request_code, request, "Void the code, open a new one"
                    )
                )
            return self._codes.number

    @resend_code.validator
    def _code_can_be_resent(self, order: ResendCode) -> None:
        change = self._must_await_code(order.change_id)
        if change is None:
            return
        refusal = self._codes.resend_refusal(change.code_policy, workflow.now())
        if refusal is not None:
            raise as_failure(refusal)

    @workflow.update(description="Give the change up. Only before it is confirmed; nothing is changed then.")
    async def cancel(self, order: CancelChange) -> Answer:
        """Abandon the change, and return how it stands."""
        await self._until_opened(lambda: self._can_be_cancelled(order))
        await self._abandon(AbandonReason.CANCELLED, order.actor)
        return Answer(stage=self._present.stage, reason=self._present.reason)

    @cancel.validator
    def _can_be_cancelled(self, order: CancelChange) -> None:
        self._must_await_code(order.change_id)

    @workflow.update(description="Try again what keeps failing, after its cause was mended.")
    async def retry(self, order: Retry) -> list[str]:
        """Have all that waits for an operator tried again, and return what that is."""
        return self._troubles.decide(order)

    @workflow.update(description="Go on without what keeps failing. Needs a reason.")
    async def skip(self, order: Skip) -> list[str]:
        """Go on without all that waits for an operator, and return what that is."""
        return self._troubles.decide(order)

    @retry.validator
    def _something_can_be_retried(self, order: Retry) -> None:
        self._troubles.check(order)

    @skip.validator
    def _something_can_be_skipped(self, order: Skip) -> None:
        self._troubles.check(order)

    @workflow.signal(description="A teardown of this change waits for an operator, or no longer does.")
    def teardown_news(self, news: TeardownNews) -> None:
        self._hear(news)

    @workflow.query(description="Where the change stands.")
    def status(self) -> Status:
        change = self._present
        codes = change.codes if self._awaiting_code else None
        return Status(
            change_id=change.change_id,
            stage=change.stage,
            waiting_for="the customer's code" if self._awaiting_code else "",
            deadline=codes.ends_at(change.code_policy) if codes else None,
            codes_asked_for=change.codes.number if change.codes else 0,
            tries_left=codes.tries_left(change.code_policy) if codes else None,
            troubles=self._all_troubles,
        )

    def _left_waiting(self, deadline: datetime) -> bool:
        return not self._awaiting_code or self._cancelled_by is not None or self._deadline != deadline
