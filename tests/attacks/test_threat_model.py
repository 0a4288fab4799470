"""Every line of the threat model names a test that there is."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "threat-model.md"
NAMED = re.compile(r"\[([a-z0-9_/]+\.py)::(test_\w+)\]")


def lines() -> list[str]:
    return PAGE.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize(("file", "name"), sorted(set(NAMED.findall(PAGE.read_text(encoding="utf-8")))))
def test_a_test_that_the_threat_model_names_is_there(file: str, name: str) -> None:
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    found = {it.name for it in tree.body if isinstance(it, ast.FunctionDef | ast.AsyncFunctionDef)}
    assert name in found, f"{file} has no {name}: mend docs/threat-model.md"


def test_every_line_of_a_table_names_its_test() -> None:
    rows = [line for line in lines() if line.startswith("| ") and line.split("|")[-2].strip() != "test"]
    assert len(rows) >= 30
    assert [row for row in rows if not NAMED.search(row)] == []
