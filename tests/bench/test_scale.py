"""docs/scale.md shows what is counted, and names only what exists."""

import re

from bench import costs
from bench.scale import PAGE, PerChange, page
from changeover.settings import VARIABLES
from tests.house.test_operations import told
from tests.workflows.costs import PER_SERVER, TEARDOWN, WHOLE_CHANGE

TEXT = PAGE.read_text(encoding="utf-8")


def test_the_tables_are_those_of_the_measured_costs() -> None:
    assert page(TEXT) == TEXT, "python -m bench.scale --write"


def test_the_formulas_for_more_servers_are_those_of_the_measured_costs() -> None:
    per_server = len(costs.TEAR_DOWN)
    for formula in (
        f"events `{WHOLE_CHANGE.events} + {PER_SERVER.events + TEARDOWN.events} s`",
        f"actions `{WHOLE_CHANGE.actions} + {TEARDOWN.actions} s`",
        f"bytes at most `{WHOLE_CHANGE.size:,} + {PER_SERVER.size + TEARDOWN.size:,} s`",
        f"`{PerChange().statements - per_server} + {per_server} s`",
    ):
        assert formula in " ".join(TEXT.split()), formula


def test_every_metric_and_setting_that_the_page_names_exists() -> None:
    assert set(re.findall(r"\bchangeover_[a-z_]+", TEXT)) <= set(told())
    assert set(re.findall(r"\bCHANGEOVER_[A-Z_]+", TEXT)) <= set(VARIABLES)
