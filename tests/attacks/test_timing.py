"""No proof and no key is compared letter by letter. No time is measured: how they are compared is read."""

import ast
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from changeover import codes
from starter.api.keys import ApiKeys

ROOT = Path(__file__).parents[2]
SOURCES = [ROOT / name for name in ("changeover", "workflows", "activities", "starter")]
SECRET = {"proof", "accepted_proof", "hash"}
BY_EQUALITY = (ast.Eq, ast.NotEq, ast.In, ast.NotIn)


def is_secret(node: ast.expr) -> bool:
    return getattr(node, "attr", getattr(node, "id", None)) in SECRET


def is_column(node: ast.expr) -> bool:
    """Say whether it is `table.c.something`: that is compared by the database, which looks it up."""
    return isinstance(node, ast.Attribute) and getattr(node.value, "attr", None) == "c"


def compared_by_equality(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare) and any(isinstance(it, BY_EQUALITY) for it in node.ops):
            operands = [node.left, *node.comparators]
            if any(map(is_secret, operands)) and not any(map(is_column, operands)):
                yield ast.unparse(node)


@pytest.mark.parametrize("way", [codes.matches, ApiKeys.check])
def test_proofs_and_keys_are_compared_in_constant_time(way: Callable[..., Any]) -> None:
    assert "hmac.compare_digest(" in inspect.getsource(way)


def test_no_proof_and_no_hash_is_compared_by_equality() -> None:
    files = [file for folder in SOURCES for file in folder.rglob("*.py")]
    found = {file.name: list(compared_by_equality(file.read_text(encoding="utf-8"))) for file in files}
    assert {name: where for name, where in found.items() if where} == {}


@pytest.mark.parametrize("line", ["change.accepted_proof == given", "proof != kept", "proof in proofs"])
def test_one_that_is_would_be_found(line: str) -> None:
    assert list(compared_by_equality(line)) == [line]
