"""How work on hosts comes into trouble, and how an operator decides about it."""

from datetime import datetime

import pytest
from temporalio.exceptions import ApplicationError

from changeover.domain.teardown import Step
from changeover.hosts import HostRefused
from tests.activities.hosts import TroubledHost
from tests.activities.house import House, run
from tests.storage.rows import MINUTE, T0, Rented, add_free_addresses
from workflows.messages import HostWork, Settled, Skip, Trouble

AT = T0 + 30 * MINUTE
REASON = "the machine burned down"


async def condemned(house: House, marked: int = 1) -> tuple[Rented, str, str]:
    rented = await house.rent(servers=3, marked=marked)
    await house.put_on_host(rented)
    change_id = await house.committed(rented, rented.wants(20, 3 - marked))
    return rented, change_id, rented.servers[2]


async def raise_it(
    house: House,
    change_id: str,
    server_id: str | None,
    work: HostWork = HostWork.TEARDOWN,
    why: str = "away",
    at: datetime = AT,
) -> None:
    trouble = Trouble(change_id=change_id, work=work, server_id=server_id, problem=why, at=at)
    await run(house.troubles.raise_trouble, trouble)


async def settle_it(
    house: House,
    change_id: str,
    server_id: str | None,
    work: HostWork = HostWork.TEARDOWN,
    skip: Skip | None = None,
) -> bool:
    settled = Settled(
        change_id=change_id, work=work, server_id=server_id, actor="olga", at=AT + MINUTE, skip=skip
    )
    return await run(house.troubles.settle_trouble, settled)


async def walk_to(house: House, change_id: str, server_id: str, step: Step) -> TroubledHost:
    """Tear down as far as `step`, which fails."""
    host = TroubledHost(house.local)
    call = {Step.RECORD: "find", Step.VERIFY_GONE: "find", Step.DELETE_BACKUPS: "delete_backup"}
    name = call.get(step, str(step))
    if step is Step.VERIFY_GONE:
        await walk_to(house, change_id, server_id, Step.RELEASE_ADDRESS)
        return host
    host.failing[name, server_id] = HostRefused("broken", "The panel refuses.")
    with pytest.raises(ApplicationError):
        await house.tear_down(change_id, server_id, host)
    return host


async def host_work(house: House, work: HostWork) -> str:
    rented = await house.rent()
    await house.put_on_host(rented)
    await add_free_addresses(house.database, 2)
    wanted = rented.wants(20, 5) if work is HostWork.CREATE else rented.wants(24)
    return await house.committed(rented, wanted)
