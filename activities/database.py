"""The transactions of a plan change. Functional core, imperative shell: read rows, ask the domain, write.

Every one can be run again: it finds what it recorded the first time and returns that.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity

from activities.clock import MOST_AHEAD, ServerClock
from activities.commit import Commit
from activities.failures import CodeKeyMissing, Unauthorised, classified
from activities.state import abandon, events_after, locked_change, to_recap, to_state
from changeover import codes
from changeover.domain import problems
from changeover.domain.confirmation import CodePolicy, Verdict
from changeover.domain.facts import Facts, Policy
from changeover.domain.lifecycle import COMMITTED, AbandonReason, Stage
from changeover.domain.proration import whole_second
from changeover.domain.quote import Quote, assess, confirmation_digest, server_record, to_record
from changeover.failpoints import reach
from changeover.storage import changes, services, tasks
from changeover.storage.catalogue import CatalogueReader
from changeover.storage.changes import Change, Event
from changeover.storage.database import Database
from workflows.messages import (
    Abandon,
    Answer,
    ChangeAt,
    ChangeRequest,
    ChangeState,
    JudgeCode,
    Judged,
    Judgement,
    OpenChange,
    Opened,
    RequestCode,
)
from workflows.ports import DatabaseActivities


class CodeKeys:
    """The keys of codes by id, which one new changes use, and the keys of proofs, the present one first."""

    def __init__(self, keys: dict[str, bytes], current: str, proof_keys: Sequence[bytes]) -> None:
        self.current = current
        self._keys = keys
        self._proof_keys = proof_keys

    def code_of(self, change: Change) -> str:
        """Return the change's present code. Raises `CodeKeyMissing` when its key was removed."""
        assert change.code_key_id is not None
        assert change.confirmation_digest is not None
        key = self._keys.get(change.code_key_id)
        if key is None:
            raise CodeKeyMissing(
                f"change {change.id} needs the code key {change.code_key_id}, which CHANGEOVER_CODE_KEYS "
                "lacks: put it back and restart the worker"
            )
        return codes.derive(key, change.id, change.code_number, change.confirmation_digest)

    def has_key_of(self, change: Change) -> bool:
        return change.code_key_id in self._keys

    def proof_of(self, change: Change) -> str:
        """Return the proof that the change's present code would give."""
        return codes.proof(self._proof_keys[0], change.id, self.code_of(change))

    def proves(self, change: Change, given: str) -> bool:
        """Say whether `given` proves the change's present code, under the present proof key or an old one."""
        code = self.code_of(change)
        return codes.among([codes.proof(key, change.id, code) for key in self._proof_keys], given)

    def proved_before(self, change: Change, given: str) -> bool:
        """Say whether `given` proves the code that was accepted, perhaps under another proof key."""
        if change.accepted_proof is None or codes.matches(change.accepted_proof, given):
            return change.accepted_proof is not None
        if not self.has_key_of(change):
            return False  # the change is closed: its key may be gone
        return self.proves(change, change.accepted_proof) and self.proves(change, given)


class ChangeTransactions(DatabaseActivities):
    """The `database` activities."""

    def __init__(
        self,
        *,
        database: Database,
        catalogue: CatalogueReader,
        keys: CodeKeys,
        policy: Policy,
        code_policy: CodePolicy,
    ) -> None:
        self._database = database
        self._catalogue = catalogue
        self._keys = keys
        self._policy = policy
        self._code_policy = code_policy

    # Opening.

    @activity.defn
    @classified
    async def open_change(self, order: OpenChange) -> Opened:
        opened = await self._database.write(lambda connection: self._open(connection, order))
        reach("request.recorded")
        return opened

    async def _open(self, connection: AsyncConnection, order: OpenChange) -> Opened:
        request, as_of = order.request, whole_second(order.at)
        if await services.lock(connection, request.service_id) != request.account_id:
            raise Unauthorised(f"account {request.account_id} has no service {request.service_id}")
        recorded = await changes.find(connection, request.change_id)
        if recorded is not None:
            if (recorded.service_id, recorded.account_id) != (request.service_id, request.account_id):
                raise Unauthorised(f"the plan change {recorded.id} is not of service {request.service_id}")
            return self._opened(request, recorded, await self._adopted_before(connection, recorded))
        found = await services.facts_and_catalogue(connection, self._catalogue, request.service_id, as_of)
        assert found is not None, "its row is locked"
        facts, catalogue = found
        adopted: Change | None = None
        if facts.open_change is not None:
            facts, adopted = await self._settle_orphan(connection, facts, as_of)
        quote = assess(facts, request.configuration, catalogue, self._policy, as_of)
        refusals = _refusals(request, quote)
        change = self._rejected(request, quote, refusals) if refusals else self._accepted(request, quote)
        asked = Event(event="requested", stage=Stage.REQUESTED, at=order.at, actor="customer")
        answered = Event(
            event="rejected" if refusals else "accepted",
            stage=change.stage,
            at=order.at,
            data={"reason": change.reason} if refusals else None,
        )
        await changes.add(connection, change, asked, answered)
        return self._opened(request, change, adopted)

    def _opened(self, request: ChangeRequest, change: Change, adopted: Change | None = None) -> Opened:
        followed = adopted or change
        is_accepted = change.stage is Stage.AWAITING_CODE and change.fingerprint == request.fingerprint
        return Opened(
            answer=Answer(stage=change.stage, reason=change.reason),
            change=to_state(followed),
            recap=to_recap(followed, self._code_policy),
            as_of=change.as_of if is_accepted else None,
        )

    async def _adopted_before(self, connection: AsyncConnection, recorded: Change) -> Change | None:
        """Return the change that the run of a refused request adopted, when that answer was lost."""
        if recorded.stage is not Stage.REJECTED:
            return None
        orphan = await changes.open_change_of(connection, recorded.service_id)
        return orphan if orphan is not None and orphan.stage in COMMITTED else None

    async def _settle_orphan(
        self, connection: AsyncConnection, facts: Facts, as_of: datetime
    ) -> tuple[Facts, Change | None]:
        """Deal with the open row of a change whose run is gone: this run has the lock, so no other has it.

        One that awaited its code is abandoned; one that was committed is adopted. A row as young as this
        request is left alone: then it is this run that came too late. (One from a time to come was forged.)
        """
        orphan = await changes.open_change_of(connection, facts.service_id)
        assert orphan is not None, "the facts have just named it"
        if as_of <= orphan.as_of <= max(as_of, ServerClock().now()) + MOST_AHEAD:
            return facts, None
        if orphan.stage is not Stage.AWAITING_CODE:
            return facts, orphan
        await abandon(connection, orphan, AbandonReason.INTERRUPTED, as_of)
        return replace(facts, open_change=None), None

    def _accepted(self, request: ChangeRequest, quote: Quote) -> Change:
        assert quote.digest is not None, "an accepted quote is not blocked"
        assert quote.new_expires_at is not None
        return replace(
            _row(request, quote),
            stage=Stage.AWAITING_CODE,
            terms=quote.terms,
            window_ends_at=quote.as_of + self._code_policy.window,
            confirmation_digest=confirmation_digest(quote.digest, quote.as_of, quote.new_expires_at),
            code_key_id=self._keys.current,
            code_number=1,
        )

    def _rejected(self, request: ChangeRequest, quote: Quote, refusals: list[problems.Problem]) -> Change:
        return replace(
            _row(request, quote),
            stage=Stage.REJECTED,
            reason=refusals[0].code,
            refusal=[problems.to_record(refusal) for refusal in refusals],
            closed_at=quote.as_of,
        )

    # Confirming.

    @activity.defn
    @classified
    async def judge_code(self, order: JudgeCode) -> Judged:
        judged = await self._database.write(lambda connection: self._judge(connection, order))
        reach(f"judged.{judged.judgement}")
        return judged

    async def _judge(self, connection: AsyncConnection, order: JudgeCode) -> Judged:
        attempt = order.attempt
        change = await locked_change(connection, attempt.change_id, with_account=True)
        order = replace(order, at=max(order.at, change.as_of))  # an earlier one was forged
        if change.stage is not Stage.AWAITING_CODE:
            accepted = self._keys.proved_before(change, attempt.proof)
            return self._judged(Judgement.ACCEPTED if accepted else Judgement.MOOT, change)
        if attempt.number != change.code_number:
            return self._judged(Judgement.EXPIRED, change)
        verdict = self._verdict(change, order.at)
        if verdict is Verdict.JUDGED and self._keys.proves(change, attempt.proof):
            return await self._commit(connection, change, order)
        if await changes.try_was_judged(connection, change.id, attempt.number, attempt.proof):
            return self._judged(Judgement.WRONG, change)
        if verdict is not Verdict.JUDGED:
            unjudged = {Verdict.LOCKED: Judgement.LOCKED, Verdict.EXPIRED: Judgement.EXPIRED}
            return self._judged(unjudged[verdict], change)
        return self._judged(Judgement.WRONG, await self._count_wrong(connection, change, order))

    def _verdict(self, change: Change, at: datetime) -> Verdict:
        """Say whether a try of that time may be judged. A removed key is waited for until the window ends."""
        if not self._keys.has_key_of(change) and change.codes.window_ends_at <= ServerClock().now():
            return Verdict.EXPIRED
        return change.codes.verdict(self._code_policy, at)

    def _judged(self, judgement: Judgement, change: Change) -> Judged:
        return Judged(judgement=judgement, change=to_state(change))

    async def _count_wrong(self, connection: AsyncConnection, change: Change, order: JudgeCode) -> Change:
        await changes.add_try(connection, change.id, change.code_number, order.attempt.proof, order.at)
        counts = {"wrong_on_code": change.wrong_on_code + 1, "wrong_on_change": change.wrong_on_change + 1}
        data = {"number": change.code_number, "wrong_on_change": counts["wrong_on_change"]}
        wrong = Event(event="code_wrong", stage=change.stage, at=order.at, actor="customer", data=data)
        counted = await changes.alter(connection, change, [wrong], **counts)
        if not counted.codes.used_up(self._code_policy):
            return counted
        return await abandon(connection, counted, AbandonReason.TOO_MANY_TRIES, order.at)

    async def _commit(self, connection: AsyncConnection, change: Change, order: JudgeCode) -> Judged:
        commit = Commit(connection, change, self._catalogue, self._policy, order.at)
        cause = await commit.stale_cause()
        if cause is None:
            committed = await commit.apply(order.attempt.proof)
            reach("commit.before")
            return self._judged(Judgement.ACCEPTED, committed)
        stale = await abandon(connection, change, AbandonReason.STALE, order.at, cause=cause)
        return self._judged(Judgement.STALE, stale)

    @activity.defn
    @classified
    async def request_code(self, order: RequestCode) -> ChangeState:
        opened = await self._database.write(lambda connection: self._request_code(connection, order))
        reach("code_requested.recorded")
        return opened

    async def _request_code(self, connection: AsyncConnection, order: RequestCode) -> ChangeState:
        change = await locked_change(connection, order.change_id)
        due = change.stage is Stage.AWAITING_CODE and change.code_number == order.number - 1
        if not due or change.codes.resend_refusal(self._code_policy, order.at) is not None:
            return to_state(change)
        data = {"number": order.number}
        asked = Event(event="code_requested", stage=change.stage, at=order.at, actor="customer", data=data)
        change = await changes.alter(
            connection,
            change,
            [asked],
            code_number=order.number,
            code_handed_over_at=None,
            code_expires_at=None,
            wrong_on_code=0,
        )
        return to_state(change)

    # Closing.

    @activity.defn
    @classified
    async def abandon_change(self, order: Abandon) -> ChangeState:
        async def work(connection: AsyncConnection) -> ChangeState:
            change = await locked_change(connection, order.change_id)
            if change.stage is Stage.AWAITING_CODE:
                change = await abandon(connection, change, order.reason, order.at, actor=order.actor)
            return to_state(change)

        abandoned = await self._database.write(work)
        reach("abandoned.recorded")
        return abandoned

    @activity.defn
    @classified
    async def complete_change(self, order: ChangeAt) -> ChangeState:
        async def work(connection: AsyncConnection) -> ChangeState:
            change = await locked_change(connection, order.change_id)
            if change.stage is Stage.COMPLETED:
                return to_state(change)
            left = await tasks.unfinished(connection, change.id)
            if left:
                raise RuntimeError(f"{change.id} can't be completed: {left}")
            completed = Event(event="completed", stage=Stage.COMPLETED, at=order.at)
            change = await changes.alter(
                connection, change, events_after(change, completed), closed_at=order.at
            )
            return to_state(change)

        completed = await self._database.write(work)
        reach("completed.recorded")
        return completed


def _refusals(request: ChangeRequest, quote: Quote) -> list[problems.Problem]:
    """Judge a confirm in the design's order: blockers, then the quote, then what must be acknowledged."""
    if quote.blockers:
        return list(quote.blockers)
    if quote.digest != request.digest:
        return [problems.QuoteStale(quote=to_record(quote))]
    destroys = sorted(server.id for server in quote.destroys)
    if not request.no_refund or sorted(request.destroys) != destroys:
        return [problems.AcknowledgementMissing(no_refund=request.no_refund, destroys=destroys)]
    return []


def _row(request: ChangeRequest, quote: Quote) -> Change:
    """Return what a row has whether the request is accepted or rejected."""
    return Change(
        id=request.change_id,
        service_id=request.service_id,
        account_id=request.account_id,
        fingerprint=request.fingerprint,
        stage=Stage.REQUESTED,
        before=quote.terms["before"],
        after=quote.terms["after"],
        destroys=[server_record(server) for server in quote.destroys],
        creates=quote.creates,
        spends_pass=quote.spends_pass,
        as_of=quote.as_of,
        days_before=quote.days_before,
        days_after=quote.days_after,
        new_expires_at=quote.new_expires_at,
    )
