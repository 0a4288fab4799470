"""The mail with the code: to whom, what it says, and how often, whatever the mail server does."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from changeover.domain.confirmation import display, normalise
from changeover.storage import tables
from tests.activities.house import House, run
from tests.activities.inbox import code_in, mails_in, open_change, text_of
from tests.mail.servers import DROP, Script, scripted_server
from tests.storage.rows import DAY, MINUTE, T0, set_values, snapshot
from workflows.messages import CodeMailed, Handover, RequestCode, SendCode

SENT_AT = T0 + MINUTE


async def send(house: House, change_id: str, number: int = 1) -> CodeMailed:
    order = SendCode(change_id=change_id, number=number)
    return await run(house.mails.send_code, order, at=SENT_AT)


async def test_the_code_reaches_the_customer_and_is_the_right_one(house: House, inbox: Path) -> None:
    _, change_id = await open_change(house)
    mailed = await send(house, change_id)
    (message,) = mails_in(inbox)
    assert message["To"] == "alice@example.com"
    code = code_in(message)
    assert code == display(house.keys.code_of(await house.change(change_id)))
    assert mailed.handover is Handover.HANDED_OVER
    change = await house.change(change_id)
    assert mailed.at == change.code_handed_over_at
    assert mailed.at is not None
    assert SENT_AT <= mailed.at < SENT_AT + MINUTE
    assert change.code_expires_at == mailed.at + 10 * MINUTE
    last = (await house.trail(change_id))[-1]
    assert (last["event"], last["stage"], last["data"]) == ("code_mailed", "awaiting_code", {"number": 1})
    assert normalise(code) not in repr(await snapshot(house.database))


async def test_a_code_is_not_valid_beyond_the_window(house: House, inbox: Path) -> None:
    _, change_id = await open_change(house)
    late = T0 + 55 * MINUTE
    await run(house.mails.send_code, SendCode(change_id=change_id, number=1), at=late)
    assert (await house.change(change_id)).code_expires_at == T0 + 60 * MINUTE
    (message,) = mails_in(inbox)
    assert "13:00:00" in text_of(message)


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("fr", ("Offre blocks", "server-3", "10 mars 2026 à 12:11", "aucun remboursement", "25 jours")),
        ("en", ("Offer blocks", "server-3", "March 10, 2026 at 12:11", "no refund", "25 days")),
    ],
)
async def test_the_mail_says_what_is_confirmed_in_the_customers_language(
    house: House, inbox: Path, language: str, words: tuple[str, ...]
) -> None:
    _, change_id = await open_change(house, language=language)
    await send(house, change_id)
    (message,) = mails_in(inbox)
    text = text_of(message)
    # 20 days of 3 x 20 slots are 25 days of 2 x 24
    for word in words:
        assert word.lower() in text.lower()


async def test_what_was_handed_over_is_not_sent_again(house: House, inbox: Path) -> None:
    _, change_id = await open_change(house)
    first = await send(house, change_id)
    assert await send(house, change_id) == first
    assert len(mails_in(inbox)) == 1
    assert (await house.events(change_id)).count("code_mailed") == 1


async def test_the_second_code_is_another_mail(house: House, inbox: Path) -> None:
    _, change_id = await open_change(house)
    await send(house, change_id)
    order = RequestCode(change_id=change_id, number=2, at=T0 + 5 * MINUTE)
    await run(house.transactions.request_code, order)
    assert (await send(house, change_id, 1)).handover is Handover.MOOT
    assert (await send(house, change_id, 2)).handover is Handover.HANDED_OVER
    first, second = mails_in(inbox)
    assert code_in(first) != code_in(second)
    assert first["Message-ID"] != second["Message-ID"]
    assert "remplace" in text_of(second)
    assert "remplace" not in text_of(first)


@pytest.mark.parametrize("stage", ["abandoned", "committed", "completed"])
async def test_no_code_is_sent_for_a_change_that_is_decided(house: House, inbox: Path, stage: str) -> None:
    _, change_id = await open_change(house)
    await house.set_stage(change_id, stage)
    assert await send(house, change_id) == CodeMailed(handover=Handover.MOOT)
    assert mails_in(inbox) == []


async def test_a_renewal_is_in_the_mail_that_comes_after_it(house: House, inbox: Path) -> None:
    rented, change_id = await open_change(house, language="en")
    await set_values(house.database, tables.services, rented.service_id, expires_at=T0 + 32 * DAY)
    await send(house, change_id)
    text = text_of(mails_in(inbox)[0])
    # 32 days of 6000 are 40 days of 4800
    assert "32 days" in text
    assert "40 days" in text
    assert "April 19, 2026 at 12:00:00" in text


async def test_a_renewal_beyond_any_calendar_does_not_keep_the_code_back(house: House, inbox: Path) -> None:
    rented = await house.rent(servers=1, slots=64)
    request = await house.request(rented, rented.wants(8, 1))
    await house.open(request)
    far = T0.replace(year=8999)
    await set_values(house.database, tables.services, rented.service_id, expires_at=far)
    assert (await send(house, request.change_id)).handover is Handover.HANDED_OVER
    assert len(mails_in(inbox)) == 1


async def test_a_lost_answer_is_repeated_with_the_same_code_and_message_id(house: House) -> None:
    _, change_id = await open_change(house)
    script = Script(answers={"DATA": [DROP]})
    async with scripted_server(script) as port:
        house.mails = house.mails_to(port)
        with pytest.raises(ApplicationError) as caught:
            await send(house, change_id)
        assert (caught.value.type, caught.value.non_retryable) == ("MailDeferred", False)
        assert (await house.change(change_id)).code_handed_over_at is None
        assert (await send(house, change_id)).handover is Handover.HANDED_OVER
    first, second = script.message(0), script.message(1)
    assert first["Message-ID"] == second["Message-ID"]
    assert first["Message-ID"].endswith("@panel.example>")
    assert code_in(first) == code_in(second)


async def test_a_hand_over_that_was_not_recorded_is_repeated_with_the_same_code(
    house: House, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, change_id = await open_change(house)

    monkeypatch.setattr(house.mails, "_handed_over", broken)
    with pytest.raises(ApplicationError):
        await send(house, change_id)
    monkeypatch.undo()
    await send(house, change_id)
    first, second = mails_in(inbox)
    assert (first["Message-ID"], code_in(first)) == (second["Message-ID"], code_in(second))
    assert (await house.events(change_id)).count("code_mailed") == 1


async def broken(*_: object, **__: object) -> None:
    raise ConnectionResetError


async def test_a_hand_over_that_could_not_be_recorded_is_recorded_later_and_mailed_no_more(
    house: House, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, change_id = await open_change(house)
    order, said = SendCode(change_id=change_id, number=1), list[Any]()
    monkeypatch.setattr(house.mails, "_handed_over", broken)
    for _ in range(3):
        said, heard = [], said
        with pytest.raises(ApplicationError):
            await run(house.mails.send_code, order, at=SENT_AT, heartbeats=said, heard=heard)
    monkeypatch.undo()
    mailed = await run(house.mails.send_code, order, at=SENT_AT + MINUTE, heard=said)
    assert len(mails_in(inbox)) == 1
    assert mailed.at is not None
    assert SENT_AT <= mailed.at < SENT_AT + MINUTE, "its validity is the one that the mail names"
    assert (await house.change(change_id)).code_handed_over_at == mailed.at


async def test_a_code_that_ran_out_before_it_was_recorded_is_mailed_again(house: House, inbox: Path) -> None:
    _, change_id = await open_change(house)
    order, heard = SendCode(change_id=change_id, number=1), ("taken", SENT_AT.isoformat())
    at = SENT_AT + 10 * MINUTE
    mailed = await run(house.mails.send_code, order, at=at, heard=heard)
    assert len(mails_in(inbox)) == 1
    assert mailed.at is not None
    assert mailed.at >= at


@pytest.mark.parametrize("command", ["RCPT", "DATA"])
async def test_a_refused_recipient_is_told_and_nothing_is_handed_over(
    house: House, command: str, caplog: pytest.LogCaptureFixture
) -> None:
    _, change_id = await open_change(house)
    script = Script(answers={command: ["550 5.1.1 <alice@example.com> is unknown"]})
    async with scripted_server(script) as port:
        house.mails = house.mails_to(port)
        assert await send(house, change_id) == CodeMailed(handover=Handover.REFUSED)
    assert (await house.change(change_id)).code_handed_over_at is None
    assert "alice@example.com" not in caplog.text


async def test_an_address_that_is_two_is_refused(house: House, inbox: Path) -> None:
    rented, change_id = await open_change(house)
    await set_values(house.database, tables.accounts, rented.account_id, email="a@example.com, b@example.com")
    assert (await send(house, change_id)).handover is Handover.REFUSED
    assert mails_in(inbox) == []


async def test_a_mail_server_that_is_away_is_tried_again(house: House, inbox: Path) -> None:
    _, change_id = await open_change(house)
    elsewhere = house.mails_to(1)
    with pytest.raises(ApplicationError) as caught:
        await run(elsewhere.send_code, SendCode(change_id=change_id, number=1), at=SENT_AT)
    assert caught.value.type == "MailDeferred"
    assert (await send(house, change_id)).handover is Handover.HANDED_OVER


async def test_a_change_cancelled_while_its_mail_was_on_its_way_stays_cancelled(
    house: House, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, change_id = await open_change(house)
    send_on = house.mails._send

    async def cancelled_meanwhile(*arguments: Any) -> bool:
        sent = await send_on(*arguments)
        await house.set_stage(change_id, "abandoned")
        return sent

    monkeypatch.setattr(house.mails, "_send", cancelled_meanwhile)
    assert (await send(house, change_id)).handover is Handover.MOOT
    assert (await house.change(change_id)).code_handed_over_at is None


async def test_two_workers_at_once_hand_over_at_one_moment(house: House, inbox: Path) -> None:
    _, change_id = await open_change(house)
    answers = await asyncio.gather(*(send(house, change_id) for _ in range(3)))
    assert len({answer.at for answer in answers}) == 1
    assert len({message["Message-ID"] for message in mails_in(inbox)}) == 1
    assert (await house.events(change_id)).count("code_mailed") == 1
