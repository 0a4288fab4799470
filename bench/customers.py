"""What a customer does in a change, by the facade or by the REST API, with a watch in the hand."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol, TypeVar
from uuid import uuid4

import httpx

from bench.system import System
from changeover.domain.catalogue import Configuration
from changeover.domain.problems import CodeExpired, EngineUnavailable
from starter.plan_changes import PlanChanges
from starter.seed_many import OFFER, SLOTS, Customer
from starter.views import Acknowledgement
from workflows import ids
from workflows.messages import ChangeResult

OTHER_SLOTS = 24
_AGAIN_SECONDS = 0.004
_LATER_SECONDS = 0.5
_TRIES = 3
"""How often the very same is sent when a connection breaks: nothing that is sent twice is done twice."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A customer, what the service shall become, and the account that asks for it."""

    customer: Customer
    wanted: Configuration
    account_id: str

    @property
    def destroys(self) -> list[str]:
        return self.customer.marked_ids


def wish(customer: Customer) -> Wish:
    """With servers marked, only those go; with none, the others get other slots."""
    if customer.marked:
        wanted = Configuration.of(OFFER, SLOTS, (), customer.servers - customer.marked)
    else:
        wanted = Configuration.of(OFFER, OTHER_SLOTS, (), customer.servers)
    return Wish(customer=customer, wanted=wanted, account_id=customer.account_id)


@dataclass(frozen=True, kw_only=True)
class Times:
    """Seconds that somebody waited for a run. `whole` is from the request to the run's end."""

    workflow_id: str
    quote: float | None = None
    request: float | None = None
    code: float | None = None
    whole: float

    @property
    def answer(self) -> float:
        """What an update-with-start took; of a run without one, from start to result."""
        return self.whole if self.request is None else self.request


class Way(Protocol):
    """How a customer reaches us."""

    async def quote(self, wish: Wish) -> str:
        """Return the digest of a quote without blockers."""
        ...

    async def request(self, wish: Wish, digest: str) -> str:
        """Confirm the quote, and return the change's id."""
        ...

    async def submit(self, wish: Wish, change_id: str, code: str) -> bool:
        """Type the code; say False while it isn't valid yet."""
        ...


class Facade:
    """`PlanChanges` in this process, as a panel in Python would call it."""

    def __init__(self, plans: PlanChanges) -> None:
        self._plans = plans

    async def quote(self, wish: Wish) -> str:
        quote = await self._plans.quote(wish.account_id, wish.customer.service_id, wish.wanted)
        assert quote.digest is not None, f"{wish.customer} can change: {quote.blockers}"
        return quote.digest

    async def request(self, wish: Wish, digest: str) -> str:
        key = str(uuid4())
        while True:
            try:
                requested = await self._plans.request(
                    wish.account_id,
                    wish.customer.service_id,
                    wish.wanted,
                    digest=digest,
                    acknowledge=Acknowledgement(no_refund=True, destroys=tuple(wish.destroys)),
                    idempotency_key=key,
                )
                return requested.id
            except EngineUnavailable:  # a panel sends the same again, too
                await asyncio.sleep(_LATER_SECONDS)

    async def submit(self, wish: Wish, change_id: str, code: str) -> bool:
        try:
            await self._plans.submit_code(wish.account_id, change_id, code)
        except CodeExpired:
            return False
        except EngineUnavailable:
            await asyncio.sleep(_LATER_SECONDS)
            return False
        return True


class Rest:
    """The REST API, as a host's own panel calls it."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def call(
        self, method: str, path: str, wish: Wish, body: object = None, **headers: str
    ) -> httpx.Response:
        headers["X-Account-Id"] = wish.account_id
        for _ in range(_TRIES - 1):
            with suppress(httpx.TransportError):  # an idle connection that the server has just closed
                return await self._client.request(method, path, json=body, headers=headers)
        return await self._client.request(method, path, json=body, headers=headers)

    async def quote(self, wish: Wish) -> str:
        path = f"/v1/services/{wish.customer.service_id}/quotes"
        answer = await self.call("POST", path, wish, {"configuration": wish.wanted.record})
        digest = answer.raise_for_status().json()["digest"]
        assert digest is not None, f"{wish.customer} can change: {answer.text}"
        return str(digest)

    async def request(self, wish: Wish, digest: str) -> str:
        path = f"/v1/services/{wish.customer.service_id}/plan-changes"
        acknowledge = {"no_refund": True, "destroys": wish.destroys}
        body = {"configuration": wish.wanted.record, "digest": digest, "acknowledge": acknowledge}
        key = str(uuid4())
        while True:
            answer = await self.call("POST", path, wish, body, **{"Idempotency-Key": key})
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                return str(answer.raise_for_status().json()["id"])
            await asyncio.sleep(_LATER_SECONDS)

    async def submit(self, wish: Wish, change_id: str, code: str) -> bool:
        answer = await self.call("POST", f"/v1/plan-changes/{change_id}/code", wish, {"code": code})
        if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            await asyncio.sleep(_LATER_SECONDS)
        if answer.status_code in {httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.GONE}:
            return False
        answer.raise_for_status()
        return True

    async def cancel(self, wish: Wish, change_id: str) -> None:
        """Give the change up."""
        (await self.call("POST", f"/v1/plan-changes/{change_id}/cancel", wish)).raise_for_status()


def rest_client(address: str, key: str) -> httpx.AsyncClient:
    """Return a client of the API at `address` that speaks with `key`."""
    # An idle connection is dropped here before the server drops it (uvicorn: 5 s), perhaps under a request.
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=2)
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.AsyncClient(base_url=address, headers=headers, timeout=120, limits=limits)


async def timed(call: Awaitable[T]) -> tuple[T, float]:
    """Return what `call` returns, and the seconds it took."""
    began = time.perf_counter()
    return await call, time.perf_counter() - began


async def change(system: System, way: Way, wish: Wish, *, think: float = 0) -> Times:
    """Make a whole change, with `think` seconds between mail and code, and see its run end."""
    digest, quote = await timed(way.quote(wish))
    began = time.perf_counter()
    change_id, request = await timed(way.request(wish, digest))
    code = await system.sink.code(change_id)
    await asyncio.sleep(think)
    confirming = await confirm(way, wish, change_id, code)
    workflow_id = ids.plan_change_workflow_id(wish.customer.service_id)
    result = await system.ours.get_workflow_handle(workflow_id, result_type=ChangeResult).result()
    assert result.outcome == "completed", result
    whole = time.perf_counter() - began
    return Times(workflow_id=workflow_id, quote=quote, request=request, code=confirming, whole=whole)


async def confirm(way: Way, wish: Wish, change_id: str, code: str) -> float:
    """Type the code until it counts; return the seconds that the last try took."""
    confirmed, confirming = await timed(way.submit(wish, change_id, code))
    while not confirmed:  # the mail is here before its hand-over is recorded
        await asyncio.sleep(_AGAIN_SECONDS)
        confirmed, confirming = await timed(way.submit(wish, change_id, code))
    return confirming


async def drive(
    jobs: Sequence[Callable[[], Awaitable[T]]], at_once: int, *, over: float = 0
) -> tuple[list[T], float]:
    """Run the jobs, `at_once` at a time; return what they returned, in order, and the seconds in all.

    All begin in the same moment, or one after the other over `over` seconds.
    """
    waiting = iter(enumerate(jobs))
    done: dict[int, T] = {}

    async def work(after: float) -> None:
        await asyncio.sleep(after)
        for number, job in waiting:
            done[number] = await job()

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(at_once):
            group.create_task(work(over * number / at_once))
    return [done[number] for number in range(len(jobs))], time.perf_counter() - began
