"""What one customer does in a soak: a small random script, by the seed and their number alone."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import httpx
from sqlalchemy.exc import SQLAlchemyError
from temporalio.service import RPCError

from changeover.domain.catalogue import FLEXI_PLUS
from changeover.domain.lifecycle import CLOSED
from tests.faults.scenarios.common import yesterday
from tests.faults.story import WRONG, Customer, Story
from tests.faults.system import TooLate, eventually
from tests.storage.rows import SECOND

PATIENCE = 240.0
"""Seconds that a customer goes on sending the same: longer than any fault lasts."""
_CODE = 90.0
"""Seconds that a customer waits for a mail; it never comes when the run was terminated."""
_MOVING = 30.0
"""Seconds that a customer looks on: a run that was terminated waits for the reconciler."""
_RESEND_AFTER = timedelta(seconds=61)
_LAPSES = 0.25
"""How many customers let their service expire at the end,"""
_RENEWED = 0.6
"""and how many of these renew it."""

ENDINGS = {
    "right": 5,
    "right-twice": 2,
    "wrong-first": 3,
    "wrong-only": 1,
    "resend": 2,
    "old-code": 1,
    "mark-late": 2,
    "renew-late": 2,
    "expire-late": 1,
    "cancel": 2,
    "walk-away": 2,
}
"""What a customer does who has confirmed, and how often."""


async def arrive(story: Story, dice: Random) -> Customer:
    """Have a customer with one to four servers, perhaps with passes, Flexi+, or a change of yesterday."""
    return await story.arrives(
        servers=dice.randint(1, 4),
        slots=dice.randrange(8, 65, 2),
        options=dice.choice([(), ("backups",), (FLEXI_PLUS,)]),
        passes=dice.randint(0, 2),
        last_committed_at=yesterday() if dice.random() < 0.3 else None,
        language=dice.choice(["fr", "en"]),
    )


class Visit:
    """One customer's script, through the API as a host's panel sends it."""

    def __init__(self, story: Story, customer: Customer, dice: Random) -> None:
        self._story = story
        self._me = customer
        self._dice = dice
        self._lets_it_expire = dice.random() < _LAPSES
        self._returns = 0

    async def __call__(self) -> None:
        for number in range(self._dice.choice([1, 1, 2])):
            change_id = await self._ask(f"click-{number}")
            if change_id is None:
                continue
            ending = self._dice.choices(list(ENDINGS), list(ENDINGS.values()))[0]
            with suppress(_Over):
                await getattr(self, f"_{ending.replace('-', '_')}")(change_id)
            await self._stops_moving(change_id)
        if self._lets_it_expire:
            await self._expires()
            if self._dice.random() < _RENEWED:
                await self._renews()

    # Until the confirm.

    async def _ask(self, key: str) -> str | None:
        await self._mark_some()
        if self._dice.random() < 0.3:
            await self._sent(lambda: self._me.renew(self._dice_days, key=f"renewal-{key}"))
        body = await self._quoted()
        if body["digest"] is None:
            return None  # blocked, as a customer may well be
        if self._dice.random() < 0.15:
            await self._toggle_mark()  # in another tab
        times = self._dice.choice([1, 1, 3])
        answers = await asyncio.gather(
            *(self._sent(lambda: self._me.confirm(body, key)) for _ in range(times))
        )
        accepted = {answer.json()["id"] for answer in answers if answer.status_code == 201}
        assert len(accepted) <= 1, "one click, two changes"
        assert not accepted or {answer.status_code for answer in answers} == {201}, "one click, two answers"
        return next(iter(accepted), None)

    @property
    def _dice_days(self) -> int:
        return 1 + len(self._me.server_ids) * 7

    async def _mark_some(self) -> None:
        if self._dice.random() < 0.6:
            for index in range(self._dice.randint(0, len(self._me.server_ids) - 1)):
                await self._sent(lambda index=index: self._me.mark(index))  # type: ignore[misc]
        if self._dice.random() < 0.2:
            await self._toggle_mark()

    async def _toggle_mark(self) -> None:
        index, undo = self._dice.randrange(len(self._me.server_ids)), self._dice.random() < 0.5
        await self._sent(lambda: self._me.mark(index, undo=undo))

    async def _quoted(self) -> dict[str, Any]:
        shown = await self._sent(lambda: self._me.call("GET", f"/v1/services/{self._me.service_id}"))
        states = [server["state"] for server in shown.json()["servers"]]
        kept = sum(state != "marked" for state in states)
        more = 0 if kept < len(states) else self._dice.choice([0, 0, 1])
        if self._dice.random() < 0.05:
            more += 1  # a wish that marks may forbid
        wanted = {
            "slots": self._dice.randrange(8, 65, 2),
            "server_count": min(10, max(1, kept) + more),
            "options": self._dice.choice([[], ["backups"], [FLEXI_PLUS]]),
        }
        body: dict[str, Any] = {}

        async def quote() -> bool:
            try:
                body.update(await self._me.quoted(**wanted))
            except (httpx.TransportError, AssertionError):  # away, or 503: what came is told in the tally
                return False
            return True

        await eventually(quote, "a quote", PATIENCE)
        return body

    # After it.

    async def _right(self, change_id: str) -> None:
        await self._type(change_id, await self._code(change_id))

    async def _right_twice(self, change_id: str) -> None:
        code = await self._code(change_id)
        await asyncio.gather(*(self._type(change_id, code) for _ in range(3)))

    async def _wrong_first(self, change_id: str) -> None:
        code = await self._code(change_id)
        await self._guess(change_id, self._dice.randint(1, 4))
        await self._type(change_id, code)

    async def _wrong_only(self, change_id: str) -> None:
        await self._code(change_id)
        await self._guess(change_id, 7)
        if await self._resent(change_id):
            await self._code(change_id, 2)
            await self._guess(change_id, 7)

    async def _resend(self, change_id: str) -> None:
        code = await self._code(change_id)
        if await self._resent(change_id):
            code = await self._code(change_id, 2)
        await self._type(change_id, code)

    async def _old_code(self, change_id: str) -> None:
        old = await self._code(change_id)
        if await self._resent(change_id):
            await self._code(change_id, 2)
        await self._type(change_id, old)

    async def _mark_late(self, change_id: str) -> None:
        code = await self._code(change_id)
        await self._toggle_mark()
        await self._type(change_id, code)

    async def _renew_late(self, change_id: str) -> None:
        code = await self._code(change_id)
        await asyncio.gather(
            self._sent(lambda: self._me.renew(self._dice_days, key=f"late-{change_id}")),
            self._type(change_id, code),
        )

    async def _expire_late(self, change_id: str) -> None:
        code = await self._code(change_id)
        await self._expires()
        await self._type(change_id, code)
        await self._renews()

    async def _expires(self) -> None:
        """The last day is over, and the customer looks at what there was."""
        over = datetime.now(UTC).replace(microsecond=0) - SECOND

        async def written() -> bool:
            with suppress(SQLAlchemyError, OSError):  # the database is away
                await self._story.host_writes(self._me, expires_at=over)
                return True
            return False

        await eventually(written, "the expiry to be written", PATIENCE)
        await self._looks(expired=True)

    async def _renews(self) -> None:
        self._returns += 1  # each time with another key: the same one would be answered, and nothing renewed
        await self._sent(lambda: self._me.renew(self._dice_days, key=f"back-{self._returns}"))
        await self._looks(expired=False)

    async def _looks(self, *, expired: bool) -> None:
        async def looked() -> bool:
            with suppress(SQLAlchemyError, OSError):
                await self._me.looks(expired=expired)
                return True
            return False

        await eventually(looked, "a look at the history", PATIENCE)

    async def _cancel(self, change_id: str) -> None:
        if self._dice.random() < 0.5:
            await self._code(change_id)
        await self._sent(lambda: self._me.cancel(change_id))

    async def _walk_away(self, change_id: str) -> None:
        """Leave the window to run out."""

    async def _guess(self, change_id: str, times: int) -> None:
        first = self._dice.randrange(len(WRONG) - times)
        await asyncio.gather(
            *(self._type(change_id, code) for code in WRONG[first : first + times]),
        )

    async def _type(self, change_id: str, code: str) -> httpx.Response:
        return await self._sent(lambda: self._me.type(change_id, code))

    async def _code(self, change_id: str, number: int = 1) -> str:
        """Wait for the mail with code `number`. Raises `_Over` when it doesn't come."""

        async def handed_over() -> dict[str, Any] | None:
            row = await self._row(change_id)
            if row is None:
                return None
            ready = row["code_number"] >= number and row["code_handed_over_at"] is not None
            return row if ready or row["stage"] != "awaiting_code" else None

        try:
            row = await eventually(handed_over, f"code {number} of {change_id}", _CODE)
        except TooLate:
            raise _Over from None
        if row["stage"] in CLOSED or not self._me.codes:
            raise _Over
        return self._me.codes[-1]

    async def _resent(self, change_id: str) -> bool:
        """Ask for a new code a minute later, by the clock of the change's run; say whether it is coming."""
        # Something may be in flight, or Temporal be away: then it is too soon.
        with suppress(TimeoutError, RPCError, RuntimeError):
            await asyncio.wait_for(self._story.forward(self._me, _RESEND_AFTER), 20)
        answer = await self._sent(
            lambda: self._me.call("POST", f"/v1/plan-changes/{change_id}/code/resend", {})
        )
        return answer.status_code == 202

    async def _stops_moving(self, change_id: str) -> None:
        """Wait for the end of what was confirmed; what awaits its code still is left."""

        async def ended() -> bool:
            row = await self._row(change_id)
            return row is not None and row["stage"] in {*CLOSED, "awaiting_code"}

        try:
            await eventually(ended, f"{change_id} to end", _MOVING)
        except TooLate:
            return  # it is seen after the healing whether it comes to an end

    async def _sent(self, call: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
        """Send the very same until there is an answer that isn't 503, as panels do."""

        async def answered() -> list[httpx.Response]:
            try:
                answer = await call()
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code != 503:
                return [answer]
            await asyncio.sleep(0.5)
            return []

        answers: list[httpx.Response] = await eventually(answered, "an answer that isn't 503", PATIENCE)
        return answers[0]

    async def _row(self, change_id: str) -> dict[str, Any] | None:
        """Return the change's row; None while the database is away."""
        try:
            return await self._story.row(change_id)
        except (SQLAlchemyError, OSError):
            return None


class _Over(Exception):
    """The change has ended before its customer could go on."""
