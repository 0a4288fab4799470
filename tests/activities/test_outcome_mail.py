"""The mail with the outcome: told once, to whom it concerns, and only what was really done."""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from changeover.storage import changes, tables
from tests.activities.house import House, run
from tests.activities.inbox import mails_in, open_change, text_of
from tests.mail.servers import Script, scripted_server
from tests.storage.rows import DAY, MINUTE, SECOND, T0, Rented, add_free_addresses, set_values
from workflows.messages import HostOrder, HostWork, SendOutcome, Settled, Skip, Trouble
from workflows.outcome_mail import was_taken


async def completed(house: House, language: str = "en", **what: Any) -> tuple[Rented, str]:
    rented = await house.rent(servers=3, marked=2, language=language, **what)
    await house.put_on_host(rented)
    change_id = await house.committed(rented, rented.wants(24, 1))
    await run(house.servers.apply_limits, HostOrder(change_id=change_id))
    for server_id in rented.servers[1:]:
        await house.tear_down(change_id, server_id)
    await house.complete(change_id)
    return rented, change_id


async def tell(house: House, change_id: str) -> None:
    await run(house.mails.send_outcome, SendOutcome(change_id=change_id), at=T0 + 20 * MINUTE)


async def test_the_completed_change_is_told_once(house: House, inbox: Path) -> None:
    rented, change_id = await completed(house)
    await tell(house, change_id)
    await tell(house, change_id)
    (message,) = mails_in(inbox)
    text = text_of(message)
    assert message["To"] == "alice@example.com"
    assert "2 servers have been destroyed" in text
    for name, address in zip(("server-2", "server-3"), rented.addresses[1:], strict=True):
        assert name in text
        assert address in text
    assert rented.addresses[0] not in text
    last = (await house.trail(change_id))[-1]
    assert (last["event"], last["stage"]) == ("outcome_mailed", "completed")
    assert last["data"] == {"kind": "completed", "taken": True}


async def test_an_outcome_that_could_not_be_recorded_is_recorded_later_and_mailed_no_more(
    house: House, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, change_id = await completed(house)
    said: list[Any] = []

    async def broken(*_: object) -> None:
        raise ConnectionResetError

    monkeypatch.setattr(changes, "record", broken)
    with pytest.raises(ApplicationError):
        await run(house.mails.send_outcome, SendOutcome(change_id=change_id), heartbeats=said)
    assert was_taken(said) is True
    with pytest.raises(ApplicationError):
        await run(house.mails.send_outcome, SendOutcome(change_id=change_id), heard=said)
    monkeypatch.undo()
    await run(house.mails.send_outcome, SendOutcome(change_id=change_id, taken=was_taken(said)))
    assert len(mails_in(inbox)) == 1
    assert (await house.trail(change_id))[-1]["data"] == {"kind": "completed", "taken": True}


async def test_the_expiry_told_is_the_services_own_unless_a_later_change_has_moved_it(
    house: House, inbox: Path
) -> None:
    rented, change_id = await completed(house)
    renewed = (await house.service_row(rented))["expires_at"] + 30 * DAY
    await set_values(house.database, tables.services, rented.service_id, expires_at=renewed)
    await tell(house, change_id)
    assert shown(renewed) in text_of(mails_in(inbox)[0])

    bruno, other_id = await completed(house, name="bruno")
    told = (await house.change(other_id)).new_expires_at
    assert told is not None
    later = {"expires_at": told + 90 * DAY, "last_committed_at": T0 + DAY}
    await set_values(house.database, tables.services, bruno.service_id, **later)
    await tell(house, other_id)
    (text,) = [text_of(it) for it in mails_in(inbox) if it["To"] == "bruno@example.com"]
    assert shown(told) in text


def shown(moment: datetime) -> str:
    return f"{moment:%B} {moment.day}, {moment.year}"


async def test_new_servers_are_told_by_their_addresses(house: House, inbox: Path) -> None:
    rented = await house.rent(language="fr")
    free = await add_free_addresses(house.database, 2)
    change_id = await house.committed(rented, rented.wants(20, 5))
    await house.create(change_id)
    await house.complete(change_id)
    await tell(house, change_id)
    text = text_of(mails_in(inbox)[0])
    for address in free:
        assert address in text


async def test_a_deletion_skipped_without_evidence_is_not_told_as_done(house: House, inbox: Path) -> None:
    rented = await house.rent(servers=3, marked=2, language="en")
    await house.put_on_host(rented)
    change_id = await house.committed(rented, rented.wants(20, 1))
    await house.tear_down(change_id, rented.servers[1])
    unproved = rented.servers[2]
    for _ in range(6):
        await raise_and_skip(house, change_id, unproved)
    await house.tear_down(change_id, unproved)
    await house.complete(change_id)
    await tell(house, change_id)
    text = text_of(mails_in(inbox)[0])
    assert "1 server has been destroyed" in text
    assert rented.addresses[1] in text
    assert "server-3" not in text
    assert rented.addresses[2] not in text


async def raise_and_skip(house: House, change_id: str, server_id: str) -> None:
    trouble = Trouble(change_id=change_id, work=HostWork.TEARDOWN, server_id=server_id, problem="away", at=T0)
    await run(house.troubles.raise_trouble, trouble)
    settled = Settled(
        change_id=change_id,
        work=HostWork.TEARDOWN,
        server_id=server_id,
        actor="olga",
        at=T0 + SECOND,
        skip=Skip(reason="gone", actor="olga"),
    )
    await run(house.troubles.settle_trouble, settled)


ENDS = [
    ("window-over", None, "was not confirmed in time"),
    ("too-many-tries", None, "Too many wrong codes"),
    ("stale", "prices-changed", "The prices have changed"),
]


@pytest.mark.parametrize(("reason", "cause", "words"), ENDS)
async def test_an_abandoned_change_is_told_with_its_reason(
    house: House, inbox: Path, reason: str, cause: str | None, words: str
) -> None:
    _, change_id = await open_change(house, language="en")
    await set_values(
        house.database, tables.plan_changes, change_id, stage="abandoned", reason=reason, cause=cause
    )
    await tell(house, change_id)
    text = text_of(mails_in(inbox)[0])
    assert words in text
    assert "nothing was destroyed" in text
    assert (await house.trail(change_id))[-1]["data"] == {"kind": reason, "taken": True}


@pytest.mark.parametrize(
    ("stage", "reason"),
    [
        ("awaiting_code", None),
        ("committed", None),
        ("rejected", "nothing-changes"),
        ("abandoned", "cancelled"),
        ("abandoned", "mail-refused"),
        ("abandoned", "interrupted"),
    ],
)
async def test_other_ends_are_told_to_nobody(
    house: House, inbox: Path, stage: str, reason: str | None
) -> None:
    _, change_id = await open_change(house)
    await set_values(house.database, tables.plan_changes, change_id, stage=stage, reason=reason)
    with pytest.raises(ApplicationError) as caught:
        await tell(house, change_id)
    assert (caught.value.type, caught.value.non_retryable) == ("Unauthorised", True)
    assert mails_in(inbox) == []


async def test_a_refused_outcome_mail_is_recorded_and_not_tried_again(house: House) -> None:
    _, change_id = await completed(house)
    script = Script(answers={"RCPT": ["550 no such user"]})
    async with scripted_server(script) as port:
        house.mails = house.mails_to(port)
        await tell(house, change_id)
        await tell(house, change_id)
    assert script.received == []
    assert (await house.trail(change_id))[-1]["data"] == {"kind": "completed", "taken": False}


async def test_an_outcome_told_by_two_workers_at_once_is_recorded_once(house: House, inbox: Path) -> None:
    _, change_id = await completed(house)
    await asyncio.gather(*(tell(house, change_id) for _ in range(3)))
    assert (await house.events(change_id)).count("outcome_mailed") == 1
    assert len({message["Message-ID"] for message in mails_in(inbox)}) == 1
