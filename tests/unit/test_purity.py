"""The domain is pure: the standard library only, and no clock, file, chance or environment.

Workflows are deterministic in the same way, by Temporal's own clock and loop: they run without a sandbox.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import changeover.domain
import workflows

MODULES = sorted(Path(changeover.domain.__file__).parent.rglob("*.py"))
IMPURE_MODULES = {
    "asyncio", "io", "logging", "os", "pathlib", "random", "secrets", "shutil", "socket", "sqlite3",
    "subprocess", "tempfile", "threading", "time", "urllib", "uuid",
}  # fmt: skip
IMPURE_CALLS = {"now", "utcnow", "today", "open", "input", "print"}
WORKFLOWS = sorted(Path(workflows.__file__).parent.rglob("*.py"))
DETERMINISTIC_HERE = {
    "asyncio",
    "uuid",
}  # on Temporal's loop; and of uuid only what is worked out from a name
OTHER_CHANCES = {"uuid1", "uuid4", "getenv", "to_thread", "run_in_executor", "hash", "id"}


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "changeover.domain" if node.level else node.module or ""


def called(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name):
                yield node.func.id
            elif isinstance(node.func, ast.Attribute):
                yield node.func.attr


def test_the_walk_finds_the_domain() -> None:
    assert {"quote.py", "proration.py", "catalogue.py"} <= {module.name for module in MODULES}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_the_domain_imports_the_standard_library_only(module: Path) -> None:
    names = set(imported(ast.parse(module.read_text(encoding="utf-8"))))
    foreign = {name for name in names if not f"{name}.".startswith("changeover.domain.")}
    tops = {name.partition(".")[0] for name in foreign}
    assert tops <= sys.stdlib_module_names - IMPURE_MODULES


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_the_domain_reads_no_clock_and_no_file(module: Path) -> None:
    assert not IMPURE_CALLS & set(called(ast.parse(module.read_text(encoding="utf-8"))))


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_the_domain_holds_no_float(module: Path) -> None:
    tree = ast.parse(module.read_text(encoding="utf-8"))
    assert not [
        node for node in ast.walk(tree) if isinstance(node, ast.Constant) and type(node.value) is float
    ]
    assert "float" not in set(called(tree))


@pytest.mark.parametrize("module", WORKFLOWS, ids=lambda module: module.name)
def test_workflows_import_temporal_the_domain_and_what_is_deterministic(module: Path) -> None:
    names = set(imported(ast.parse(module.read_text(encoding="utf-8"))))
    foreign = {name for name in names if not f"{name}.".startswith(("changeover.domain.", "workflows."))}
    tops = {name.partition(".")[0] for name in foreign} - DETERMINISTIC_HERE
    assert tops <= sys.stdlib_module_names - IMPURE_MODULES | {"temporalio"}


@pytest.mark.parametrize("module", WORKFLOWS, ids=lambda module: module.name)
def test_workflows_read_no_clock_but_temporal_s_and_no_chance(module: Path) -> None:
    tree = ast.parse(module.read_text(encoding="utf-8"))
    calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    names = {call.rpartition(".")[2] for call in calls - {"workflow.now"}}
    assert not names & (IMPURE_CALLS | OTHER_CHANCES)
