"""What customers do in a random history, and what they must be answered."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from changeover.domain.catalogue import Configuration
from changeover.storage import tables
from starter.views import Acknowledgement
from tests.faults.random_histories.model import (
    CODE_SECONDS,
    MAILS,
    RESEND_SECONDS,
    Change,
    Server,
    Service,
    Verdict,
    Wish,
)
from tests.faults.random_histories.scene import Scene, told_by
from tests.faults.story import Tried
from tests.storage.rows import rows_of
from tests.workflows.system import eventually
from workflows import ids

_NEAR = 5.0
"""Seconds around a limit in which a loaded machine may decide either way: nothing is asked there."""


class Customers(Scene):
    """Marks, renewals, quotes, confirms, codes."""

    async def mark(self, service: Service, index: int, *, undo: bool) -> None:
        server = service.servers[index % len(service.servers)]
        act = self.world.starter.unmark if undo else self.world.starter.mark
        told = await told_by(act(self.account_id, service.id, server.id))
        if server.state in {"destroying", "destroyed"}:
            assert told == "change-closed"
            return
        assert told == "ok"
        server.state = "active" if undo else "marked"
        self.ledger.marks[server.id] = server.state

    async def renew(self, service: Service, days: int) -> None:
        service.expires_at += timedelta(days=days)
        key = str(uuid4())
        for _ in range(2):  # the second click is the same one
            renewed = await self.world.starter.renew(self.account_id, service.id, days, idempotency_key=key)
            assert renewed.expires_at == service.expires_at
        self.ledger.renewals.setdefault(service.id, []).append(service.expires_at)

    async def quote(self, service: Service, wish: Wish) -> Verdict:
        quote = await self.world.starter.quote(self.account_id, service.id, _configuration(wish))
        expected = self.model.assess(service, wish, quote.as_of)
        assert [blocker.code for blocker in quote.blockers] == expected.blockers
        assert _terms(quote.terms) == expected.terms
        assert quote.new_expires_at == expected.new_expires_at
        assert (quote.digest is None) == bool(expected.blockers)
        self.quotes[service.id] = quote.digest
        return expected

    async def confirm(self, service: Service, wish: Wish, *, stale: bool, forgets: bool) -> None:
        """Confirm the last quote (`stale`) or a fresh one, perhaps without acknowledging anything."""
        digest = self.quotes.get(service.id)
        expected = await self.quote(service, wish)
        fresh = self.quotes[service.id]
        shown = digest if stale else fresh
        body: dict[str, Any] = {
            "configuration": _configuration(wish),
            "digest": shown or "blocked",
            "acknowledge": Acknowledgement(
                no_refund=not forgets, destroys=tuple(server.id for server in service.marked)
            ),
            "idempotency_key": str(uuid4()),
        }
        told = await told_by(self.world.starter.request(self.account_id, service.id, **body))
        if expected.blockers:
            assert told == expected.blockers[0]
        elif shown != fresh:
            assert told == "quote-stale"
        elif forgets:
            assert told == "acknowledgement-missing"
        else:
            assert told == "ok"
            await self._opened(service, wish, body)
        if told != "change-in-progress":  # a refusal by a rule is remembered with its key
            assert await told_by(self.world.starter.request(self.account_id, service.id, **body)) == told

    async def _opened(self, service: Service, wish: Wish, body: dict[str, Any]) -> None:
        row = await self.world.row(ids.change_id(self.account_id, service.id, str(body["idempotency_key"])))
        expected = self.model.assess(service, wish, row.as_of)
        requested = await self.world.starter.request(self.account_id, service.id, **body)
        assert requested.new_expires_at == expected.new_expires_at
        assert abs((row.as_of - datetime.now(UTC)).total_seconds()) < 60
        change = Change(row.id, wish, row.as_of, expected.terms)
        service.changes.append(change)
        self.ledger.accepted[change.id] = {"new_expires_at": requested.new_expires_at.isoformat()}
        await self._mailed(change)

    async def _mailed(self, change: Change) -> None:
        """Wait until the mail server has answered for good."""

        async def answered() -> Any:
            row = await self.world.row(change.id)
            told = row.code_number == change.number and row.code_handed_over_at is not None
            return row if told or row.stage != "awaiting_code" else None

        row = await eventually(answered, f"mail {change.number} of {change.id}")
        if row.stage == "abandoned":
            assert row.reason == "mail-refused"
            change.abandon("mail-refused")
            return
        change.handed_over = time.monotonic() + change.skipped
        change.codes.append(self.world.mailed_codes(change.id)[-1])
        assert len(set(change.codes)) == change.number

    async def type(self, service: Service, change: Change, code: str) -> None:
        """Type a code: right, wrong, of an earlier mail, or once more."""
        since = change.since_mail(time.monotonic())
        was_open = change.stage == "awaiting_code"
        right = bool(change.codes) and code == change.codes[-1]
        accepted = right and change.stage not in {"awaiting_code", "abandoned"}
        cause = self.model.stale_cause(service, change) if was_open and right else None
        expected = self._answer_to(change, code, right=right, since=since, cause=cause)
        self.world.typed.append(code)
        told = await told_by(self.world.starter.submit_code(self.account_id, change.id, code))
        status, problem = (200, None) if told == "ok" else (422, told)
        tried = Tried(change_id=change.id, code=code, status=status, problem=problem)
        self.ledger.tries.append(tried)
        assert told == ("ok" if accepted else expected), (told, expected, change)
        if not was_open or (change.number, code) in change.wrong_codes:
            return
        if told == "code-wrong":
            change.count_wrong(code)
        elif cause is not None and told == "change-closed":
            change.abandon("stale")
            assert (await self.world.row(change.id)).cause == cause
        elif told == "ok":
            await self._committed(service, change)

    def _answer_to(self, change: Change, code: str, *, right: bool, since: float, cause: str | None) -> str:
        if change.stage != "awaiting_code":
            return "change-closed"
        if change.tries_left == 0:
            return "code-locked"
        if (change.number, code) in change.wrong_codes:
            return "code-wrong"
        if since >= CODE_SECONDS:
            return "code-expired"
        if not right:
            return "code-wrong"
        return "change-closed" if cause else "ok"

    async def _committed(self, service: Service, change: Change) -> None:
        row = await self.world.row(change.id)
        moved = (row.committed_at - datetime.now(UTC)).total_seconds() - change.skipped
        assert abs(moved) < 60, "committed at another time than its own clock's"
        limits = (change.wish.offer, change.wish.slots, change.wish.options) != (
            service.has.offer,
            service.has.slots,
            service.has.options,
        )
        self.model.commit(service, change, row.committed_at)
        if (self.fault == "delete_data" and change.doomed) or (self.fault == "apply_limits" and limits):
            change.waits_for = self.fault
        await self._carried_out(service, change)

    async def _carried_out(self, service: Service, change: Change, attention: int = 0) -> None:
        """Wait until hosts have done what they do; `attention`: how often operators had been asked before."""

        async def still() -> bool:
            if change.waits_for is None:
                return bool((await self.world.row(change.id)).stage == "completed")
            tasks = await rows_of(self.database, tables.tasks, change_id=change.id)
            asked = (await self.world.events(change.id)).count("needs_attention")
            waiting = sum(task["state"] == "attention" for task in tasks)
            settled = {task["state"] for task in tasks} <= {"done", "attention", "skipped"}
            return waiting > 0 and settled and asked >= attention + waiting

        await eventually(still, f"the work of {change.id}")
        known = {server.id for server in service.servers}
        rows = await rows_of(self.database, tables.servers, service_id=service.id)
        new = [row["id"] for row in rows if row["id"] not in known]
        assert len(new) in {0, change.confirmed["creates"]}
        service.servers += [Server(it) for it in new]
        if change.waits_for is None:
            self.model.complete(change)
            await self._run_ends(service)
        else:
            change.stage = "needs_attention"

    async def resend(self, change: Change) -> None:
        since = change.since_mail(time.monotonic())
        if change.codes and abs(since - RESEND_SECONDS) < _NEAR:
            return
        told = await told_by(self.world.starter.resend_code(self.account_id, change.id))
        if change.stage != "awaiting_code":
            assert told == "change-closed"
        elif change.number >= MAILS:
            assert told == "resend-limit"
        elif since < RESEND_SECONDS:
            assert told == "resend-too-soon"
        else:
            assert told == "ok"
            change.number += 1
            change.wrong_on_code = 0
            await self._mailed(change)

    async def cancel(self, change: Change, *, by_operator: bool) -> None:
        if by_operator:
            told = await told_by(self.operations.cancel(change.id, actor="olga"))
        else:
            told = await told_by(self.world.starter.cancel(self.account_id, change.id))
        if change.stage == "awaiting_code":
            change.abandon("cancelled")
        assert told == ("ok" if change.reason == "cancelled" else "change-closed")


def _configuration(wish: Wish) -> Configuration:
    return Configuration.of(wish.offer, wish.slots, sorted(wish.options), wish.count)


def _terms(terms: dict[str, Any]) -> dict[str, object]:
    """Return the part of a quote's terms that the model speaks of."""
    destroys = sorted(server["id"] for server in terms["destroys"])
    names = ("rate_before", "rate_after", "creates", "spends_pass")
    return {name: terms[name] for name in names} | {"destroys": destroys}
