"""mutmut, which leaves every decorated function alone, made to mutate activities and properties too.

Run as a file, in the copy that is mutated: the copy's own modules must come from the copy.
"""

import sys
from collections.abc import Callable, Iterable
from typing import Any

import libcst
from mutmut.__main__ import cli
from mutmut.mutation import file_mutation

UNDERSTOOD = {"activity.defn", "classified", "property"}
"""Decorators that may stay on the switch between mutants, and be left off the mutants behind it."""

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


if __name__ == "__main__":
    module: Any = file_mutation
    visitor = module.MutationVisitor
    visitor._skip_node_and_children = visiting(visitor._skip_node_and_children)
    module.function_trampoline_arrangement = with_bare_copies(module.function_trampoline_arrangement)
    sys.exit(cli())
