"""What the customer's commands do: ask the facade, show the answer. Each returns its exit code."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import click
from rich.text import Text

from changeover.domain import problems
from changeover.domain.quote import Quote, to_record
from changeover.settings import Settings, load
from starter.cli import change_screens, exits, screens, shapes
from starter.cli.naming import Misused, pick
from starter.cli.options import Wanted
from starter.cli.output import Output, console_on
from starter.cli.screens import Names
from starter.cli.state import ACCOUNT_VARIABLE, State
from starter.cli.wanting import applied, ask, changed
from starter.cli.watching import watch
from starter.plan_changes import PlanChanges
from starter.texts import Texts
from starter.views import AccountView, Acknowledgement, ChangeView, Requested, ServiceView
from workflows import ids

_ANSWER = tuple(Requested.__dataclass_fields__)


@dataclass(frozen=True, kw_only=True)
class _Candidate:
    """A change that may be meant; an open one can be named by its service."""

    id: str
    name: str = ""


def run(state: State, action: "Callable[[CustomerSession], Awaitable[int]]") -> int:
    """Connect, find the account, act, close."""
    return asyncio.run(_run(state, action))


async def _run(state: State, action: "Callable[[CustomerSession], Awaitable[int]]") -> int:
    if not state.account:
        raise Misused(
            state.texts._("Say whose services are meant: --account, or {name}.", name=ACCOUNT_VARIABLE)
        )
    settings = load(Settings)
    facade = await PlanChanges.connect(settings)
    try:
        account = await facade.account(state.account)
        state.texts = Texts(state.language or account.language, settings.zone)
        return await action(CustomerSession(facade, account, state))
    finally:
        await facade.close()


class CustomerSession:
    """One command of one customer."""

    def __init__(self, facade: PlanChanges, account: AccountView, state: State) -> None:
        self._facade = facade
        self._account = account
        self._state = state
        self._texts = state.texts
        self._output = Output(as_json=state.json)

    # Looking.

    async def services(self, given: str | None) -> int:
        found = await self._facade.services(self._account.id)
        if given is not None:
            one = pick(given, found, "service", self._texts)
            self._output.show(shapes.service(one), screens.services([one], self._texts))
        else:
            shape = {"services": [shapes.service(view) for view in found]}
            self._output.show(shape, screens.services(found, self._texts))
        return exits.OK

    async def offers(self, given: str | None) -> int:
        service = await self._service(given)
        found = await self._facade.offers(self._account.id, service.id)
        shape = {"offers": [shapes.offer(view, self._texts.language) for view in found]}
        self._output.show(shape, screens.offers(found, self._texts))
        return exits.OK

    async def quote(self, given: str | None, wanted: Wanted) -> int:
        service = await self._service(given)
        quote = await self._facade.quote(self._account.id, service.id, changed(service, wanted))
        await self._show_quote(service, quote)
        return exits.REFUSED if quote.blockers else exits.OK

    async def _show_quote(self, service: ServiceView, quote: Quote) -> None:
        screen = screens.quote(quote, await self._names(service.id), self._texts)
        self._output.show(shapes.quote(quote, self._texts), screen)

    async def status(self, given: str | None) -> int:
        view = await self._facade.status(self._account.id, await self._change(given))
        await self._show_change(view)
        return exits.OK

    async def _show_change(self, view: ChangeView, *hints: str) -> None:
        names = await self._names(view.service_id)
        screen = change_screens.change(view, names, self._texts)
        self._output.show(shapes.plain(view), screen, *(Text(hint, style="bold") for hint in hints))

    async def watch(self, given: str | None) -> int:
        change_id = await self._change(given)
        stage = await watch(self._facade.watch(self._account.id, change_id), self._output, self._texts)
        return exits.OK if stage == "completed" else exits.REFUSED

    async def history(self, given: str | None) -> int:
        service = await self._service(given)
        found = await self._facade.history(self._account.id, service.id)
        names = await self._names(service.id)
        shape = {"plan_changes": [shapes.plain(view) for view in found]}
        self._output.show(shape, change_screens.history(found, names, self._texts))
        return exits.OK

    # Marks and renewals.

    async def mark(self, given: str | None, servers: tuple[str, ...], *, marked: bool) -> int:
        service = await self._service(given)
        chosen = [pick(name, service.servers, "server", self._texts) for name in servers]
        act = self._facade.mark if marked else self._facade.unmark
        for server in chosen:
            await act(self._account.id, service.id, server.id)
        after = (await self._facade.service(self._account.id, service.id)).servers
        shape = {"service_id": service.id, "servers": shapes.plain(after)}
        self._output.show(shape, screens.servers(after, self._texts))
        return exits.OK

    async def renew(self, given: str | None, days: int, *, key: str | None) -> int:
        service = await self._service(given)
        self._state.key = key or str(uuid4())
        renewed = await self._facade.renew(
            self._account.id, service.id, days, idempotency_key=self._state.key
        )
        told = self._texts._(
            "{service} expires on {date}.", service=service.name, date=self._texts.date(renewed.expires_at)
        )
        shape = shapes.plain(renewed) | {"idempotency_key": self._state.key}
        self._output.show(shape, Text(told), self._key_line())
        return exits.OK

    # Changing a plan.

    async def request(
        self, given: str | None, wanted: Wanted, *, yes: bool, digest: str | None, key: str | None
    ) -> int:
        service = await self._service(given)
        self._state.key = key or str(uuid4())
        earlier = await self._asked_before(service, wanted, self._state.key) if key else None
        if earlier is not None:
            return await self._accepted({name: getattr(earlier, name) for name in _ANSWER})
        configuration = changed(service, wanted)
        quote = await self._facade.quote(self._account.id, service.id, configuration)
        if quote.digest is None:
            if not self._state.json:
                await self._show_quote(service, quote)
                return exits.REFUSED
            raise quote.blockers[0].among(quote.blockers)
        if digest not in {None, quote.digest}:
            raise problems.QuoteStale(quote=to_record(quote))
        if not yes and not await self._confirmed(service, quote):
            return exits.REFUSED
        if not self._state.json:
            console_on(sys.stderr).print(self._key_line())
        requested = await self._facade.request(
            self._account.id,
            service.id,
            configuration,
            digest=quote.digest,
            acknowledge=Acknowledgement(
                no_refund=True, destroys=tuple(server.id for server in quote.destroys)
            ),
            idempotency_key=self._state.key,
        )
        return await self._accepted(vars(requested))

    async def _asked_before(self, service: ServiceView, wanted: Wanted, key: str) -> ChangeView | None:
        """Return the change that this key has asked for. Raises `IdempotencyKeyReused` if for another one."""
        change_id = ids.change_id(self._account.id, service.id, key)
        try:
            view = await self._facade.status(self._account.id, change_id)
        except problems.NotFound:
            return None
        servers = view.after.server_count if wanted.servers is None else wanted.servers
        if applied(view.before, wanted, servers) != view.after:
            raise problems.IdempotencyKeyReused
        if view.stage == "rejected":
            raise problems.ChangeClosed(outcome=view.stage, reason=view.reason)
        return view

    async def _confirmed(self, service: ServiceView, quote: Quote) -> bool:
        if self._state.json or not sys.stdin.isatty():
            raise Misused(
                self._texts._("Nobody can be asked here: add --yes to confirm what the quote says.")
            )
        await self._show_quote(service, quote)
        word = self._texts._("yes")
        question = self._texts._("Confirm my changes? Type “{word}”", word=word)
        typed = ask(question)
        if typed.strip().casefold() == word:
            return True
        click.echo(self._texts._("Nothing was asked for, nothing was changed."), err=True)
        return False

    async def _accepted(self, answer: dict[str, Any]) -> int:
        t = self._texts
        shape = shapes.plain(answer) | {"idempotency_key": self._state.key}
        lines = [
            t._("Plan change {id} waits for its code.", id=answer["id"])
            if answer["stage"] == "awaiting_code"
            else t._("Plan change {id}: {stage}.", id=answer["id"], stage=t.stage(answer["stage"])),
            t._("New expiry: {date}", date=t.date(answer["new_expires_at"])),
        ]
        if answer["stage"] == "awaiting_code":
            lines += [
                t._(
                    "A code is mailed to {address}. Type it before {date}:",
                    address=answer["sent_to"],
                    date=t.date(answer["window_ends_at"]),
                ),
                f"  {self._hint('code XXXX-XXXX')}",
            ]
        self._output.show(shape, *(Text(line) for line in lines))
        return exits.OK

    async def code(self, given: str | None, code: str) -> int:
        view = await self._facade.submit_code(self._account.id, await self._change(given), code)
        hint = self._texts._(
            "The change is confirmed. Follow it: {command}", command=self._hint(f"watch {view.id[:8]}")
        )
        await self._show_change(view, hint)
        return exits.OK

    async def resend(self, given: str | None) -> int:
        view = await self._facade.resend_code(self._account.id, await self._change(given))
        hint = self._texts._("A new code is mailed; the one before is void.")
        await self._show_change(view, hint)
        return exits.OK

    async def cancel(self, given: str | None) -> int:
        view = await self._facade.cancel(self._account.id, await self._change(given))
        await self._show_change(view, self._texts._("The change is cancelled; nothing was changed."))
        return exits.OK

    # What is meant.

    async def _service(self, given: str | None) -> ServiceView:
        return pick(given, await self._facade.services(self._account.id), "service", self._texts)

    async def _change(self, given: str | None) -> str:
        """Return the id of the change that is meant: by its id or its beginning, or the one that is open."""
        services = await self._facade.services(self._account.id)
        if given is None:
            opened = [
                _Candidate(id=it.open_change.id, name=it.name)
                for it in services
                if it.open_change is not None
            ]
            return pick(None, opened, "open plan change", self._texts).id
        candidates = [
            _Candidate(id=view.id)
            for service in services
            for view in await self._facade.history(self._account.id, service.id)
        ]
        return pick(given, candidates, "plan change", self._texts).id

    async def _names(self, service_id: str) -> Names:
        offers = await self._facade.offers(self._account.id, service_id)
        return Names(offers, self._texts.language)

    def _hint(self, command: str) -> str:
        """Return what to type next, for the same account."""
        account = f" --account {self._state.account}" if self._state.account_named else ""
        return f"changeover {command}{account}"

    def _key_line(self) -> Text:
        return Text(self._texts._("Idempotency key: {key}", key=self._state.key), style="dim")
