"""What the customer's commands do that change no plan. Each returns its exit code.

They need the database alone; what goes to Temporal is in `changing_session`, which costs its SDK's import.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar
from uuid import uuid4

from rich.text import Text

from changeover.domain.quote import Quote
from changeover.settings import Settings, load
from starter.cli import change_screens, exits, screens, shapes
from starter.cli.naming import Misused, pick
from starter.cli.options import Wanted
from starter.cli.output import Output
from starter.cli.screens import Names
from starter.cli.state import ACCOUNT_VARIABLE, State
from starter.cli.wanting import changed
from starter.cli.watching import watch
from starter.customer_services import CustomerServices
from starter.texts import Texts
from starter.views import AccountView, ChangeView, ServiceView

F = TypeVar("F", bound=CustomerServices)


@dataclass(frozen=True, kw_only=True)
class _Candidate:
    """A change that may be meant; an open one can be named by its service."""

    id: str
    name: str = ""


def run(state: State, action: "Callable[[CustomerSession], Awaitable[int]]") -> int:
    """Look into the database as the customer, act, close."""

    async def opened(settings: Settings) -> CustomerServices:
        return CustomerServices(settings)

    return asyncio.run(acting(state, opened, lambda it, account: action(CustomerSession(it, account, state))))


async def acting(
    state: State,
    opened: Callable[[Settings], Awaitable[F]],
    action: Callable[[F, AccountView], Awaitable[int]],
) -> int:
    """Open what the settings say, find the account, act, close."""
    if not state.account:
        raise Misused(
            state.texts._("Say whose services are meant: --account, or {name}.", name=ACCOUNT_VARIABLE)
        )
    settings = load(Settings)
    its = await opened(settings)
    try:
        account = await its.account(state.account)
        state.texts = Texts(state.language or account.language, settings.zone)
        return await action(its, account)
    finally:
        await its.close()


class CustomerSession:
    """One command of one customer."""

    def __init__(self, its: CustomerServices, account: AccountView, state: State) -> None:
        self._its = its
        self._account = account
        self._state = state
        self._texts = state.texts
        self._output = Output(as_json=state.json)

    # Looking.

    async def services(self, given: str | None) -> int:
        found = await self._its.services(self._account.id)
        if given is not None:
            one = pick(given, found, "service", self._texts)
            self._output.show(shapes.service(one), screens.services([one], self._texts))
        else:
            shape = {"services": [shapes.service(view) for view in found]}
            self._output.show(shape, screens.services(found, self._texts))
        return exits.OK

    async def offers(self, given: str | None) -> int:
        service = await self._service(given)
        found = await self._its.offers(self._account.id, service.id)
        shape = {"offers": [shapes.offer(view, self._texts.language) for view in found]}
        self._output.show(shape, screens.offers(found, self._texts))
        return exits.OK

    async def quote(self, given: str | None, wanted: Wanted) -> int:
        service = await self._service(given)
        quote = await self._its.quote(self._account.id, service.id, changed(service, wanted))
        await self._show_quote(service, quote)
        return exits.REFUSED if quote.blockers else exits.OK

    async def _show_quote(self, service: ServiceView, quote: Quote) -> None:
        screen = screens.quote(quote, await self._names(service.id), self._texts)
        self._output.show(shapes.quote(quote, self._texts), screen)

    async def status(self, given: str | None) -> int:
        view = await self._its.status(self._account.id, await self._change(given))
        await self._show_change(view)
        return exits.OK

    async def _show_change(self, view: ChangeView, *hints: str) -> None:
        names = await self._names(view.service_id)
        screen = change_screens.change(view, names, self._texts)
        self._output.show(shapes.plain(view), screen, *(Text(hint, style="bold") for hint in hints))

    async def watch(self, given: str | None) -> int:
        change_id = await self._change(given)
        stage = await watch(self._its.watch(self._account.id, change_id), self._output, self._texts)
        return exits.OK if stage == "completed" else exits.REFUSED

    async def history(self, given: str | None) -> int:
        service = await self._service(given)
        found = await self._its.history(self._account.id, service.id)
        names = await self._names(service.id)
        shape = {"plan_changes": [shapes.plain(view) for view in found]}
        self._output.show(shape, change_screens.history(found, names, self._texts))
        return exits.OK

    # Marks and renewals.

    async def mark(self, given: str | None, servers: tuple[str, ...], *, marked: bool) -> int:
        service = await self._service(given)
        chosen = [pick(name, service.servers, "server", self._texts) for name in servers]
        act = self._its.mark if marked else self._its.unmark
        for server in chosen:
            await act(self._account.id, service.id, server.id)
        after = (await self._its.service(self._account.id, service.id)).servers
        shape = {"service_id": service.id, "servers": shapes.plain(after)}
        self._output.show(shape, screens.servers(after, self._texts))
        return exits.OK

    async def renew(self, given: str | None, days: int, *, key: str | None) -> int:
        service = await self._service(given)
        self._state.key = key or str(uuid4())
        renewed = await self._its.renew(self._account.id, service.id, days, idempotency_key=self._state.key)
        told = self._texts._(
            "{service} expires on {date}.", service=service.name, date=self._texts.date(renewed.expires_at)
        )
        shape = shapes.plain(renewed) | {"idempotency_key": self._state.key}
        self._output.show(shape, Text(told), self._key_line())
        return exits.OK

    # What is meant.

    async def _service(self, given: str | None) -> ServiceView:
        return pick(given, await self._its.services(self._account.id), "service", self._texts)

    async def _change(self, given: str | None) -> str:
        """Return the id of the change that is meant: by its id or its beginning, or the one that is open."""
        services = await self._its.services(self._account.id)
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
            for view in await self._its.history(self._account.id, service.id)
        ]
        return pick(given, candidates, "plan change", self._texts).id

    async def _names(self, service_id: str) -> Names:
        offers = await self._its.offers(self._account.id, service_id)
        return Names(offers, self._texts.language)

    def _key_line(self) -> Text:
        return Text(self._texts._("Idempotency key: {key}", key=self._state.key), style="dim")
