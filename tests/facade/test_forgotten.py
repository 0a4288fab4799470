"""A forgotten account is as if it weren't there; operators still see its changes."""

import pytest

from changeover.domain import problems
from changeover.settings import Settings
from changeover.storage import forgetting
from starter.customer_services import moment
from starter.operations import Operations
from starter.panel.sessions import Sessions
from starter.plan_changes import PlanChanges
from tests.activities.house import House
from tests.facade.test_isolation import CALLS, two_customers
from tests.storage.rows import Rented, add_account, snapshot


async def forgotten(house: House) -> tuple[Rented, str]:
    """Return a forgotten customer's service, and its closed change."""
    rented, change_id, _, _ = await two_customers(house)
    await house.set_stage(change_id, "abandoned")
    now = moment()
    await house.database.write(lambda it: forgetting.forget(it, rented.account_id, "olga", now))
    return rented, change_id


@pytest.mark.parametrize("name", sorted(CALLS))
async def test_every_call_answers_not_found_and_changes_nothing(
    house: House, facade: PlanChanges, name: str
) -> None:
    rented, change_id = await forgotten(house)
    before = await snapshot(house.database)
    with pytest.raises(problems.NotFound):
        await CALLS[name](facade, rented.account_id, rented.service_id, rented.servers[0], change_id)
    assert await snapshot(house.database) == before


async def test_neither_its_id_nor_its_address_finds_it(house: House, facade: PlanChanges) -> None:
    rented, _ = await forgotten(house)
    for name in (rented.account_id, "alice@example.com", "", "@"):
        with pytest.raises(problems.NotFound):
            await facade.account(name)
    assert await facade.services(rented.account_id) == []


async def test_its_sessions_are_over(house: House, facade: PlanChanges) -> None:
    rented, _, _, _ = await two_customers(house)
    sessions = Sessions(house.database)
    token = await sessions.open(rented.account_id)
    now = moment()
    await house.database.write(lambda it: forgetting.forget(it, rented.account_id, "olga", now))
    assert await sessions.account_id(token) is None


async def test_operators_still_see_its_changes_without_a_name(house: House, settings: Settings) -> None:
    rented, change_id = await forgotten(house)
    operations = await Operations.connect(settings)
    shown = await operations.show(change_id)
    await operations.close()
    assert (shown.account_id, shown.service, shown.change.sent_to) == (rented.account_id, "forgotten", "***")
    assert [entry.event for entry in shown.change.timeline] == ["requested", "accepted"]


async def test_an_address_is_found_in_any_case(house: House, facade: PlanChanges) -> None:
    account_id = await add_account(house.database, "Alice.Martin")
    assert (await facade.account("alice.MARTIN@Example.com")).id == account_id


async def test_an_address_of_several_accounts_says_which(house: House, facade: PlanChanges) -> None:
    first, second = await add_account(house.database, "alice"), await add_account(house.database, "Alice")
    with pytest.raises(problems.RequestInvalid) as refused:
        await facade.account("alice@example.com")
    assert refused.value.field == "account"
    assert first in refused.value.detail
    assert second in refused.value.detail
    assert "alice@example.com" not in refused.value.detail
    assert (await facade.account(second)).id == second


async def test_an_address_given_on_after_its_account_was_forgotten_is_the_new_ones(
    house: House, facade: PlanChanges
) -> None:
    await forgotten(house)
    new = await add_account(house.database, "alice")
    assert (await facade.account("alice@example.com")).id == new
