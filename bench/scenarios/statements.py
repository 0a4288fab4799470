"""Database statements per change, in a pass of its own: what is counted is not what is timed."""

import asyncio
import json
from collections import Counter
from pathlib import Path

from bench.completeness import check_complete
from bench.customers import Rest, change, rest_client, wish
from bench.figures import Result
from bench.run import Bench
from bench.scenarios.kinds import VARIANTS, Kinds
from bench.system import System

_TRANSACTION = ("BEGIN", "COMMIT", "ROLLBACK", "PRAGMA")


async def run(bench: Bench, database: str) -> Result:
    """Count on both sides: the worker's, and those of the API that quotes, requests and confirms."""
    result = Result("statements", database)
    changes = bench.size(4, 1)
    async with bench.system(database) as system, rest_client(system.api_url, system.api_key) as client:
        kinds = Kinds(system, Rest(client))
        files = {side: system.folder / f"{side}.statements" for side in ("worker", "api")}
        await system.run_workers(0)
        await system.run_workers(1, ["bench.traced", str(files["worker"]), "worker"])
        address = await system.start_api("bench.traced", str(files["api"]), "starter.api")
        async with rest_client(address, system.api_key) as traced:
            way = Rest(traced)
            for variant in VARIANTS:
                customers = await kinds.customers(variant, changes + 1)
                await change(system, way, wish(customers[0]))  # what is read once, the catalogue above all
                await _settled(system, kinds.changes - changes)
                before = {side: len(_lines(file)) for side, file in files.items()}
                for customer in customers[1:]:
                    await change(system, way, wish(customer), think=0.5)
                await _settled(system, kinds.changes)
                for side, file in files.items():
                    found = _lines(file)[before[side] :]
                    result.add(f"{variant}: statements of the {side}", "count", len(found) / changes)
                    result.details[f"statements of the {side}, {variant}"] = {
                        statement: times / changes for statement, times in Counter(found).most_common()
                    }
        await check_complete(system, result, completed=kinds.changes)
    bench.say("counted")
    return result


async def _settled(system: System, changes: int) -> None:
    """Wait for the outcome mails: their activity has statements of its own behind it."""
    await system.sink.has(2 * changes)
    await asyncio.sleep(0.2)


def _lines(file: Path) -> list[str]:
    statements = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return [statement for statement in statements if not statement.startswith(_TRANSACTION)]
