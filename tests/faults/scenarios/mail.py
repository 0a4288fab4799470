"""Faults of the mail server, and of the worker while it speaks to it."""

import asyncio
import ssl

import trustme

from changeover.storage import tables
from tests.faults.matrix import scenario
from tests.faults.post import PostOffice
from tests.faults.scenarios.common import SMALLER, asked, completes, freezes, outcome_recorded, with_a_pass
from tests.faults.story import Customer, Story
from tests.faults.system import SQLITE, eventually, thaw
from tests.mail.servers import DROP, HANG, PASSWORD, USERNAME, scripted_server
from tests.storage.rows import set_values


async def _ask(story: Story) -> tuple[Customer, str]:
    alice = await with_a_pass(story)
    return alice, await alice.confirmed(**SMALLER)


@scenario(5, sample=SQLITE)
async def told_to_come_back_and_then_taken(story: Story) -> None:
    story.system.post.answers["RCPT"] = ["450 4.2.0 come back later"]
    alice, change_id = await _ask(story)
    code = await alice.code(change_id)
    assert len(alice.mails) == 1, "sent once"
    await completes(story, alice, change_id, code)


@scenario(5)
async def told_to_come_back_after_the_dot_and_then_taken(story: Story) -> None:
    story.system.post.answers["DATA"] = ["451 4.3.0 come back later"]
    alice, change_id = await _ask(story)
    await completes(story, alice, change_id, await alice.code(change_id))
    assert len([mail for mail in alice.mails if mail.code]) == 1


async def _is_refused(story: Story, alice: Customer, change_id: str) -> None:
    row = await story.reaches(change_id, "abandoned")
    assert row["reason"] == "mail-refused"
    assert alice.mails == []


@scenario(6, sample=SQLITE)
async def refused_for_the_recipient(story: Story) -> None:
    story.system.post.answers["RCPT"] = ["550 5.1.1 no such mailbox"]
    await _is_refused(story, *await _ask(story))


@scenario(9)
async def refused_and_then_hanging_on_rset(story: Story) -> None:
    story.system.post.answers |= {"RCPT": ["550 5.1.1 no such mailbox"], "RSET": [HANG], "QUIT": [HANG]}
    await _is_refused(story, *await _ask(story))


async def _comes_twice(story: Story, answer: str) -> None:
    story.system.post.answers["DATA"] = [answer]
    alice, change_id = await _ask(story)
    code = await alice.code(change_id)
    with_code = [mail for mail in alice.mails if mail.code]
    assert len(with_code) == 2
    assert {mail.code for mail in with_code} == {code}
    assert len({mail.message_id for mail in with_code}) == 1
    await completes(story, alice, change_id, code)


@scenario(7)
async def connection_lost_after_the_dot(story: Story) -> None:
    await _comes_twice(story, DROP)


@scenario(8)
async def hang_after_the_dot(story: Story) -> None:
    await _comes_twice(story, HANG)


@scenario(11)
async def killed_after_250(story: Story) -> None:
    await story.system.restart_worker("mail.taken=kill@1")
    alice, change_id = await _ask(story)
    await story.system.worker_died()
    (first,) = alice.mails
    await story.system.restart_worker()
    code = await alice.code(change_id)
    assert {mail.code for mail in alice.mails} == {code} == {first.code}
    assert len({mail.message_id for mail in alice.mails}) == 1
    await completes(story, alice, change_id, code)


async def _operator_is_told(story: Story, **settings: str) -> None:
    """Ask for a change: nothing arrives, the worker says why; it doesn't confirm anything."""
    worker = await story.system.restart_worker(FAULTY="mail", CHANGEOVER_EMBEDDED="true", **settings)
    alice, change_id = await _ask(story)
    handle = await story.handle(alice.run)

    async def told() -> bool:
        pending = (await handle.describe()).raw_description.pending_activities
        return any("MailMisconfigured" in str(activity.last_failure) for activity in pending)

    await eventually(told, "the run to show what is wrong with the mail server")
    assert worker.runs
    assert alice.mails == []
    row = await story.row(change_id)
    assert row is not None
    assert (row["stage"], row["code_handed_over_at"]) == ("awaiting_code", None)
    await alice.cancel(change_id)


@scenario(10)
async def starttls_stripped(story: Story) -> None:
    await _operator_is_told(story, CHANGEOVER_SMTP_TLS="starttls")
    assert "MAIL" not in story.system.post.commands[-3:], "nothing was said in clear"


@scenario(10)
async def bad_certificate(story: Story) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)  # an authority that nobody trusts
    post = PostOffice()
    async with scripted_server(post, starttls=context) as port:
        await _operator_is_told(story, CHANGEOVER_SMTP_TLS="starttls", CHANGEOVER_SMTP_PORT=str(port))
    assert post.arrived == []
    assert "MAIL" not in post.commands


@scenario(10)
async def bad_password(story: Story) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    trusted = story.system.folder / "authority.pem"
    authority.cert_pem.write_to_path(str(trusted))
    post = PostOffice()
    async with scripted_server(post, starttls=context) as port:
        await _operator_is_told(
            story,
            CHANGEOVER_SMTP_TLS="starttls",
            CHANGEOVER_SMTP_PORT=str(port),
            CHANGEOVER_SMTP_CA_FILE=str(trusted),
            CHANGEOVER_SMTP_USERNAME=USERNAME,
            CHANGEOVER_SMTP_PASSWORD=PASSWORD + "x",
        )
    assert post.arrived == []
    assert "MAIL" not in post.commands


async def _address(story: Story, address: str) -> None:
    alice = await with_a_pass(story)
    await set_values(story.system.database, tables.accounts, alice.account_id, email=address)
    arrived = len(story.system.post.arrived)
    change_id = await alice.confirmed(**SMALLER)
    row = await story.reaches(change_id, "abandoned")
    assert row["reason"] == "mail-refused"
    assert len(story.system.post.arrived) == arrived


@scenario(12)
async def two_addresses_in_one(story: Story) -> None:
    await _address(story, "canary-a@example.com, canary-b@example.com")


@scenario(12)
async def line_breaks_in_the_address(story: Story) -> None:
    await _address(story, "canary-a@example.com>\r\nRCPT TO:<canary-b@example.com")


@scenario(39)
async def the_outcome_is_greylisted(story: Story) -> None:
    """The mail gets a run of its own, so that the service's next change isn't held up; it arrives once."""
    alice, change_id, code = await asked(story, passes=2)
    story.system.post.answers["RCPT"] = ["450 4.7.1 greylisted, come back later"] * 4
    await completes(story, alice, change_id, code)

    async def ended() -> bool:
        return not await story.is_running(alice.run)

    await eventually(ended, "the change's run to end")
    await outcome_recorded(story, change_id)
    assert len([mail for mail in alice.mails if mail.code is None]) == 1
    second = await alice.confirmed("second", slots=22, server_count=2)
    await completes(story, alice, second, await alice.code(second))


@scenario(39)
async def killed_after_the_outcome_was_taken(story: Story) -> None:
    alice, change_id, code = await asked(story)
    await story.system.restart_worker("mail.taken=kill@1")
    await completes(story, alice, change_id, code)
    await story.system.worker_died()
    await story.system.restart_worker()
    await outcome_recorded(story, change_id)
    outcomes = [mail for mail in alice.mails if mail.code is None]
    assert len(outcomes) == 2
    assert len({mail.message_id for mail in outcomes}) == 1


@scenario(39)
async def frozen_as_it_mails_the_code(story: Story) -> None:
    frozen = await story.system.restart_worker("mail.before=freeze@1")
    alice = await with_a_pass(story)
    asking = asyncio.create_task(alice.confirmed(**SMALLER))
    await freezes(frozen)
    await story.system.start_worker()
    change_id = await asking
    code = await alice.code(change_id)
    thaw(frozen)
    await asyncio.sleep(5)  # it sends what it had in hand, or hears first that this is no longer its own
    assert {mail.code for mail in alice.mails} == {code}
    assert len({mail.message_id for mail in alice.mails}) == 1
    await completes(story, alice, change_id, code)
