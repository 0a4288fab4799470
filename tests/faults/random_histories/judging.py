"""The fault matrix's checker, on what a random history left behind."""

from changeover.mail.transport import OutgoingMail
from tests.faults.checker import judge
from tests.faults.evidence import (
    Evidence,
    Person,
    codes_and_proofs,
    digest_of,
    read_tables,
    rewriting_is_refused,
    runs_of,
    scope,
)
from tests.faults.post import CODE, Mail
from tests.faults.random_histories.model import Service
from tests.faults.random_histories.play import Play
from tests.faults.random_histories.scene import told_by
from tests.faults.watch import Seen
from tests.storage.rows import add_account


async def broken(play: Play) -> list[str]:
    """Return what is broken, in words, by invariant."""
    return [f"{it.invariant}: {what}" for it in await judge(await _evidence(play)) for what in it.broken]


async def _evidence(play: Play) -> Evidence:
    world = play.world
    stranger = await add_account(play.database, "stranger")
    people = [await _person(play, service, stranger) for service in play.model.services]
    rows = scope(await read_tables(play.database), people)
    keys = {name: key.get_secret_value().encode() for name, key in world.settings.code_keys.items()}
    expected, proofs = codes_and_proofs(rows, keys, world.settings.proof_secret)
    return Evidence(
        rows=rows,
        files={row["id"]: digest_of(world.host_dir / row["id"]) for row in rows["servers"]},
        people=people,
        ledger=play.ledger,
        mails=[_mail(mail) for mail in world.post.sent[play.first_mail :]],
        seen=Seen(),
        runs=await runs_of(world.temporal.client, rows),
        logs={},
        metrics="",
        temporal_file=b"",
        rewriting_refused=not rows["trail"] or await rewriting_is_refused(play.database),
        expected_codes=expected,
        accepting_proofs=proofs,
    )


async def _person(play: Play, service: Service, stranger: str) -> Person:
    starter, wrong = play.world.starter, []
    history = await starter.history(play.account_id, service.id)
    looks = {}
    for change in history:
        looks[change.id] = 200 if await told_by(starter.status(play.account_id, change.id)) == "ok" else 404
        calls = (
            starter.status(stranger, change.id),
            starter.cancel(stranger, change.id),
            starter.resend_code(stranger, change.id),
            starter.submit_code(stranger, change.id, "BCDF-GHJK"),
        )
        wrong += [change.id for call in calls if await told_by(call) != "not-found"]
    before = play.before[service.id]
    return Person(
        account_id=play.account_id,
        service_id=service.id,
        email=play.email,
        server_ids=tuple(before.servers),
        before=before,
        sees={"history": [change.id for change in history], "changes": looks},
        stranger=[f"a stranger reached {it}" for it in wrong],
    )


def _mail(mail: OutgoingMail) -> Mail:
    assert CODE.search(mail.text) is None or CODE.search(mail.html)
    return Mail(
        recipients=(mail.recipient,),
        to=mail.recipient,
        message_id=mail.message_id,
        subject=mail.subject,
        text=mail.text,
        tls=False,
    )
