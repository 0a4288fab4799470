"""The goals, in one table, and how they are judged. Ratios of one run count; a goal in ms or MB says so."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from bench.figures import Result, Summary, ratios, summary

LATENCY, THROUGHPUT = 0.15, 0.30
"""How much a median may miss a goal by, and how far rounds may lie apart before they say nothing."""


class Verdict(StrEnum):
    MET = "met"
    TOLERATED = "met by the tolerance"
    MISSED = "missed"
    INCONCLUSIVE = "inconclusive"
    INCOMPLETE = "incomplete"
    NOT_MEASURED = "not measured"


@dataclass(frozen=True, kw_only=True)
class Goal:
    """`over` / `under` (or `over` alone) of a scenario is at most `limit`. Series by their names."""

    name: str
    scenario: str
    over: str
    under: str | None
    limit: float
    tolerance: float
    databases: tuple[str, ...] = ("sqlite", "postgresql")


GOALS = (
    Goal(
        name="request to answer / empty workflow",
        scenario="change",
        over="one at a time: one server: request p50",
        under="one at a time: empty: whole p50",
        limit=1.3,
        tolerance=LATENCY,
    ),
    Goal(
        name="code to committed / bare update",
        scenario="change",
        over="one at a time: one server after a pause: code p50",
        under="one at a time: update: whole p50",
        limit=1.8,
        tolerance=LATENCY,
    ),
    Goal(
        name="whole change, one server torn down / empty workflow",
        scenario="change",
        over="one at a time: one server: whole p50",
        under="one at a time: empty: whole p50",
        limit=3.7,
        tolerance=LATENCY,
    ),
    Goal(
        name="floor's rate / changes a second, 16 at once",
        scenario="change",
        over="16 at once: empty: rate",
        under="16 at once: no teardown: rate",
        limit=4.5,
        tolerance=THROUGHPUT,
    ),
    Goal(
        name="CPU per change / floor's, 16 at once",
        scenario="change",
        over="16 at once: no teardown: CPU",
        under="16 at once: empty: CPU",
        limit=4.3,
        tolerance=THROUGHPUT,
    ),
    Goal(
        name="CPU per change / empty shape's, 16 at once",
        scenario="change",
        over="16 at once: no teardown: CPU",
        under="16 at once: empty shape: CPU",
        limit=1.35,
        tolerance=THROUGHPUT,
    ),
    Goal(
        name="p99 of the answer / floor's p99, 16 at once",
        scenario="tails",
        over="16 at once: no teardown: request p99",
        under="16 at once: empty: whole p99",
        limit=0.8,
        tolerance=LATENCY,
    ),
    Goal(
        name="p99 / p50 of the answer, 50 at once",
        scenario="tails",
        over="50 at once: no teardown: request p99",
        under="50 at once: no teardown: request p50",
        limit=1.6,
        tolerance=LATENCY,
    ),
    Goal(
        name="our commit / the same statements raw",
        scenario="commit",
        over="ours p50",
        under="raw p50",
        limit=2.0,
        tolerance=THROUGHPUT,
    ),
    Goal(
        name="commit p99 / p50, 8 writers",
        scenario="commit",
        over="8 writers p99",
        under="8 writers p50",
        limit=1.5,
        tolerance=LATENCY,
        databases=("sqlite",),
    ),
    Goal(
        name="worker growth, 20,000 waiting (MB)",
        scenario="waiting",
        over="20000 waiting: worker growth",
        under=None,
        limit=75,
        tolerance=LATENCY,
    ),
    Goal(
        name="a new change beside 20,000 waiting / beside none",
        scenario="waiting",
        over="20000 waiting: new request p50",
        under="0 waiting: new request p50",
        limit=1.4,
        tolerance=LATENCY,
    ),
    Goal(
        name="quote p99, 100,000 services / 1,000",
        scenario="quotes",
        over="100000 services: quote p99",
        under="1000 services: quote p99",
        limit=1.2,
        tolerance=LATENCY,
    ),
    Goal(
        name="teardown without verifying / rm -rf, 10 servers",
        scenario="teardown",
        over="10 servers: ours without verifying",
        under="10 servers: rm",
        limit=1.3,
        tolerance=LATENCY,
        databases=("none",),
    ),
    Goal(
        name="changeover --help above the bare interpreter (CPU, ms)",
        scenario="startup",
        over="help: CPU above the interpreter",
        under=None,
        limit=300,
        tolerance=LATENCY,
        databases=("none",),
    ),
    Goal(
        name="changeover quote above the bare interpreter (CPU, ms)",
        scenario="startup",
        over="quote: CPU above the interpreter",
        under=None,
        limit=600,
        tolerance=LATENCY,
        databases=("none",),
    ),
    Goal(
        name="./run up until ready (ms)",
        scenario="startup",
        over="up, first start: ready",
        under=None,
        limit=6_000,
        tolerance=LATENCY,
        databases=("none",),
    ),
    Goal(
        name="a neighbour's answer beside a burst of 1,000 / beside none",
        scenario="fairness",
        over="beside the burst: request p50",
        under="beside none: request p50",
        limit=4.0,
        tolerance=THROUGHPUT,
    ),
    Goal(
        name="a neighbour's code to committed beside a burst of 1,000 / beside none",
        scenario="fairness",
        over="beside the burst: code p50",
        under="beside none: code p50",
        limit=6.0,
        tolerance=THROUGHPUT,
    ),
    Goal(
        name="p99 of a neighbour's answer / p50 of the burst's own",
        scenario="fairness",
        over="beside the burst: request p99",
        under="the burst: request p50",
        limit=0.1,
        tolerance=THROUGHPUT,
    ),
    Goal(
        name="a neighbour's code mail beside a burst of 1,000, 10 a second (ms)",
        scenario="fairness",
        over="beside the burst: mail p50",
        under=None,
        limit=500,
        tolerance=THROUGHPUT,
    ),
)


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A goal, on one database. `figure` is None when it was not measured."""

    goal: Goal
    database: str
    figure: Summary | None
    verdict: Verdict


def judge(goal: Goal, result: Result, database: str) -> Judged:
    """Judge a goal by what its scenario measured."""
    over = result.series.get(goal.over)
    under = result.series.get(goal.under) if goal.under else None
    if over is None or (goal.under and under is None):
        return Judged(goal=goal, database=database, figure=None, verdict=Verdict.NOT_MEASURED)
    figure = summary(ratios(over.rounds, under.rounds) if under else over.rounds)
    if result.incomplete:
        verdict = Verdict.INCOMPLETE
    elif figure.spread > goal.tolerance:
        verdict = Verdict.INCONCLUSIVE
    elif figure.median <= goal.limit:
        verdict = Verdict.MET
    else:
        verdict = Verdict.TOLERATED if figure.median <= goal.limit * (1 + goal.tolerance) else Verdict.MISSED
    return Judged(goal=goal, database=database, figure=figure, verdict=verdict)


def judge_all(results: Sequence[Result]) -> list[Judged]:
    """Judge every goal of the scenarios that were measured, on the databases that they were measured on."""
    found = {(result.scenario, result.database): result for result in results}
    return [
        judge(goal, found[goal.scenario, database], database)
        for goal in GOALS
        for database in goal.databases
        if (goal.scenario, database) in found
    ]
