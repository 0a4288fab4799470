"""`PlanChanges`: the panel's way in. REST API, web panel and command line are made of this, and nothing else.

Every method acts for one account; another's things are `NotFound`. Refusals are raised as the problems of
`changeover.domain.problems`. What is shown is read from the database and works with no worker running; what
changes a plan goes through the workflow, and says `EngineUnavailable` when that can't be reached.
"""

import asyncio
from contextlib import suppress
from datetime import datetime
from typing import Any, Self

from temporalio.client import Client

from changeover import codes
from changeover.domain import problems
from changeover.domain.catalogue import Configuration
from changeover.domain.confirmation import normalise
from changeover.domain.lifecycle import OPEN, Stage, outcome
from changeover.domain.masking import for_operators, mask_address
from changeover.domain.proration import days_left
from changeover.domain.quote import digest
from changeover.failpoints import reach
from changeover.settings import Settings, load
from changeover.storage.changes import Change
from starter import reads, writes
from starter.customer_services import CustomerServices, moment, shown
from starter.engine import connect_to_temporal, unavailable
from starter.engine_calls import EngineCalls, RunIsGone
from starter.plain import require_plain
from starter.turns import Turns
from starter.views import Acknowledgement, ChangeView, Requested, ServiceView
from workflows import ids
from workflows.messages import (
    Accepted,
    Answer,
    CancelChange,
    ChangeRequest,
    CodeAnswer,
    CodeAttempt,
    Judgement,
    ResendCode,
)
from workflows.plan_change import PlanChange

_AGAIN_SECONDS = 0.3


class PlanChanges(CustomerServices):
    """A customer's services and plan changes. Make one with `connect`, and `close` it."""

    def __init__(self, settings: Settings, client: Client) -> None:
        super().__init__(settings)
        self._engine = EngineCalls(client, settings.task_queue, self._timeout)
        self._turns = Turns(self._timeout)

    @classmethod
    async def connect(cls, settings: Settings | None = None) -> Self:
        """Connect as the settings say (the environment's by default); Temporal at the first need of it."""
        settings = settings or load(Settings)
        return cls(settings, await connect_to_temporal(settings, lazy=True))

    async def request(
        self,
        account_id: str,
        service_id: str,
        configuration: Configuration,
        *,
        digest: str,
        acknowledge: Acknowledgement,
        idempotency_key: str,
    ) -> Requested:
        """Accept a quote: the change is opened and its code is mailed.

        The same key with the same body gets the same answer, refusals by a rule included; with another body
        it is `IdempotencyKeyReused`. Raises a blocker (all of them are in its `blockers`), `QuoteStale`,
        `AcknowledgementMissing`, `RequestInvalid` for codes, ids or a digest that can't be any, or
        `EngineUnavailable`, after which the same key may be sent again.
        """
        request = ChangeRequest(
            change_id=ids.change_id(account_id, service_id, idempotency_key),
            account_id=account_id,
            service_id=service_id,
            fingerprint=_fingerprint(configuration, digest, acknowledge),
            configuration=configuration,
            digest=digest,
            no_refund=acknowledge.no_refund,
            destroys=tuple(sorted(acknowledge.destroys)),
        )
        async with self._turns.of(account_id):
            return await self._requested(request, idempotency_key)

    async def _requested(self, request: ChangeRequest, idempotency_key: str) -> Requested:
        account_id, service_id = request.account_id, request.service_id
        async with self._database.read() as connection:
            service = await self._service(connection, account_id, service_id)
            require_plain(request.configuration, request.digest, request.destroys)
            key = writes.Key(
                account_id=account_id,
                route=f"plan-changes/{service_id}",
                key=idempotency_key,
                fingerprint=request.fingerprint,
            )
            await writes.recall_refusal(connection, key, moment())
            email, found = await reads.address_and_change(connection, account_id, request.change_id)
        if found is not None:
            _must_be_of(request, found.change.fingerprint)
        accepted: Accepted | None = None
        if found is None or found.change.stage is Stage.AWAITING_CODE:
            try:
                accepted = (await self._ask(request, service)).accepted
                reach("api.asked")
            except problems.BLOCKERS as refusal:
                await writes.remember_refusal(self._database, key, refusal, moment())
                raise
            except problems.EngineUnavailable:
                pass  # what it was answered with may stand in the database all the same
        if accepted is None:
            found = found or await self._find(account_id, request.change_id)
            if found is None:
                raise unavailable()
            _must_be_of(request, found.change.fingerprint)
            accepted = _recorded_answer(found.change)
        _must_be_of(request, accepted.fingerprint)
        return self._requested_with(accepted, request.change_id, email)

    async def _ask(self, request: ChangeRequest, service: ServiceView) -> Answer:
        """Have the request answered by its workflow; another change's workflow may just be ending."""
        give_up_at = asyncio.get_running_loop().time() + self._timeout.total_seconds()
        while True:
            try:
                return await self._engine.request(
                    request, summary=_summary(request, service), details=_details(request, service)
                )
            except problems.ChangeInProgress as refusal:
                other = refusal.plan_change_id
                quote = await self.quote(request.account_id, request.service_id, request.configuration)
            if any(isinstance(blocker, problems.ChangeInProgress) for blocker in quote.blockers):
                raise quote.blockers[0].among(quote.blockers)
            if asyncio.get_running_loop().time() > give_up_at:
                raise unavailable()
            begun = await self._find(request.account_id, other)
            if begun is not None and begun.change.stage is not Stage.AWAITING_CODE:
                await self._remind(request.service_id, other)
            await asyncio.sleep(_AGAIN_SECONDS)

    def _requested_with(self, accepted: Accepted, change_id: str, email: str) -> Requested:
        return Requested(
            id=change_id,
            stage=Stage.AWAITING_CODE.value,
            as_of=accepted.as_of,
            new_expires_at=accepted.new_expires_at,
            days_after=days_left(accepted.new_expires_at, accepted.as_of),
            code_expires_at=None,
            tries_left=self._settings.code_policy.tries_per_code,
            sent_to=mask_address(email),
            window_ends_at=accepted.window_ends_at,
        )

    async def submit_code(self, account_id: str, change_id: str, code: str) -> ChangeView:
        """Confirm a change with the mailed code; the accepted code may be sent again.

        Raises `RequestInvalid` for what can't be a code (nothing is counted), `CodeWrong`, `CodeLocked`,
        `CodeExpired`, `ChangeClosed` or `EngineUnavailable`.
        """
        async with self._turns.of(account_id):
            return await self._submitted(account_id, change_id, code)

    async def _submitted(self, account_id: str, change_id: str, code: str) -> ChangeView:
        change = (await self._get_open_or_shown(account_id, change_id)).change
        letters = normalise(code)
        proof = codes.proof(self._settings.proof_secret, change.id, letters)
        if not self._was_accepted(change, letters):
            _must_be_open(change)
            if change.codes.tries_left(self._settings.code_policy) == 0:
                raise problems.CodeLocked  # void, for a try that was judged before as well
            if change.code_handed_over_at is None:  # not valid yet, and an answer now would be kept for ever
                raise problems.CodeExpired
            attempt = CodeAttempt(change_id=change.id, number=change.code_number, proof=proof)
            update_id = ids.code_update_id(change.code_number, proof)
            try:
                answer = await self._tell(change, PlanChange.submit_code, attempt, update_id)
            except problems.ChangeClosed:
                present = (await self._get(account_id, change_id)).change
                if not self._was_accepted(present, letters):
                    raise
            else:
                await self._explain(account_id, change, answer)
        elif change.stage in OPEN:
            await self._remind(change.service_id, change.id)
        return (await self._get(account_id, change_id)).view(self._settings.code_policy)

    def _was_accepted(self, change: Change, letters: str) -> bool:
        """Say whether this code confirmed the change, perhaps before the proof key was replaced."""
        proofs = [codes.proof(key, change.id, letters) for key in self._settings.proof_secrets]
        return codes.among(proofs, change.accepted_proof or "")

    async def _explain(self, account_id: str, change: Change, answer: CodeAnswer) -> None:
        """Raise what became of a try that was not accepted, with the figures as they are now."""
        if answer.judgement is Judgement.ACCEPTED:
            return
        present = (await self._get(account_id, change.id)).change
        if answer.judgement is Judgement.WRONG:
            same_code = present.stage is Stage.AWAITING_CODE and present.code_number == change.code_number
            left = present.codes.tries_left(self._settings.code_policy) if same_code else 0
            raise problems.CodeWrong(tries_left=left)
        if answer.judgement is Judgement.LOCKED:
            raise problems.CodeLocked
        _must_be_open(present)
        raise problems.CodeExpired

    async def resend_code(self, account_id: str, change_id: str) -> ChangeView:
        """Ask for a new code; it voids the one before.

        Raises `ResendTooSoon`, `ResendLimit`, `ChangeClosed` or `EngineUnavailable`.
        """
        async with self._turns.of(account_id):
            return await self._resent(account_id, change_id)

    async def _resent(self, account_id: str, change_id: str) -> ChangeView:
        change = (await self._get_open_or_shown(account_id, change_id)).change
        _must_be_open(change)
        update_id = ids.resend_update_id(change.id, change.code_number)
        await self._tell(change, PlanChange.resend_code, ResendCode(change_id=change.id), update_id)
        found = await self._get(account_id, change_id)
        _must_be_open(found.change)  # its window may have ended meanwhile
        return found.view(self._settings.code_policy)

    async def cancel(self, account_id: str, change_id: str) -> ChangeView:
        """Give a change up before it is confirmed; also the second time. Raises `ChangeClosed` otherwise."""
        async with self._turns.of(account_id):
            return await self._cancelled(account_id, change_id)

    async def _cancelled(self, account_id: str, change_id: str) -> ChangeView:
        found = await self._get_open_or_shown(account_id, change_id)
        if found.change.reason != "cancelled":
            _must_be_open(found.change)
            order = CancelChange(change_id=change_id, actor="customer")
            with suppress(problems.ChangeClosed):  # perhaps by the same click: the row says what closed it
                await self._tell(found.change, PlanChange.cancel, order, ids.cancel_update_id(change_id))
            found = await self._get(account_id, change_id)
            if found.change.reason != "cancelled":
                _must_be_open(found.change)
        return found.view(self._settings.code_policy)

    async def _tell(self, change: Change, update: Any, message: object, update_id: str) -> Any:
        """Send an update to the change's run. A run that was terminated is started again, from its row."""
        workflow_id = ids.plan_change_workflow_id(change.service_id)
        try:
            return await self._engine.update(workflow_id, update, message, update_id=update_id)
        except RunIsGone:
            _must_be_open((await self._get(change.account_id, change.id)).change)
            await self._resume(change)
        try:
            return await self._engine.update(workflow_id, update, message, update_id=update_id)
        except RunIsGone:
            raise unavailable() from None

    async def _remind(self, service_id: str, change_id: str) -> None:
        """Have the run of a change that is no longer awaiting its code look at its row.

        It may not know: its worker died between the transaction and its answer (decision 17). It can't be
        given up by this, since the row says that it has its outcome: the caller has seen that.
        """
        order = CancelChange(change_id=change_id, actor="system")
        workflow_id = ids.plan_change_workflow_id(service_id)
        with suppress(problems.Problem, RunIsGone):  # it knows, or it has ended, or can't be reached now
            await self._engine.update(workflow_id, PlanChange.cancel, order)

    async def _resume(self, change: Change) -> None:
        """Start a run for an open row; it takes everything from there."""
        request = ChangeRequest(
            change_id=change.id,
            account_id=change.account_id,
            service_id=change.service_id,
            fingerprint=change.fingerprint,
            configuration=change.configuration_after,
            digest="",
            no_refund=True,
            destroys=(),
        )
        service = await self.service(change.account_id, change.service_id)
        await self._ask(request, service)

    async def _find(self, account_id: str, change_id: str) -> reads.FoundChange | None:
        async with self._database.read() as connection:
            return await reads.change_if_any(connection, account_id, change_id)

    async def _get(self, account_id: str, change_id: str) -> reads.FoundChange:
        async with self._database.read() as connection:
            return await reads.change_of(connection, account_id, change_id)

    async def _get_open_or_shown(self, account_id: str, change_id: str) -> reads.FoundChange:
        """Return a change to act on: one that awaits its code always is, the past only where it is shown."""
        found = await self._get(account_id, change_id)
        return found if found.change.stage is Stage.AWAITING_CODE else shown(found)


def _must_be_of(request: ChangeRequest, fingerprint: str) -> None:
    """Raise `IdempotencyKeyReused` when it is another body that the key was answered for."""
    if fingerprint != request.fingerprint:
        raise problems.IdempotencyKeyReused


def _recorded_answer(change: Change) -> Accepted:
    """Return what the request was accepted with when it was judged; raise it if it was a refusal."""
    if change.refusal:
        refusals = tuple(problems.from_record(record) for record in change.refusal)
        raise refusals[0].among(refusals)
    assert change.terms is not None, "an accepted change has its terms"
    assert change.window_ends_at is not None
    return Accepted(
        fingerprint=change.fingerprint,
        as_of=change.as_of,
        new_expires_at=reads.converted(change, datetime.fromisoformat(change.terms["expires_at"])),
        window_ends_at=change.window_ends_at,
    )


def _must_be_open(change: Change) -> None:
    """Raise `ChangeClosed` when the change has its outcome."""
    told = outcome(change.stage)
    if told is not None:
        raise problems.ChangeClosed(outcome=told, reason=change.reason)


def _fingerprint(configuration: Configuration, quote_digest: str, acknowledge: Acknowledgement) -> str:
    destroys = sorted(acknowledge.destroys)
    return digest([configuration.record, quote_digest, acknowledge.no_refund, destroys])


def _summary(request: ChangeRequest, service: ServiceView) -> str:
    before, after = service.configuration, request.configuration
    destroys = f", destroys {len(request.destroys)}" if request.destroys else ""
    return (
        f"{for_operators(service.name)}: {before.offer} {before.server_count} x {before.slots} slots -> "
        f"{for_operators(after.offer)} {after.server_count} x {after.slots} slots{destroys}"
    )


def _details(request: ChangeRequest, service: ServiceView) -> str:
    """Return what operators read beside the run even when no worker is there to tell more (Markdown)."""
    given_up = [server for server in service.servers if server.id in request.destroys]
    lines = [
        f"change `{request.change_id}`",
        f"expiry before: {service.expires_at:%Y-%m-%d %H:%M:%S} UTC",
        f"options: {_options(service.configuration)} -> {_options(request.configuration)}",
        *(
            f"destroys {for_operators(server.name)} (`{server.address}`, {server.backups} backups)"
            for server in given_up
        ),
    ]
    return "\n".join(f"- {line}" for line in lines)


def _options(configuration: Configuration) -> str:
    return ", ".join(map(for_operators, configuration.options)) or "none"
