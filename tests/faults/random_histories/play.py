"""What is done in a random history: each act goes to the system and to the model, which must agree."""

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from changeover.hosts import HostRefused
from changeover.mail import MailDeferred, MailRejected
from changeover.storage import tables
from starter.operator_refusals import NothingWaits
from tests.faults.random_histories.customers import Customers
from tests.faults.random_histories.model import (
    CODE_SECONDS,
    MAILS,
    WINDOW_SECONDS,
    Change,
    Server,
    Service,
)
from tests.storage.rows import CATALOGUE, add_rows, load_catalogue, rows_of
from tests.workflows.faults import Fault
from tests.workflows.system import eventually
from workflows import ids

REFUSED = HostRefused("locked", "the host says no")


class Play(Customers):
    """The customers' acts, and those of the host, of operators, and the faults."""

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
