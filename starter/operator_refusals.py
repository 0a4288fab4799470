"""What an operator's order is refused with, beside the problems of the domain. Any command tells it."""

from typing import ClassVar


class NothingWaits(Exception):
    """No task of the change waits for an operator (at that server)."""

    code: ClassVar[str] = "nothing-waits"


class RunGone(Exception):
    """The workflow that should act has ended or was terminated; `workflow_id` is where it was looked for."""

    code: ClassVar[str] = "run-gone"

    def __init__(self, workflow_id: str) -> None:
        super().__init__(workflow_id)
        self.workflow_id = workflow_id
