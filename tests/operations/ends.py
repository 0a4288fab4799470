"""Runs at the stages and ends that operators meet, brought about on a running system, to be looked at."""

import asyncio
import re
import shutil
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import update

from changeover.domain import problems
from changeover.domain.catalogue import Configuration
from changeover.domain.confirmation import CodePolicy
from changeover.storage.tables import accounts, services
from starter.views import Acknowledgement
from tests.operations.field import Case, Customer, Field

_WRONG = ("B", "C", "D", "F", "G")


async def _alter(field: Field, table: Any, row_id: str, **values: Any) -> None:
    change = update(table).where(table.c.id == row_id).values(**values)
    await field.database.write(lambda connection: connection.execute(change))


async def mailed(field: Field) -> tuple[Case, str]:
    case = await field.requested(await field.customer(2), marks=1, slots=4)
    return case, await field.mailed(case)


async def _ask_in_vain(field: Field, customer: Customer) -> None:
    """Ask for a change with a digest of no quote."""
    present = customer.service.configuration
    wanted = Configuration.of(present.offer, present.slots + 4, present.options, present.server_count)
    nothing = Acknowledgement(no_refund=True, destroys=())
    await field.plans.request(
        customer.account_id,
        customer.service.id,
        wanted,
        digest="0" * 64,
        acknowledge=nothing,
        idempotency_key="click",
    )


async def requested(field: Field) -> str:
    """Ask while no worker works (it is frozen already)."""
    customer = await field.customer(1)
    with suppress(problems.EngineUnavailable):
        await _ask_in_vain(field, customer)
    return f"plan-change/{customer.service.id}"


async def rejected(field: Field) -> str:
    customer = await field.customer(1)
    await _alter(field, services, customer.service.id, recurring_payment_active=True)
    with suppress(problems.RecurringPaymentActive):
        await _ask_in_vain(field, customer)
    return f"plan-change/{customer.service.id}"


async def cancelled(field: Field) -> str:
    case, _ = await mailed(field)
    await field.type(f"changeover ops cancel {case.change_id} --by olga")
    await field.stage(case, "abandoned", "cancelled")
    return f"plan-change/{case.customer.service.id}"


async def stale(field: Field) -> str:
    case, code = await mailed(field)
    await _alter(field, services, case.customer.service.id, recurring_payment_active=True)
    with suppress(problems.ChangeClosed):
        await field.plans.submit_code(case.customer.account_id, case.change_id, code)
    await field.stage(case, "abandoned", "stale")
    return f"plan-change/{case.customer.service.id}"


async def mail_refused(field: Field) -> str:
    customer = await field.customer(2)
    await _alter(field, accounts, customer.account_id, email="one@example.com, two@example.com")
    case = await field.requested(customer, slots=4)
    await field.stage(case, "abandoned", "mail-refused")
    return f"plan-change/{customer.service.id}"


async def too_many_tries(field: Field) -> str:
    """Type ten wrong codes: five of the first, and of the second, which may be asked for a minute later."""
    case, _ = await mailed(field)
    account_id = case.customer.account_id
    for number in (1, 2):
        for letter in _WRONG:
            with suppress(problems.CodeWrong):
                await field.plans.submit_code(account_id, case.change_id, letter * 8)
        if number == 1:
            await asyncio.sleep(CodePolicy().resend_after.total_seconds() + 1)
            await field.plans.resend_code(account_id, case.change_id)

            async def handed_over() -> bool:
                view = await field.plans.status(account_id, case.change_id)
                return view.tries_left == len(_WRONG) and view.code_expires_at is not None

            await field.until(handed_over, "the second code")
    await field.stage(case, "abandoned", "too-many-tries")
    return f"plan-change/{case.customer.service.id}"


async def window_over(field: Field) -> str:
    """Let a window end; on a system whose windows are a minute."""
    case, _ = await mailed(field)
    await asyncio.sleep(45)
    await field.stage(case, "abandoned", "window-over")
    return f"plan-change/{case.customer.service.id}"


async def interrupted(field: Field) -> str:
    case, _ = await mailed(field)
    run = f"plan-change/{case.customer.service.id}"
    await field.type(f"temporal workflow terminate --workflow-id {run} --reason 'an operator, by mistake'")
    await field.make_older(case)
    await field.type("changeover ops reconcile")
    await field.stage(case, "abandoned", "interrupted")
    return run


async def applying(field: Field) -> Case:
    """Confirm a change while the host is away: its folder is elsewhere. `host_is_back` brings it back."""
    case, code = await mailed(field)
    hosts = field.folder("")
    hosts.rename(hosts.with_name("hosts-away"))
    await field.plans.submit_code(case.customer.account_id, case.change_id, code)
    return case


def host_is_back(field: Field) -> None:
    hosts = field.folder("")
    hosts.with_name("hosts-away").rename(hosts)


async def outcome_mail(field: Field, case: Case, code: str) -> str:
    """Confirm while the mail server doesn't answer (it is frozen already): the outcome's mail waits."""
    await field.plans.submit_code(case.customer.account_id, case.change_id, code)
    await field.stage(case, "completed")
    return f"outcome/{case.change_id}"


async def evidence(field: Field, case: Case) -> str:
    """Skip a stuck teardown to its end, and give evidence of it."""
    server = case.words["SERVER"]
    for _ in range(6):
        await field.type(f'changeover ops skip {case.change_id} --reason "the machine burnt" --by olga')
        if await field.goes_on(case) == "completed":
            break
    shutil.rmtree(field.folder(server), ignore_errors=True)
    await field.type(f'changeover ops evidence {server} --evidence "ticket 4711: disks destroyed" --by olga')
    return f"evidence/{server}"


async def reconcile(field: Field) -> str:
    """Have a look find a server that no row knows."""
    stranger = field.folder(str(uuid4()))
    stranger.mkdir()
    try:
        told = await field.type("changeover ops reconcile", code=1)
    finally:
        stranger.rmdir()
    assert re.search(r"server-unknown", told)
    return "reconcile/now"


async def forget(field: Field) -> str:
    customer = await field.customer(1)
    left = datetime.now(UTC).replace(microsecond=0) - timedelta(days=400)
    await _alter(field, services, customer.service.id, expires_at=left)
    await field.type(f"changeover ops forget {customer.account_id} --by olga --yes")
    return f"forget/{customer.account_id}"
