"""A load on a Changeover that runs somewhere: the customers that `changeover seed --services N` made there.

It only looks, unless told to request changes and cancel them: no code is typed, nothing is destroyed.
"""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from bench.customers import Rest, drive, rest_client, timed, wish
from bench.figures import Result
from bench.pages import PAGES, look
from starter.seed_many import Customer


@dataclass(frozen=True, kw_only=True)
class Load:
    """What to do: `count` requests of a kind a round, `at_once` at a time, for customers 1 to `services`."""

    address: str
    key: str = field(repr=False)
    services: int
    at_once: int
    rounds: int
    requests: bool
    count: int = 200


async def run_against(load: Load, say: Callable[[str], None]) -> Result:
    """Measure the rounds; the customers are drawn at random, the same ones in every run."""
    result = Result("against", load.address)
    draw = random.Random(load.services)  # noqa: S311 - a sample, not a secret
    async with rest_client(load.address, load.key) as client:
        rest = Rest(client)
        for number in range(1, load.rounds + 1):
            for what in ("quote", *PAGES):
                customers = [Customer(number=draw.randint(1, load.services)) for _ in range(load.count)]
                seconds, in_all = await drive([look(rest, what, it) for it in customers], load.at_once)
                result.add_times(what, seconds)
                result.add(f"{what}: rate", "/s", load.count / in_all)
            if load.requests:
                await _request(load, rest, result, draw)
            say(f"round {number} of {load.rounds}")
    return result


async def _request(load: Load, rest: Rest, result: Result, draw: random.Random) -> None:
    """Request a change for different customers and cancel each: the quote, the answer, the cancellation."""
    numbers = draw.sample(range(1, load.services + 1), min(load.count, load.services))
    answers: list[float] = []
    cancellations: list[float] = []

    async def job(customer: Customer) -> None:
        one = wish(customer)
        digest = await rest.quote(one)
        change_id, seconds = await timed(rest.request(one, digest))
        answers.append(seconds)
        _, seconds = await timed(rest.cancel(one, change_id))
        cancellations.append(seconds)

    def job_of(number: int) -> Callable[[], Awaitable[None]]:
        return lambda: job(Customer(number=number))

    _, in_all = await drive([job_of(number) for number in numbers], load.at_once)
    result.add_times("request", answers)
    result.add_times("cancel", cancellations)
    result.add("request and cancel: rate", "/s", len(numbers) / in_all)
    result.expect("changes requested and cancelled", len(cancellations), len(numbers))
