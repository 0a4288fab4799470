"""What the customer's commands do that change a plan. Each returns its exit code."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import click
from rich.text import Text

from changeover.domain import problems
from changeover.domain.quote import Quote, to_record
from starter.cli import exits, shapes
from starter.cli.customer_session import CustomerSession, acting
from starter.cli.naming import Misused
from starter.cli.options import Wanted
from starter.cli.output import console_on
from starter.cli.state import State
from starter.cli.wanting import applied, ask, changed
from starter.plan_changes import PlanChanges
from starter.views import AccountView, Acknowledgement, ChangeView, Requested, ServiceView
from workflows import ids

_ANSWER = tuple(Requested.__dataclass_fields__)


def run(state: State, action: "Callable[[ChangingSession], Awaitable[int]]") -> int:
    """Connect as the customer, act, close."""
    return asyncio.run(
        acting(
            state, PlanChanges.connect, lambda plans, account: action(ChangingSession(plans, account, state))
        )
    )


class ChangingSession(CustomerSession):
    """One command of one customer, to the engine."""

    def __init__(self, plans: PlanChanges, account: AccountView, state: State) -> None:
        super().__init__(plans, account, state)
        self._plans = plans

    async def request(
        self, given: str | None, wanted: Wanted, *, yes: bool, digest: str | None, key: str | None
    ) -> int:
        service = await self._service(given)
        self._state.key = key or str(uuid4())
        earlier = await self._asked_before(service, wanted, self._state.key) if key else None
        if earlier is not None:
            return await self._accepted({name: getattr(earlier, name) for name in _ANSWER})
        configuration = changed(service, wanted)
        quote = await self._plans.quote(self._account.id, service.id, configuration)
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
        requested = await self._plans.request(
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
            view = await self._plans.status(self._account.id, change_id)
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
        view = await self._plans.submit_code(self._account.id, await self._change(given), code)
        hint = self._texts._(
            "The change is confirmed. Follow it: {command}", command=self._hint(f"watch {view.id[:8]}")
        )
        await self._show_change(view, hint)
        return exits.OK

    async def resend(self, given: str | None) -> int:
        view = await self._plans.resend_code(self._account.id, await self._change(given))
        hint = self._texts._("A new code is mailed; the one before is void.")
        await self._show_change(view, hint)
        return exits.OK

    async def cancel(self, given: str | None) -> int:
        view = await self._plans.cancel(self._account.id, await self._change(given))
        await self._show_change(view, self._texts._("The change is cancelled; nothing was changed."))
        return exits.OK

    def _hint(self, command: str) -> str:
        """Return what to type next, for the same account."""
        account = f" --account {self._state.account}" if self._state.account_named else ""
        return f"changeover {command}{account}"
