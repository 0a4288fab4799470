"""What is only looked at, through the REST API."""

from collections.abc import Awaitable, Callable

from bench.customers import Rest, timed, wish
from starter.seed_many import Customer

PAGES = {
    "list": "/v1/services",
    "service": "/v1/services/{service}",
    "history": "/v1/services/{service}/plan-changes",
}


def look(rest: Rest, what: str, customer: Customer) -> Callable[[], Awaitable[float]]:
    """Return a job that asks for a `quote` or one of `PAGES`, and returns the seconds that it took."""
    one = wish(customer)

    async def job() -> float:
        if what == "quote":
            _, seconds = await timed(rest.quote(one))
            return seconds
        path = PAGES[what].format(service=customer.service_id)
        answer, seconds = await timed(rest.call("GET", path, one))
        answer.raise_for_status()
        return seconds

    return job
