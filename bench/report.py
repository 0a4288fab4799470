"""What was measured, as JSON and as tables on the screen."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.figures import Result, Series, Summary, summary
from bench.goals import Judged, Verdict

_COLOURS = {
    Verdict.MET: "green",
    Verdict.TOLERATED: "green",
    Verdict.MISSED: "red",
    Verdict.INCOMPLETE: "red",
}


def as_json(
    machine: dict[str, str], how: dict[str, Any], results: Sequence[Result], goals: Sequence[Judged]
) -> Any:
    """Return all of it as JSON values; every round stands in it."""
    return {
        "machine": machine,
        "how": how,
        "goals": [_goal_as_json(judged) for judged in goals],
        "results": [
            {
                "scenario": result.scenario,
                "database": result.database,
                "complete": not result.incomplete,
                "incomplete": result.incomplete,
                "checked": result.checked,
                "series": {
                    name: {"unit": series.unit, "rounds": series.rounds, **asdict(summary(series.rounds))}
                    | {"rounds": series.rounds}
                    for name, series in result.series.items()
                },
                "details": result.details,
            }
            for result in results
        ],
    }


def from_json(content: Any) -> list[Result]:
    """Return the results of a run as `as_json` wrote them."""
    return [
        Result(
            scenario=result["scenario"],
            database=result["database"],
            series={
                name: Series(series["unit"], list(series["rounds"]))
                for name, series in result["series"].items()
            },
            checked=result["checked"],
            incomplete=result["incomplete"],
            details=result["details"],
        )
        for result in content["results"]
    ]


def read_runs(files: Sequence[Path]) -> list[Result]:
    """Return the results of several runs; of what was measured more than once, the last file's."""
    newest = {
        (result.scenario, result.database): result
        for file in files
        for result in from_json(json.loads(file.read_text(encoding="utf-8")))
    }
    return list(newest.values())


def _goal_as_json(judged: Judged) -> dict[str, Any]:
    return {
        "name": judged.goal.name,
        "database": judged.database,
        "limit": judged.goal.limit,
        "tolerance": judged.goal.tolerance,
        "figure": asdict(judged.figure) | {"spread": judged.figure.spread} if judged.figure else None,
        "verdict": judged.verdict,
    }


def write_json(content: Any, file: Path) -> None:
    file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def show_machine(console: Console, machine: dict[str, str]) -> None:
    table = Table(show_header=False, box=None)
    for name, value in machine.items():
        table.add_row(name, value)
    console.print(table)


def show_result(console: Console, result: Result) -> None:
    """Print a scenario's figures: the median of the rounds, the least and the most."""
    table = Table(title=f"{result.scenario}, {result.database}", title_justify="left")
    for heading in ("what", "median", "least", "most", ""):
        table.add_column(heading, justify="left" if heading in {"what", ""} else "right")
    for name, series in result.series.items():
        table.add_row(name, *_figures(summary(series.rounds)), series.unit)
    console.print(table)
    for missing in result.incomplete:
        console.print(f"[red]incomplete: {missing}[/]")


def show_goals(console: Console, goals: Sequence[Judged]) -> None:
    """Print each goal with its ratio: median, least and most of the rounds. `statements` has none."""
    if not goals:
        return
    table = Table(title="goals", title_justify="left")
    for heading in ("goal", "on", "at most", "tolerance", "median", "least", "most", "verdict"):
        table.add_column(heading, justify="left" if heading in {"goal", "on", "verdict"} else "right")
    for judged in goals:
        figures = _figures(judged.figure) if judged.figure else ("", "", "")
        colour = _COLOURS.get(judged.verdict, "yellow")
        goal = judged.goal
        table.add_row(
            goal.name,
            judged.database,
            f"{goal.limit:g}",
            f"{goal.tolerance:.0%}",
            *figures,
            f"[{colour}]{judged.verdict}[/]",
        )
    console.print(table)


def _figures(figure: Summary) -> tuple[str, str, str]:
    return f"{figure.median:,.2f}", f"{figure.least:,.2f}", f"{figure.most:,.2f}"
