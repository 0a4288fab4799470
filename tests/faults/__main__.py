"""`python -m tests.faults [N ...] [--database sqlite|postgresql|both] [--times K] [--json]`.

Runs the faults of these numbers, or all, and prints a table: fault, database, invariants, held or not, times.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence

from tests.faults import scenarios
from tests.faults.checker import JUDGES, NOT_TOUCHED
from tests.faults.matrix import FAULTS, SCENARIOS, Scenario
from tests.faults.runner import Outcome, run
from tests.faults.system import POSTGRESQL, SQLITE, running_system

scenarios.load()


async def try_all(chosen: list[Scenario], kinds: Sequence[str], times: int, *, sample: bool) -> list[Outcome]:
    outcomes = []
    for kind in kinds:
        its = [it for it in chosen if kind in it.databases and (not sample or it.sample == kind)]
        if not its:
            continue
        async with running_system(kind) as system:
            for scenario in its:
                for _ in range(times):
                    outcome = await run(scenario, system)
                    outcomes.append(outcome)
                    _tell(outcome)
    return outcomes


def _tell(outcome: Outcome) -> None:
    scenario = outcome.scenario
    verdict = "NOT HELD" if outcome.broken else "held"
    times = f"{outcome.seconds:5.1f} s, settled in {outcome.settled:4.1f} s"
    line = f"{scenario.fault:>3} {outcome.database:<10} {verdict:<8} {times}"
    print(
        "\n".join([f"{line}  {scenario.name}", *(f"      {what}" for what in outcome.broken)]),
        file=sys.stderr,
        flush=True,
    )


def table(outcomes: Sequence[Outcome]) -> list[dict[str, object]]:
    """One row for each fault and database, over all its scenarios and tries."""
    rows = []
    for fault, kind in sorted({(it.scenario.fault, it.database) for it in outcomes}):
        its = [it for it in outcomes if (it.scenario.fault, it.database) == (fault, kind)]
        checked = {
            finding.invariant for it in its for finding in it.findings if finding.verdict != NOT_TOUCHED
        }
        rows.append(
            {
                "fault": fault,
                "what": FAULTS[fault][1],
                "database": kind,
                "invariants": [name for name in JUDGES if name in checked],
                "not_touched": [name for name in JUDGES if name not in checked],
                "held": not any(it.broken for it in its),
                "times": len(its),
                "broken": sorted({what for it in its for what in it.broken}),
            }
        )
    return rows


def _print(rows: list[dict[str, object]]) -> None:
    print(f"{'fault':>5}  {'database':<10}  {'held':<4}  {'times':>5}  invariants judged; what the fault is")
    for row in rows:
        names = ", ".join(str(name) for name in row["invariants"])  # type: ignore[attr-defined]
        held = "yes" if row["held"] else "NO"
        figures = f"{row['fault']:>5}  {row['database']:<10}  {held:<4}  {row['times']:>5}"
        print(f"{figures}  {names}; {row['what']}")
        for what in row["broken"]:  # type: ignore[attr-defined]
            print(f"{'':>26}  {what}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("faults", nargs="*", type=int, metavar="N", help="numbers of faults; all by default")
    parser.add_argument("--database", choices=[SQLITE, POSTGRESQL, "both"], default="both")
    parser.add_argument("--times", type=int, default=1, help="tries of each scenario")
    parser.add_argument("--only", default="", help="scenarios whose name holds this")
    parser.add_argument("--sample", action="store_true", help="only what CI runs")
    parser.add_argument("--json", action="store_true", help="the table as JSON")
    options = parser.parse_args()
    unknown = set(options.faults) - set(FAULTS)
    if unknown:
        parser.error(f"no fault {', '.join(map(str, sorted(unknown)))}; there are 1 to {len(FAULTS)}")
    chosen = [
        it
        for it in sorted(SCENARIOS, key=lambda it: it.fault)
        if (not options.faults or it.fault in options.faults) and options.only in it.name
    ]
    kinds = (SQLITE, POSTGRESQL) if options.database == "both" else (options.database,)
    rows = table(asyncio.run(try_all(chosen, kinds, options.times, sample=options.sample)))
    if options.json:
        print(json.dumps(rows, indent=2))
    else:
        _print(rows)
    return 0 if all(row["held"] for row in rows) else 1


if __name__ == "__main__":
    from starter.process import leave

    leave(main())
