"""`python -m bench.scale`: what so many changes a second need, from what one is measured to cost.

Everything here is counted, none of it timed: events, actions and bytes are held by
`tests/workflows/test_budgets.py`, statements and rows by `tests/activities/test_statements.py`.
docs/scale.md shows the table between two marks; `--write` renews it, and a test compares.
"""

import argparse
import re
from dataclasses import dataclass
from pathlib import Path

from bench import costs
from tests.workflows.costs import PER_SERVER, TEARDOWN, WHOLE_CHANGE

RATES = (1, 100, 10_000)
"""Changes a second."""
PAGE = Path(__file__).parents[1] / "docs/scale.md"
BEGIN, END = "<!-- begin: python -m bench.scale -->", "<!-- end -->"

_DAY = 86_400
_RETENTION_DAYS = 30
_THINKING_SECONDS = 120
"""From mail to code, for the table: an assumption, no figure of ours."""
_MAILS = 2


@dataclass(frozen=True, kw_only=True)
class PerChange:
    """A change that gives one server new limits and destroys another: both of its runs, without retries."""

    events: int = WHOLE_CHANGE.events + PER_SERVER.events + TEARDOWN.events
    actions: int = WHOLE_CHANGE.actions + TEARDOWN.actions
    workflow_tasks: int = WHOLE_CHANGE.tasks + PER_SERVER.tasks + TEARDOWN.tasks
    history_bytes: int = WHOLE_CHANGE.size + PER_SERVER.size + TEARDOWN.size
    statements: int = len(costs.TYPICAL)
    transactions: int = costs.transactions(costs.TYPICAL)
    rows: int = sum(vars(costs.Rows()).values())


def _figures(rate: int, one: PerChange) -> list[tuple[str, str, str]]:
    """Return what a rate needs: what, the formula, the figure."""
    return [
        ("Temporal actions a second", f"{one.actions} r", _number(one.actions * rate)),
        (
            "Temporal actions in 30 days",
            f"{one.actions} r x 86,400 x 30",
            _large(one.actions * rate * _DAY * 30),
        ),
        ("history events a second", f"{one.events} r", _number(one.events * rate)),
        ("workflow tasks a second", f"{one.workflow_tasks} r", _number(one.workflow_tasks * rate)),
        (
            "closed histories kept for 30 days, at most",
            f"{one.history_bytes:,} B x r x 86,400 x 30",
            _bytes(one.history_bytes * rate * _DAY * _RETENTION_DAYS),
        ),
        ("statements of workers a second", f"{one.statements} r", _number(one.statements * rate)),
        ("commits of workers a second", f"{one.transactions} r", _number(one.transactions * rate)),
        ("rows that stay, a day", f"{one.rows} r x 86,400", _large(one.rows * rate * _DAY)),
        ("mails a second", f"{_MAILS} r", _number(_MAILS * rate)),
        ("changes that wait for a code", f"r x {_THINKING_SECONDS} s", _number(rate * _THINKING_SECONDS)),
    ]


def table() -> str:
    """Return the table in Markdown; `r` is the number of changes a second."""
    one = PerChange()
    columns = [_figures(rate, one) for rate in RATES]
    lines = [
        "| | formula | " + " | ".join(f"{rate:,} a second" for rate in RATES) + " |",
        "|---|---|" + "--:|" * len(RATES),
    ]
    for row in zip(*columns, strict=True):
        name, formula, _ = row[0]
        lines.append(f"| {name} | {formula} | " + " | ".join(figure for *_, figure in row) + " |")
    return "\n".join(lines)


def statements() -> str:
    """Return the statements of one such change in Markdown, each with its reason and how often it is said."""
    counted: dict[costs.Statement, int] = {}
    for statement in costs.TYPICAL:
        counted[statement] = counted.get(statement, 0) + 1
    lines = ["| times | statement | what for |", "|--:|---|---|"]
    lines += [f"| {times} | `{said}` | {why} |" for (said, why), times in counted.items()]
    return "\n".join(lines)


def page(text: str) -> str:
    """Return docs/scale.md with its tables as they are now."""
    made = f"{BEGIN}\n{table()}\n\n{statements()}\n{END}"
    return re.sub(f"{re.escape(BEGIN)}.*{re.escape(END)}", lambda _: made, text, flags=re.DOTALL)


def _number(value: int) -> str:
    return f"{value:,}"


def _large(value: int) -> str:
    for size, name in ((10**9, "thousand million"), (10**6, "million")):
        if value >= size:
            return f"{value / size:,.1f} {name}"
    return _number(value)


def _bytes(value: int) -> str:
    for size, name in ((10**15, "PB"), (10**12, "TB"), (10**9, "GB")):
        if value >= size:
            return f"{value / size:,.1f} {name}"
    return f"{value:,} B"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"renew the tables of {PAGE.name}")
    if parser.parse_args().write:
        PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        print(table(), statements(), sep="\n\n")  # noqa: T201 - a command


if __name__ == "__main__":
    main()
