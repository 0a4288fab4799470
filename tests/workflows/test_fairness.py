"""An account with many changes takes its turn; what nobody looks at waits for what a customer looks at."""

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from sqlalchemy import update
from temporalio.common import Priority

from changeover.domain.catalogue import Configuration
from changeover.storage.tables import services
from starter.seed_many import OFFER, SLOTS, Customer, seed_many
from starter.views import Acknowledgement
from tests.workflows.system import eventually
from tests.workflows.world import World
from workflows import fairness

CHANGES = 40
AT_WORK = 8
"""Mails that may have been handed to the worker before the neighbour's was there, on a busy machine."""
MAILS_PER_SECOND = 20.0


async def request(world: World, account_id: str, service_id: str) -> None:
    wanted = Configuration.of(OFFER, SLOTS + 4, (), 1)
    quote = await world.starter.quote(account_id, service_id, wanted)
    assert quote.digest is not None, quote.blockers
    await world.starter.request(
        account_id,
        service_id,
        wanted,
        digest=quote.digest,
        acknowledge=Acknowledgement(no_refund=True, destroys=()),
        idempotency_key=str(uuid4()),
    )


async def position_of_the_neighbour_s_code(world: World, first: int) -> int:
    """Queue a mail for each of one account's changes, then one for a neighbour; say when that was sent.

    `first` is the first customer's number: ids follow from it, and Temporal is shared by the tests.
    """
    await world.stop_workers()
    world.settings = world.settings.model_copy(update={"mails_per_second": MAILS_PER_SECOND})
    await world.start_workers(mails=False)
    many = [Customer(number=number) for number in range(first, first + CHANGES)]
    neighbour = Customer(number=first + CHANGES)
    await seed_many(world.database, datetime.now(UTC), iter([*many, neighbour]))
    theirs = services.c.id.in_([it.service_id for it in many])
    await world.execute(update(services).where(theirs).values(account_id=many[0].account_id))
    await asyncio.gather(*(request(world, many[0].account_id, it.service_id) for it in many))
    await request(world, neighbour.account_id, neighbour.service_id)
    world.start_mails()

    async def all_sent() -> bool:
        return len(world.post.sent) == CHANGES + 1

    await eventually(all_sent, "every code")
    return [mail.recipient for mail in world.post.sent].index(neighbour.email)


async def test_a_code_waits_for_one_mail_of_each_account_not_for_all_of_one(world: World) -> None:
    assert await position_of_the_neighbour_s_code(world, 1) <= AT_WORK


async def test_without_an_account_s_key_it_would_wait_for_all(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fairness, "of_account", lambda _account: Priority.default)
    assert await position_of_the_neighbour_s_code(world, 1001) >= CHANGES - AT_WORK


async def test_hosts_and_outcomes_come_after_what_a_customer_waits_for_and_keep_the_account_s_turn(
    world: World,
) -> None:
    await world.arrives()
    await world.mark(2)
    asked = await world.ask(servers=2)
    await world.confirm(asked.id)
    await world.ends(asked.id, "completed")
    history = await world.run_of_service().fetch_history()
    (start, *events) = history.events
    assert start.workflow_execution_started_event_attributes.priority.fairness_key == world.me.account_id
    levels = {
        it.activity_task_scheduled_event_attributes.activity_type.name: (
            it.activity_task_scheduled_event_attributes.priority.priority_key
        )
        for it in events
        if it.HasField("activity_task_scheduled_event_attributes")
    }
    later = fairness.LATER.priority_key
    assert levels == {"send_code": 0, "apply_limits": later, "send_outcome": later}
    (child, *_) = (await world.teardown(2).fetch_history()).events
    given = child.workflow_execution_started_event_attributes.priority
    assert (given.priority_key, given.fairness_key) == (later, world.me.account_id)
