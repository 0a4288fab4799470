"""Statistics and goals: what the benchmarks say follows from what they measured."""

from pathlib import Path

import pytest

from bench import report
from bench.figures import Result, percentile, ratios, summary
from bench.goals import GOALS, Goal, Verdict, judge, judge_all

GOAL = Goal(name="a / b", scenario="change", over="a", under="b", limit=2.0, tolerance=0.15)


def measured(a: list[float], b: list[float]) -> Result:
    result = Result("change", "sqlite")
    for over, under in zip(a, b, strict=True):
        result.add("a", "ms", over)
        result.add("b", "ms", under)
    return result


@pytest.mark.parametrize(
    ("share", "value"), [(0, 1), (0.5, 50), (0.501, 51), (0.99, 99), (0.991, 100), (1, 100)]
)
def test_a_percentile_is_the_least_value_that_enough_do_not_exceed(share: float, value: float) -> None:
    assert percentile([float(number) for number in range(100, 0, -1)], share) == value


def test_a_percentile_needs_values() -> None:
    with pytest.raises(ValueError, match="needs values"):
        percentile([], 0.5)


def test_the_spread_is_that_of_the_farthest_round() -> None:
    found = summary([10, 8, 15])
    assert (found.median, found.least, found.most, found.spread) == (10, 8, 15, 0.5)
    assert summary([0, 0]).spread == 0
    assert summary([0, 0, 1]).spread == float("inf")


def test_a_ratio_is_taken_within_its_round() -> None:
    assert ratios([10, 300], [5, 100]) == [2, 3]


@pytest.mark.parametrize(
    ("a", "verdict"),
    [
        ([190, 200, 205], Verdict.MET),
        ([200, 201, 202], Verdict.TOLERATED),
        ([225, 229, 230], Verdict.TOLERATED),
        ([231, 232, 233], Verdict.MISSED),
        ([100, 200, 210], Verdict.INCONCLUSIVE),
    ],
)
def test_a_goal_is_judged_by_the_median_if_the_rounds_agree(a: list[float], verdict: Verdict) -> None:
    assert judge(GOAL, measured(a, [100, 100, 100]), "sqlite").verdict is verdict


def test_slow_rounds_that_slow_both_sides_decide_nothing() -> None:
    assert judge(GOAL, measured([100, 1000], [50, 500]), "sqlite").verdict is Verdict.MET


def test_figures_of_a_run_that_lost_something_count_for_nothing() -> None:
    result = measured([1], [1])
    result.expect("mails received", 1, 2)
    assert result.incomplete == ["mails received: 1, not 2"]
    assert judge(GOAL, result, "sqlite").verdict is Verdict.INCOMPLETE


def test_a_goal_that_nothing_measured_is_neither_met_nor_missed() -> None:
    assert judge(GOAL, Result("change", "sqlite"), "sqlite").verdict is Verdict.NOT_MEASURED


def test_goals_are_judged_of_what_was_measured_where_it_was_measured() -> None:
    judged = judge_all([Result("commit", "postgresql"), Result("teardown", "none")])
    assert {(one.goal.scenario, one.database) for one in judged} == {
        ("commit", "postgresql"),
        ("teardown", "none"),
    }
    assert len({goal.name for goal in GOALS}) == len(GOALS)


def test_runs_are_judged_together_and_the_later_one_counts(tmp_path: Path) -> None:
    files = []
    for number, a in enumerate((9.0, 3.0)):
        results = [measured([a], [2]), Result("commit", "sqlite", checked={"rows": number})]
        files.append(tmp_path / f"{number}.json")
        report.write_json(report.as_json({}, {}, results[: 2 - number], []), files[-1])
    change, commit = sorted(report.read_runs(files), key=lambda it: it.scenario)
    assert judge(GOAL, change, "sqlite").verdict is Verdict.MET
    assert (commit.scenario, commit.checked, commit.series) == ("commit", {"rows": 0}, {})
