"""Situations that rows alone can't show: a change that waits for its code, a teardown that needs attention.

Both are real changes, made through the facade as their customers would. The teardown gets stuck because the
server's folder of backups was replaced by a link, which the local host refuses to follow.
"""

import asyncio
import time
from pathlib import Path

from changeover.domain.catalogue import Configuration
from changeover.domain.problems import EngineUnavailable
from starter.embedded.caught_mail import read_code
from starter.plan_changes import PlanChanges
from starter.seed import STUCK, WAITING, account_id
from starter.views import Acknowledgement

_PATIENCE_SECONDS = 30.0


async def stage(plans: PlanChanges, mail_dir: Path, host_dir: Path) -> None:
    """Bring both about, unless an earlier start did."""
    if not await _has_history(plans, WAITING):
        await _request(plans, WAITING)
    if not await _has_history(plans, STUCK):
        await _get_stuck(plans, mail_dir, host_dir)


async def _has_history(plans: PlanChanges, name: str) -> bool:
    account = account_id(name)
    (service,) = await plans.services(account)
    return bool(await plans.history(account, service.id))


async def _get_stuck(plans: PlanChanges, mail_dir: Path, host_dir: Path) -> None:
    (service,) = await plans.services(account_id(STUCK))
    doomed = next(server for server in service.servers if server.state == "marked")
    backups = host_dir / doomed.id / "backups"
    backups.rename(backups.with_name("backups-moved-away"))
    backups.symlink_to(backups.with_name("backups-moved-away"))
    change_id = await _request(plans, STUCK)
    give_up_at = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < give_up_at:
        status = await plans.status(account_id(STUCK), change_id)
        if status.code_expires_at is not None:
            await plans.submit_code(account_id(STUCK), change_id, _code(mail_dir, f"{STUCK}@"))
            return
        await asyncio.sleep(0.05)


async def _request(plans: PlanChanges, name: str) -> str:
    """Have the customer ask for two more slots; the worker may still be starting."""
    account = account_id(name)
    (service,) = await plans.services(account)
    present = service.configuration
    kept = sum(server.state == "active" for server in service.servers)
    wanted = Configuration.of(present.offer, present.slots + 2, present.options, kept)
    quote = await plans.quote(account, service.id, wanted)
    assert quote.digest is not None, f"{name} can change: {quote.blockers}"
    give_up_at = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            requested = await plans.request(
                account,
                service.id,
                wanted,
                digest=quote.digest,
                acknowledge=Acknowledgement(no_refund=True, destroys=tuple(it.id for it in quote.destroys)),
                idempotency_key="staged",
            )
            return requested.id
        except EngineUnavailable:
            if time.monotonic() > give_up_at:
                raise
            await asyncio.sleep(0.2)


def _code(mail_dir: Path, recipient: str) -> str:
    """Return the code of the last mail to `recipient`."""
    mail = max(file for file in mail_dir.glob("*.eml") if recipient in file.name)
    _subject, code = read_code(mail)
    assert code is not None, f"{mail.name} holds a code"
    return code
