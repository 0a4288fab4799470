"""A load on a system that runs already: it looks, requests and cancels, and leaves nothing open."""

import asyncio

import pytest
from sqlalchemy import func, select

from bench.against import Load, run_against
from bench.run import Bench
from changeover.storage.tables import plan_changes


@pytest.mark.timeout(600)
def test_a_load_from_outside_looks_and_cancels_what_it_requested() -> None:
    async def story() -> dict[str, int]:
        bench = Bench(quick=True, rounds=1, say=lambda _text: None)
        async with bench.system("sqlite") as system:
            await system.customers(6)
            load = Load(
                address=system.api_url,
                key=system.api_key,
                services=6,
                at_once=3,
                rounds=1,
                requests=True,
                count=10,
            )
            result = await run_against(load, lambda _text: None)
            assert result.incomplete == []
            assert {
                "quote p50",
                "list p99",
                "history: rate",
                "request p50",
                "cancel p50",
            } <= result.series.keys()
            by_stage = select(plan_changes.c.stage, func.count()).group_by(plan_changes.c.stage)
            async with system.database.read() as connection:
                return {str(stage): int(count) for stage, count in await connection.execute(by_stage)}

    assert asyncio.run(story()) == {"abandoned": 6}
