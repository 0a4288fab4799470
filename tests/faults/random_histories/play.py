"""What is done in a random history: each act goes to the system and to the model, which must agree."""

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import update

from changeover.domain.catalogue import Configuration
from changeover.domain.problems import Problem
from changeover.hosts import HostRefused
from changeover.hosts.sample import SampleServer, create_samples
from changeover.mail import MailDeferred, MailRejected
from changeover.storage import tables
from changeover.storage.database import Database
from starter.operations import NothingWaits, Operations
from starter.views import Acknowledgement
from tests.faults.evidence import digest_of
from tests.faults.random_histories.model import (
    CODE_SECONDS,
    DAY,
    MAILS,
    RESEND_SECONDS,
    WINDOW_SECONDS,
    Change,
    Model,
    Server,
    Service,
    Verdict,
    Wish,
)
from tests.faults.story import Before, Ledger, Tried
from tests.storage.rows import CATALOGUE, Rented, add_account, add_rows, load_catalogue, rent, rows_of
from tests.workflows.faults import Fault
from tests.workflows.system import eventually
from tests.workflows.world import World
from workflows import ids

REFUSED = HostRefused("locked", "the host says no")
FREE = 3
"""Addresses in the pool at first: the fourth new server is one too many."""
_NEAR = 5.0
"""Seconds around a limit in which a loaded machine may decide either way: nothing is asked there."""


class Play:
    """One history: an account with two services, on a world that others have used before."""

    def __init__(self, world: World, database: Database) -> None:
        self.world = world
        self.database = database  # the world's own is the workers', and fails them
        self.model: Model
        self.account_id = ""
        self.email = ""
        self.first_mail = len(world.post.sent)
        self.before: dict[str, Before] = {}
        self.ledger = Ledger()
        self.fault: str | None = None
        self.quotes: dict[str, str | None] = {}
        self.operations = Operations(world.settings, world.temporal.client)

    async def begin(self, passes: int, counts: tuple[int, int], flexi: bool, *, cooling: bool) -> None:
        self.world.database.away = self.world.database.answers_lost = 0
        self.world.post.faults, self.world.post.lost, self.world.host.faults = [], [], []
        database = self.database
        held = update(tables.addresses).where(tables.addresses.c.server_id.is_(None)).values(held=True)
        await database.write(lambda connection: connection.execute(held))
        await load_catalogue(database, CATALOGUE)
        now = datetime.now(UTC).replace(microsecond=0)
        number = uuid4().int % 250
        pool = [
            {"address": f"198.18.{number}.{uuid4().int % 60_000}:{index}", "server_id": None}
            | {"free_from": now - timedelta(days=1), "held": False}
            for index in range(FREE)
        ]
        await add_rows(database, tables.addresses, *pool)
        name = f"canary-{uuid4().hex[:12]}"
        self.email = f"{name}@example.com"
        self.account_id = await add_account(database, name, passes=passes)
        services = []
        for index, count in enumerate(counts):
            options = ("flexi_plus",) if flexi and index == 0 else ()
            last = now - timedelta(days=1) if cooling else None
            services.append(await self._rent(count, options, now + timedelta(days=20), last))
        per_slot = {code: offer.per_slot for code, offer in CATALOGUE.items()}
        self.model = Model(services=services, passes=passes, free=FREE, per_slot=per_slot)

    async def _rent(
        self, count: int, options: tuple[str, ...], expires_at: datetime, last: datetime | None
    ) -> Service:
        rented = await rent(
            self.database,
            self.account_id,
            servers=count,
            options=options,
            expires_at=expires_at,
            last_committed_at=last,
        )
        samples = [
            SampleServer(
                server_id=server_id,
                name=f"server-{number}",
                address=address,
                game="minecraft",
                slots=20,
                options=options,
                backups=1,
                kilobytes=1,
            )
            for number, (server_id, address) in enumerate(
                zip(rented.servers, rented.addresses, strict=True), start=1
            )
        ]
        await create_samples(samples, self.world.host_dir)
        self.before[rented.service_id] = await self._before(rented)
        return Service(
            id=rented.service_id,
            has=Wish("blocks", 20, frozenset(options), count),
            expires_at=expires_at,
            servers=[Server(it) for it in rented.servers],
            last_committed_at=last,
        )

    async def _before(self, rented: Rented) -> Before:
        database = self.database
        (service,) = await rows_of(database, tables.services, id=rented.service_id)
        servers = await rows_of(database, tables.servers, service_id=rented.service_id)
        return Before(
            service=service,
            servers={row["id"]: row for row in servers},
            passes=await rows_of(database, tables.passes, account_id=self.account_id),
            files={it: digest_of(self.world.host_dir / it) for it in rented.servers},
        )

    async def end(self) -> None:
        """Let everything come to an end."""
        await self.trouble("host heals")
        for service in self.model.services:
            change = service.open_change
            if change is not None and change.stage == "awaiting_code":
                await self.cancel(change, by_operator=False)
            elif change is not None:
                await self.retry(service, change)
            if service.changes:
                await self._run_ends(service)
        await self.agree()

    # The customer.

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

    # The host, and time.

    async def reprice(self, offer: str, per_slot: int) -> None:
        self.model.per_slot[offer] = per_slot
        catalogue = {code: replace(it, per_slot=self.model.per_slot[code]) for code, it in CATALOGUE.items()}
        await load_catalogue(self.database, catalogue)

    async def grant_pass(self) -> None:
        row = {"id": str(uuid4()), "account_id": self.account_id, "granted_at": datetime.now(UTC)}
        await add_rows(self.database, tables.passes, row)
        self.model.passes += 1

    async def wait(self, service: Service, change: Change, seconds: float) -> None:
        """Move the clock of a change that awaits its code."""
        handle = self.world.temporal.client.get_workflow_handle(ids.plan_change_workflow_id(service.id))

        async def idle() -> bool:
            told = (await handle.describe()).raw_description
            return not told.pending_activities and not told.HasField("pending_workflow_task")

        await eventually(idle, "the run to be idle")
        await asyncio.wait_for(self.world.temporal.fast_forward(handle, timedelta(seconds=seconds)), 40)
        change.skipped += seconds
        last_is_over = change.number >= MAILS and change.since_mail(time.monotonic()) >= CODE_SECONDS
        if last_is_over or change.skipped >= WINDOW_SECONDS:
            change.abandon("window-over")
            await self.world.reaches(change.id, "abandoned")

    # Faults.

    async def trouble(self, kind: str) -> None:
        """Bring a fault about: it strikes at the next occasion, and must alter nothing but time."""
        world = self.world
        if kind == "workers restart":
            await world.restart_workers()
        elif kind == "workers are cancelled":
            for task in world._running:
                task.cancel()
            await asyncio.gather(*world._running, return_exceptions=True)
            await world.start_workers()
        elif kind == "answers lost":
            world.database.answers_lost = 2
        elif kind == "database away":
            world.database.away = 2
        elif kind == "mail deferred":
            world.post.faults = [MailDeferred(server="smtp", stage="recipient", code=450)]
        elif kind == "mail taken, answer lost":
            world.post.lost = [MailDeferred(server="smtp", stage="data")]
        elif kind == "mail refused":
            world.post.faults = [MailRejected(server="smtp", stage="recipient", code=550)]
        elif kind == "host heals":
            self.fault, world.host.faults = None, []
        else:
            self.fault = kind
            world.host.faults = [Fault(call=kind, error=REFUSED)]

    # Operators.

    async def retry(self, service: Service, change: Change) -> None:
        if change.stage != "needs_attention":
            assert await self._decided(self.operations.retry(change.id, actor="olga")) == "nothing-waits"
            return
        before = (await self.world.events(change.id)).count("needs_attention")
        await self._decides(change, lambda: self.operations.retry(change.id, actor="olga"))
        if self.fault != change.waits_for:
            change.waits_for = None
        await self._carried_out(service, change, before)

    async def skip(self, service: Service, change: Change, *, evidence: bool) -> None:
        """Skip, again and again, until nothing waits; with evidence the server really is gone."""
        if change.stage != "needs_attention":
            skip = self.operations.skip(change.id, "no time", actor="olga")
            assert await self._decided(skip) == "nothing-waits"
            return
        deletion = change.waits_for == "delete_data"
        if deletion and evidence:
            for server in change.doomed:
                self.world.host.lose(server.id)
                self.ledger.host_removed.add(server.id)
        told = "ticket 4711" if evidence else None
        for _ in range(4):
            await self._decides(
                change, lambda: self.operations.skip(change.id, "no time", told, actor="olga")
            )

            async def moved() -> str | None:
                row = await self.world.row(change.id)
                tasks = await rows_of(self.database, tables.tasks, change_id=change.id)
                waits = any(task["state"] == "attention" for task in tasks)
                done = row.stage == "completed"
                return "done" if done else "waits" if waits else None

            if await eventually(moved, f"{change.id} to go on") == "done":
                break
        self.model.complete(change, "held" if deletion and not evidence else "released")
        await self._run_ends(service)

    async def evidence(self, server: Server) -> None:
        """Record that a server whose deletion was skipped is gone by now."""
        if server.address == "held":
            self.world.host.lose(server.id)
            self.ledger.host_removed.add(server.id)
            server.address = "released"
        await self.operations.evidence(server.id, "ticket 4712", actor="olga")

    async def _decides(self, change: Change, decide: Any) -> None:
        """Decide once the runs wait: the row says so a moment before they do."""

        async def decided() -> bool:
            return await self._decided(decide()) == "ok"

        await eventually(decided, f"{change.id} to wait for an operator")

    async def _decided(self, decision: Awaitable[Any]) -> str:
        try:
            await decision
        except NothingWaits as nothing:
            return nothing.code
        return "ok"

    async def _run_ends(self, service: Service) -> None:
        await self.world.temporal.client.get_workflow_handle(ids.plan_change_workflow_id(service.id)).result()

    # What is there must be what the model says.

    async def agree(self) -> None:
        database = self.database
        addresses = {row["address"]: row for row in await rows_of(database, tables.addresses)}
        passes = await rows_of(database, tables.passes, account_id=self.account_id)
        assert sum(row["spent_at"] is None for row in passes) == self.model.passes
        for service in self.model.services:
            (row,) = await rows_of(database, tables.services, id=service.id)
            has = Wish(row["offer_code"], row["slots"], frozenset(row["options"]), row["server_count"])
            assert (has, row["expires_at"]) == (service.has, service.expires_at)
            assert row["last_committed_at"] == service.last_committed_at
            servers = {it["id"]: it for it in await rows_of(database, tables.servers, service_id=service.id)}
            for server in service.servers:
                found = servers.pop(server.id)
                assert found["state"] == server.state
                owner = addresses[found["address"]]
                if server.address != "released":
                    assert (owner["server_id"], owner["held"]) == (server.id, server.address == "held")
                else:
                    assert owner["server_id"] is None
            assert servers == {}
            for change in service.changes:
                row = await self.world.row(change.id)
                figures = (row.stage, row.reason, row.code_number, row.wrong_on_code, row.wrong_on_change)
                assert figures == (
                    change.stage,
                    change.reason,
                    change.number,
                    change.wrong_on_code,
                    change.wrong_on_change,
                )

    @property
    def least_days(self) -> float:
        now = datetime.now(UTC)
        return min((it.expires_at - now).total_seconds() for it in self.model.services) / DAY


def _configuration(wish: Wish) -> Configuration:
    return Configuration.of(wish.offer, wish.slots, sorted(wish.options), wish.count)


def _terms(terms: dict[str, Any]) -> dict[str, object]:
    """Return the part of a quote's terms that the model speaks of."""
    destroys = sorted(server["id"] for server in terms["destroys"])
    names = ("rate_before", "rate_after", "creates", "spends_pass")
    return {name: terms[name] for name in names} | {"destroys": destroys}


async def told_by(call: Awaitable[Any]) -> str:
    try:
        await call
    except Problem as problem:
        return problem.code
    return "ok"
