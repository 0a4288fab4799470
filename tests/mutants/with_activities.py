"""mutmut, made to mutate activities and properties too, and to collect the tests once for all mutants.

Run as a file, in the copy that is mutated: the copy's own modules must come from the copy.
"""

import contextlib
import os
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import libcst
import pytest
from greenlet import getcurrent, greenlet  # type: ignore[import-untyped]
from mutmut.__main__ import cli
from mutmut.mutation import file_mutation
from mutmut.workers import isolation

UNDERSTOOD = {"activity.defn", "classified", "property"}
"""Decorators that may stay on the switch between mutants, and be left off the mutants behind it. A function
with any other is left alone."""

SUSPICIOUS = 35
"""What mutmut takes for neither noticed nor missed."""

Skip = Callable[[Any, libcst.CSTNode], bool]
Arrange = Callable[[libcst.FunctionDef, Iterable[Any], str | None], tuple[Any, Any, Any, Any]]


def is_understood(function: libcst.FunctionDef) -> bool:
    names = {libcst.Module([]).code_for_node(it.decorator) for it in function.decorators}
    return bool(names) and names <= UNDERSTOOD


def visiting(skip: Skip) -> Skip:
    def skip_node(self: Any, node: libcst.CSTNode) -> bool:
        return not (isinstance(node, libcst.FunctionDef) and is_understood(node)) and skip(self, node)

    return skip_node


def with_bare_copies(arrange: Arrange) -> Arrange:
    def arranged(
        function: libcst.FunctionDef, mutants: Iterable[Any], class_name: str | None
    ) -> tuple[Any, Any, Any, Any]:
        declared, (switch, *copies), assigned, names = arrange(function, mutants, class_name)
        if is_understood(function):
            copies = [copy.with_changes(decorators=[]) for copy in copies]
        return declared, [switch, *copies], assigned, names

    return arranged


class CollectedOnce(isolation.ForkRunner):
    """Collects the tests before the first mutant: each one's process goes on from there.

    Starting pytest anew for every mutant costs more than most tests do.
    """

    _collected: greenlet

    def startup(self) -> None:
        runner: Any = self.test_runner
        arguments = ["--rootdir=.", "--tb=no", "-q", "-s", *runner._pytest_add_cli_args]
        arguments += runner._pytest_add_cli_args_test_selection
        stop = StopBeforeTheTests()
        self._collected = greenlet(lambda: pytest.main(arguments, plugins=[stop]))
        nowhere = Path(os.devnull).open("w")  # noqa: SIM115 - the children write to it
        with (
            contextlib.chdir("mutants"),
            contextlib.redirect_stdout(nowhere),
            contextlib.redirect_stderr(nowhere),
        ):
            self._collected.switch()
        if self._collected.dead:
            raise SystemExit("the tests can't be collected")
        runner.run_tests = self._run_in_child
        super().startup()

    def run_clean_tests(self, tests: Iterable[str]) -> int:
        """Return at once: the run that found out which test calls what was clean."""
        del tests
        return 0

    def _run_in_child(self, *, mutant_name: str | None, tests: Iterable[str]) -> int:
        del mutant_name
        os.chdir("mutants")
        give_threads()
        return int(self._collected.switch(list(tests)))


def give_threads() -> None:
    """Replace the pools that a fork has of its parent: their threads didn't come along."""
    for name, module in list(sys.modules.items()):
        if name.startswith("changeover."):
            for pool, value in list(vars(module).items()):
                if isinstance(value, ThreadPoolExecutor):
                    setattr(module, pool, ThreadPoolExecutor(value._max_workers))


class StopBeforeTheTests:
    """Gives control back when the tests are collected, and runs those that are named when it has it again."""

    def __init__(self) -> None:
        self._caller = getcurrent()

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        collected = {item.nodeid: item for item in session.items}
        names = self._caller.switch()
        if not collected.keys() >= set(names):
            os._exit(SUSPICIOUS)
        wanted = [collected[name] for name in names]
        for item, following in zip(wanted, [*wanted[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if session.testsfailed:
                break
        os._exit(int(session.testsfailed > 0))


if __name__ == "__main__":
    module: Any = file_mutation
    visitor = module.MutationVisitor
    visitor._skip_node_and_children = visiting(visitor._skip_node_and_children)
    module.function_trampoline_arrangement = with_bare_copies(module.function_trampoline_arrangement)
    isolation.ForkRunner = CollectedOnce  # type: ignore[misc]
    sys.exit(cli())
