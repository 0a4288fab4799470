"""mutmut, which by itself leaves every decorated function alone, made to mutate activities too.

Run as a file, in the copy that is mutated: the copy's own modules must come from the copy.
"""

import sys
from collections.abc import Callable
from typing import Any

import libcst
from mutmut.__main__ import cli
from mutmut.mutation.file_mutation import MutationVisitor

HARMLESS = {"activity.defn", "classified"}
"""Decorators whose function may stand in a class under a second and third name."""

Skip = Callable[[Any, libcst.CSTNode], bool]


def with_activities(skip: Skip) -> Skip:
    def skip_node(self: Any, node: libcst.CSTNode) -> bool:
        if isinstance(node, libcst.FunctionDef):
            names = {libcst.Module([]).code_for_node(it.decorator) for it in node.decorators}
            if names and names <= HARMLESS:
                return False
        return skip(self, node)

    return skip_node


if __name__ == "__main__":
    visitor: Any = MutationVisitor
    visitor._skip_node_and_children = with_activities(visitor._skip_node_and_children)
    sys.exit(cli())
