"""What `changeover ops` does. Each returns its exit code."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import click
from rich.text import Text

from changeover.domain.problems import NotFound
from changeover.settings import Settings, load
from starter.cli import exits, operator_screens, shapes
from starter.cli.naming import LEAST_PREFIX, Misused, pick
from starter.cli.output import Output
from starter.cli.state import State
from starter.operations import Operations
from starter.operator_refusals import NothingWaits
from starter.operator_views import Decided
from starter.texts import Texts
from workflows.messages import EvidenceOutcome

_WHOLE_ID = 36
_EVIDENCE_EXITS = {
    EvidenceOutcome.RECORDED: exits.OK,
    EvidenceOutcome.RECORDED_BEFORE: exits.OK,
    EvidenceOutcome.UNKNOWN: exits.NOT_FOUND,
}


def run(state: State, action: "Callable[[OperatorSession], Awaitable[int]]") -> int:
    """Connect, act, close."""
    return asyncio.run(_run(state, action))


async def _run(state: State, action: "Callable[[OperatorSession], Awaitable[int]]") -> int:
    settings = load(Settings)
    state.texts = Texts(state.texts.language, settings.zone)
    operations = await Operations.connect(settings)
    try:
        return await action(OperatorSession(operations, state))
    finally:
        await operations.close()


class OperatorSession:
    """One command of an operator."""

    def __init__(self, operations: Operations, state: State) -> None:
        self._operations = operations
        self._texts = state.texts
        self._output = Output(as_json=state.json)

    async def list(self, **wanted: Any) -> int:
        """List the changes that fit; `wanted` is as `Operations.list` takes it."""
        found = await self._operations.list(**wanted)
        gone = await self._operations.without_run(*found)
        shape = {"plan_changes": [shapes.plain(change) for change in found], "without_run": gone}
        self._output.show(
            shape, operator_screens.listed(found, self._texts), *operator_screens.temporal_says(gone)
        )
        return exits.OK

    async def show(self, given: str) -> int:
        shown = await self._operations.show(await self._change(given))
        gone = await self._operations.without_run(shown)
        shape = {**shapes.plain(shown), "without_run": gone}
        self._output.show(
            shape, operator_screens.shown(shown, self._texts), *operator_screens.temporal_says(gone)
        )
        return exits.OK

    async def retry(self, given: str, server: str | None, *, actor: str) -> int:
        change_id = await self._change(given)
        server_id = await self._server(change_id, server)
        decided = await self._operations.retry(change_id, server_id, actor=actor)
        follow = self._texts._("`changeover ops show {change}` says how it goes.", change=change_id[:8])
        return self._decided(decided, self._texts._("Tried again now:"), follow)

    async def skip(
        self, given: str, reason: str, evidence: str | None, server: str | None, *, actor: str
    ) -> int:
        change_id = await self._change(given)
        server_id = await self._server(change_id, server)
        decided = await self._operations.skip(change_id, reason, evidence, server_id, actor=actor)
        return self._decided(decided, self._texts._("Skipped, and kept in the trail:"))

    async def cancel(self, given: str, *, actor: str) -> int:
        view = await self._operations.cancel(await self._change(given), actor=actor)
        told = Text(self._texts._("The change is cancelled; nothing was changed."))
        self._output.show(shapes.plain(view), told)
        return exits.OK

    async def forget(self, account: str, *, actor: str, sure: bool) -> int:
        account_id = await self._operations.account_id(account)
        if not sure:
            question = f"Remove the personal data of account {account_id}? It can't be brought back"
            click.confirm(question, abort=True, err=True)
        result = await self._operations.forget(account_id, actor=actor)
        self._output.show(shapes.plain(result), *operator_screens.forgotten(result))
        return exits.REFUSED if result.at is None else exits.OK

    def _decided(self, decided: tuple[Decided, ...], told: str, *then: str) -> int:
        lines = [told, *(f"  {', '.join(it.work)} ({it.workflow_id})" for it in decided), *then]
        self._output.show({"decided": shapes.plain(decided)}, *map(Text, lines))
        return exits.OK

    async def evidence(self, given: str, evidence: str, *, actor: str) -> int:
        server_id = await self._one(given, self._operations.find_given_up, "server")
        result = await self._operations.evidence(server_id, evidence, actor=actor)
        self._output.show(shapes.plain(result), operator_screens.evidence(result, self._texts))
        return _EVIDENCE_EXITS.get(result.outcome, exits.REFUSED)

    async def reconcile(self, *, dry_run: bool) -> int:
        report = await self._operations.reconcile(dry_run=dry_run)
        shape = {**shapes.plain(report), "needs_attention": report.needs_attention}
        self._output.show(shape, operator_screens.report(report))
        return exits.REFUSED if report.needs_attention else exits.OK

    async def findings(self) -> int:
        found = await self._operations.findings()
        shape = {"findings": [shapes.plain(finding) for finding in found]}
        self._output.show(shape, operator_screens.findings(found, self._texts))
        return exits.OK

    async def _change(self, given: str) -> str:
        return await self._one(given, self._operations.find, "plan change")

    async def _one(self, given: str, find: Callable[[str], Awaitable[tuple[str, ...]]], what: str) -> str:
        """Return the whole id of what `given` names: an id, or the beginning of one."""
        if len(given) < LEAST_PREFIX:
            raise Misused(
                self._texts._("The beginning of an id has at least {n} characters.", n=LEAST_PREFIX)
            )
        if len(given) == _WHOLE_ID:
            return given.lower()
        found = await find(given.lower())
        if not found:
            raise NotFound(what=what)
        if len(found) > 1:
            choices = ", ".join(found)
            raise Misused(
                self._texts._("“{given}” can mean several: {choices}.", given=given, choices=choices)
            )
        return found[0]

    async def _server(self, change_id: str, given: str | None) -> str | None:
        """Return the id of a server that the change has work for."""
        if given is None:
            return None
        tasks = (await self._operations.show(change_id)).tasks
        servers = {task.server_id: operator_screens.TaskServer(task.server_id, task.server) for task in tasks}
        if not servers:
            raise NothingWaits(change_id)
        return pick(given, list(servers.values()), "server", self._texts).id
