"""Changes of long ago, so that tables have the size of a host's that has been in business."""

from datetime import datetime, timedelta
from uuid import NAMESPACE_URL, uuid5

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from bench.customers import wish
from changeover.storage.database import Database
from changeover.storage.tables import plan_changes, trail
from starter.seed_many import Customer

_CHUNK = 1_000
_EVENTS = ("requested", "accepted", "code_handed_over", "committed", "applying", "completed")


async def add_past_changes(database: Database, now: datetime, services: int) -> None:
    """Give each of the first `services` customers one change that was completed 100 days ago."""
    at = now - timedelta(days=100)
    for first in range(1, services + 1, _CHUNK):
        customers = [Customer(number=number) for number in range(first, min(first + _CHUNK, services + 1))]

        async def work(connection: AsyncConnection, customers: list[Customer] = customers) -> None:
            await connection.execute(insert(plan_changes), [_change(it, at) for it in customers])
            entries = [
                {
                    "change_id": _id(it),
                    "at": at,
                    "event": event,
                    "stage": "completed",
                    "actor": "system",
                    "data": {},
                }
                for it in customers
                for event in _EVENTS
            ]
            await connection.execute(insert(trail), entries)

        await database.write(work)


def _id(customer: Customer) -> str:
    return str(uuid5(NAMESPACE_URL, f"changeover:load:past:{customer.number}"))


def _change(customer: Customer, at: datetime) -> dict[str, object]:
    record = wish(customer).wanted.record
    return {
        "id": _id(customer),
        "service_id": customer.service_id,
        "account_id": customer.account_id,
        "fingerprint": "f" * 64,
        "stage": "completed",
        "before": record,
        "after": record,
        "destroys": [],
        "creates": 0,
        "spends_pass": False,
        "as_of": at,
        "code_number": 1,
        "wrong_on_code": 0,
        "wrong_on_change": 0,
        "new_expires_at": at + timedelta(days=50),
        "days_before": 40,
        "days_after": 50,
        "window_ends_at": at + timedelta(hours=1),
        "committed_at": at,
        "closed_at": at,
    }
