"""The reconciler's activities: each makes one check, notes what it found, and heals what is certain."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Protocol

from temporalio import activity

from activities.clock import ServerClock
from activities.failures import classified
from activities.heartbeats import heartbeating
from activities.reconcile_addresses import AddressCheck
from activities.reconcile_changes import OpenChangeCheck
from activities.reconcile_cleanup import CleanUp, MarkCheck
from activities.reconcile_mails import OutcomeMailCheck
from activities.reconcile_runs import RunCheck, Runs
from activities.reconcile_servers import ServerCheck
from activities.words import plain
from changeover.domain.retention import Retention
from changeover.hosts import Host
from changeover.storage import findings
from changeover.storage.database import Database
from changeover.storage.findings import Noted
from workflows.operators import MOST_TEXT
from workflows.ports import ReconcileActivities
from workflows.reconciling import CheckOrder, CheckResult, Finding

MOST_NOTED = 1000
"""Findings of one check that are kept. More of them are one trouble, not a thousand."""
MOST_SUBJECT = 120
"""Characters of what a finding is about, as its column has them."""
MOST_TOLD = 20
"""Findings of one check that travel through Temporal."""

_log = logging.getLogger(__name__)


class Check(Protocol):
    """Looks for its `kinds` of findings."""

    @property
    def kinds(self) -> Sequence[str]: ...

    async def look(self, order: CheckOrder, tell: "Tell") -> None:
        """Tell everything that should never be."""
        ...


class Tell:
    """Takes what a check finds, and has it healed when that is certain and wanted."""

    def __init__(self, *, dry_run: bool) -> None:
        self._dry_run = dry_run
        self.found: list[Finding] = []

    async def __call__(
        self, kind: str, subject: str, detail: str, heal: Callable[[], Awaitable[bool]] | None = None
    ) -> None:
        """Note a finding. `heal` checks again under the locks; False from it: it is no finding any more."""
        healed = False
        if heal is not None and not self._dry_run:
            healed = await heal()
            if not healed:
                return
        subject, detail = plain(subject, MOST_SUBJECT), plain(detail, MOST_TEXT)  # anyone names a run
        finding = Finding(kind=kind, subject=subject, detail=detail, certain=heal is not None, healed=healed)
        said = "healed" if healed else "would heal" if finding.certain else "needs attention"
        _log.warning("reconciler: %s: %s %s: %s", said, kind, subject, detail)
        self.found.append(finding)


class Reconciler(ReconcileActivities):
    """`quarantine` is how long an address rests that a healing frees."""

    def __init__(
        self, database: Database, host: Host, quarantine: timedelta, retention: Retention | None = None
    ) -> None:
        self._database = database
        self._host = host
        self._quarantine = quarantine
        self._retention = retention or Retention()

    @activity.defn
    @classified
    async def check_open_changes(self, order: CheckOrder) -> CheckResult:
        return await self._make(OpenChangeCheck(self._database, Runs.of_this_activity()), order)

    @activity.defn
    @classified
    async def check_outcome_mails(self, order: CheckOrder) -> CheckResult:
        return await self._make(OutcomeMailCheck(self._database, Runs.of_this_activity()), order)

    @activity.defn
    @classified
    async def check_runs(self, order: CheckOrder) -> CheckResult:
        return await self._make(RunCheck(self._database, Runs.of_this_activity()), order)

    @activity.defn
    @classified
    async def check_servers(self, order: CheckOrder) -> CheckResult:
        return await self._make(ServerCheck(self._database, self._host), order)

    @activity.defn
    @classified
    async def check_addresses(self, order: CheckOrder) -> CheckResult:
        return await self._make(AddressCheck(self._database, self._quarantine), order)

    @activity.defn
    @classified
    async def check_marks(self, order: CheckOrder) -> CheckResult:
        return await self._make(MarkCheck(self._database), order)

    @activity.defn
    @classified
    async def clean_up(self, order: CheckOrder) -> CheckResult:
        now = ServerClock().believed(order.at)
        async with heartbeating() as say:
            say("removes what has had its time")
            cleaning = CleanUp(self._database, self._retention, dry_run=order.dry_run)
            return CheckResult(cleaned=await cleaning.run(now))

    async def _make(self, check: Check, order: CheckOrder) -> CheckResult:
        order = replace(order, at=ServerClock().believed(order.at))
        tell = Tell(dry_run=order.dry_run)
        async with heartbeating() as say:
            say("looks")
            await check.look(order, tell)
            if not order.dry_run:
                await self._note(check.kinds, tell.found, order)
        attention = [it for it in tell.found if not it.certain]
        return CheckResult(
            found=len(tell.found),
            healed=sum(it.healed for it in tell.found),
            attention=len(attention),
            findings=tuple([*attention, *(it for it in tell.found if it.certain)][:MOST_TOLD]),
        )

    async def _note(self, kinds: Sequence[str], found: Sequence[Finding], order: CheckOrder) -> None:
        noted = [
            Noted(kind=it.kind, subject=it.subject, detail=it.detail, healed=it.healed)
            for it in found[:MOST_NOTED]
        ]
        await self._database.write(lambda connection: findings.note(connection, noted, order.at))
        if len(found) <= MOST_NOTED:  # else those left out would be taken for gone
            await self._database.write(lambda connection: findings.end_unseen(connection, kinds, order.at))
