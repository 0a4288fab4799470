"""The commit: everything is checked again, and all that was confirmed is written, in one transaction.

Its statements, beside the reads of the facts: the service, the servers given up, the new servers and their
addresses, the pass, the work for hosts, the change, the trail. None stands in a loop over rows.
"""

from dataclasses import replace
from datetime import datetime
from itertools import count
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.state import needs_new_limits
from changeover.domain.facts import Facts, Policy
from changeover.domain.lifecycle import Stage
from changeover.domain.proration import whole_second
from changeover.domain.quote import Quote, assess
from changeover.domain.staleness import StaleCause, stale_cause
from changeover.storage import addresses, changes, services, tasks
from changeover.storage.catalogue import CatalogueReader
from changeover.storage.changes import Change, Event
from workflows import ids
from workflows.messages import HostWork


class Commit:
    """One attempt to commit `change` at `at`, inside a transaction that holds its locks."""

    def __init__(
        self,
        connection: AsyncConnection,
        change: Change,
        reader: CatalogueReader,
        policy: Policy,
        at: datetime,
    ) -> None:
        self._connection = connection
        self._change = change
        self._reader = reader
        self._policy = policy
        self._at = at
        self._facts: Facts | None = None
        self._quote: Quote | None = None
        self._addresses: list[str] = []

    async def stale_cause(self) -> StaleCause | None:
        """Check everything again, at T0, and take the addresses; None when it is as it was confirmed."""
        change = self._change
        assert change.terms is not None, "only an accepted change is committed"
        found = await services.facts_and_catalogue(
            self._connection, self._reader, change.service_id, self._at
        )
        assert found is not None, "its row is locked"
        facts, catalogue = found
        self._facts = replace(facts, open_change=None)
        self._quote = assess(self._facts, change.configuration_after, catalogue, self._policy, change.as_of)
        cause = stale_cause(change.terms, self._quote, self._at)
        if cause is None and self._quote.creates:
            self._addresses = await addresses.take(self._connection, self._quote.creates, self._at)
            if len(self._addresses) < self._quote.creates:
                return StaleCause.NO_CAPACITY
        return cause

    async def apply(self, proof: str) -> Change:
        """Write what was confirmed; `stale_cause` must have said None."""
        change, quote, facts = self._change, self._quote, self._facts
        assert quote is not None, "checked first"
        assert facts is not None
        assert quote.new_expires_at is not None, "a change with its days is allowed"
        connection = self._connection
        after = change.configuration_after
        await services.apply_configuration(
            connection, change.service_id, after, quote.new_expires_at, whole_second(self._at)
        )
        if quote.destroys:
            await services.condemn(connection, change.service_id, change.id)
        created = await self._create({server.name for server in facts.servers})
        if change.spends_pass:
            await services.spend_pass(connection, change.account_id, change.id, self._at)
        await tasks.plan(connection, self._tasks(facts, created))
        data = {"new_expires_at": quote.new_expires_at.isoformat()}
        event = Event(event="committed", stage=Stage.COMMITTED, at=self._at, actor="customer", data=data)
        return await changes.alter(
            connection,
            change,
            [event],
            committed_at=whole_second(self._at),
            new_expires_at=quote.new_expires_at,
            days_before=quote.days_before,
            days_after=quote.days_after,
            accepted_proof=proof,
        )

    async def _create(self, taken: set[str]) -> dict[str, str]:
        """Add the new servers, by names not `taken`, on the addresses taken; return those by server id."""
        change = self._change
        created = {ids.server_id(change.id, index): it for index, it in enumerate(self._addresses)}
        if created:
            numbered = (f"server-{number}" for number in count(len(taken) + 1))
            names = (name for name in numbered if name not in taken)
            rows = [
                {
                    "id": server_id,
                    "service_id": change.service_id,
                    "name": name,
                    "address": address,
                    "state": "creating",
                    "backups": 0,
                    "created_at": self._at,
                    "created_by": change.id,
                }
                for (server_id, address), name in zip(created.items(), names, strict=False)
            ]
            await services.add_servers(self._connection, rows)
            await addresses.assign(self._connection, created)
        return created

    def _tasks(self, facts: Facts, created: dict[str, str]) -> list[dict[str, Any]]:
        before, after = self._change.configuration_before, self._change.configuration_after
        limits = facts.kept if needs_new_limits(before, after) else ()
        work = [
            *((HostWork.CREATE, server_id, address) for server_id, address in created.items()),
            *((HostWork.LIMITS, server.id, server.address) for server in limits),
            *((HostWork.TEARDOWN, server.id, server.address) for server in facts.marked),
        ]
        return [
            {"change_id": self._change.id, "kind": kind, "server_id": server_id, "address": address}
            for kind, server_id, address in work
        ]
