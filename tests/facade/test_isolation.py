"""No account reads or writes another's things: they are as if they weren't there (I14)."""

from collections.abc import Awaitable, Callable

import pytest

from changeover.domain import problems
from starter.customer_services import moment
from starter.plan_changes import PlanChanges
from starter.views import Acknowledgement
from tests.activities.house import House
from tests.storage.rows import DAY, Rented, snapshot

Call = Callable[[PlanChanges, str, str, str, str], Awaitable[object]]
"""A call of the facade with ids of an account, a service, a server and a change."""


async def watch(facade: PlanChanges, account: str, change: str) -> list[object]:
    return [entry async for entry in facade.watch(account, change)]


def request(facade: PlanChanges, account: str, service: str) -> Awaitable[object]:
    return facade.request(
        account,
        service,
        Rented(account_id="", service_id="", servers=(), addresses=()).wants(24),
        digest="0" * 64,
        acknowledge=Acknowledgement(no_refund=True),
        idempotency_key="k",
    )


WANTED = Rented(account_id="", service_id="", servers=(), addresses=()).wants(24)
OF_SERVICES: dict[str, Call] = {
    "service": lambda facade, account, service, *_: facade.service(account, service),
    "offers": lambda facade, account, service, *_: facade.offers(account, service),
    "quote": lambda facade, account, service, *_: facade.quote(account, service, WANTED),
    "history": lambda facade, account, service, *_: facade.history(account, service),
    "mark": lambda facade, account, service, server, _: facade.mark(account, service, server),
    "unmark": lambda facade, account, service, server, _: facade.unmark(account, service, server),
    "renew": lambda facade, account, service, *_: facade.renew(account, service, 1, idempotency_key="k"),
    "request": lambda facade, account, service, *_: request(facade, account, service),
}
OF_CHANGES: dict[str, Call] = {
    "status": lambda facade, account, _, __, change: facade.status(account, change),
    "watch": lambda facade, account, _, __, change: watch(facade, account, change),
    "submit_code": lambda facade, account, _, __, change: facade.submit_code(account, change, "BCDF-GHJK"),
    "resend_code": lambda facade, account, _, __, change: facade.resend_code(account, change),
    "cancel": lambda facade, account, _, __, change: facade.cancel(account, change),
}
CALLS = OF_SERVICES | OF_CHANGES


async def two_customers(house: House) -> tuple[Rented, str, Rented, str]:
    """Return two customers' services, each with a change that awaits its code."""
    now = moment().replace(microsecond=0)
    both = [await house.rent(name=name, marked=1, expires_at=now + 20 * DAY) for name in ("alice", "bruno")]
    changes = []
    for rented in both:
        asked = await house.request(rented, rented.wants(24, 2), now)
        await house.open(asked, now)
        await house.hand_over(asked.change_id, now)
        changes.append(asked.change_id)
    return both[0], changes[0], both[1], changes[1]


@pytest.mark.parametrize("name", sorted(CALLS))
async def test_anothers_things_are_not_found_and_not_touched(
    house: House, facade: PlanChanges, name: str
) -> None:
    mine, my_change, other, other_change = await two_customers(house)
    before = await snapshot(house.database)
    call = CALLS[name]
    with pytest.raises(problems.NotFound):
        await call(facade, mine.account_id, other.service_id, other.servers[0], other_change)
    with pytest.raises(problems.NotFound):
        await call(facade, "no-such-account", mine.service_id, mine.servers[0], my_change)
    with pytest.raises(problems.NotFound):
        await call(facade, mine.account_id, "no-such-service", "no-such-server", "no-such-change")
    assert await snapshot(house.database) == before


@pytest.mark.parametrize("name", ["mark", "unmark"])
async def test_anothers_server_is_not_found_by_ones_own_service(
    house: House, facade: PlanChanges, name: str
) -> None:
    mine, change_id, other, _ = await two_customers(house)
    before = await snapshot(house.database)
    with pytest.raises(problems.NotFound):
        await CALLS[name](facade, mine.account_id, mine.service_id, other.servers[0], change_id)
    with pytest.raises(problems.NotFound):
        await CALLS[name](facade, mine.account_id, mine.service_id, "none", change_id)
    assert await snapshot(house.database) == before


async def test_an_account_sees_its_own_services_only(house: House, facade: PlanChanges) -> None:
    mine, my_change, other, _ = await two_customers(house)
    (view,) = await facade.services(mine.account_id)
    assert view.id == mine.service_id
    assert view.open_change is not None
    assert view.open_change.id == my_change
    assert {server.id for server in view.servers} == set(mine.servers)
    assert [change.id for change in await facade.history(mine.account_id, mine.service_id)] == [my_change]
    assert await facade.services("no-such-account") == []
    assert other.service_id != mine.service_id


async def test_a_key_of_one_account_says_nothing_to_another(house: House, facade: PlanChanges) -> None:
    mine, _, other, _ = await two_customers(house)
    first = await facade.renew(mine.account_id, mine.service_id, 5, idempotency_key="k")
    second = await facade.renew(other.account_id, other.service_id, 7, idempotency_key="k")
    assert second.expires_at == first.expires_at + 2 * DAY
