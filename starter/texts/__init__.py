"""Everything that people read in panel, API and command line, in French and English.

`Texts("fr").problem(problem)` says a refusal as the host would; stages, reasons and events
have their texts too.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from changeover.domain.problems import Problem
from starter.texts import names
from starter.texts.problems import PROBLEM_TEXTS
from starter.texts.words import LANGUAGES, N_, Words

__all__ = ["LANGUAGES", "N_", "Texts"]


class Texts(Words):
    """The texts of one language. What has no text is shown by its code, never an error."""

    def problem(self, problem: Problem) -> tuple[str, str]:
        """Return the title of a problem, with its figures, and the advice: what to do about it."""
        return PROBLEM_TEXTS[problem.code](self, problem)

    def stage(self, stage: str) -> str:
        return self._named(names.STAGES, stage)

    def reason(self, reason: str) -> str:
        """Say why a change came to nothing: a reason of abandoning, or the problem it was rejected for."""
        return self._named(names.REASONS, reason)

    def cause(self, cause: str) -> str:
        """Say what had changed when a change was abandoned as stale."""
        return self._named(names.CAUSES, cause)

    def step(self, step: str) -> str:
        """Name a step of a teardown."""
        return self._named(names.STEPS, step)

    def work(self, work: str) -> str:
        """Name a kind of host work."""
        return self._named(names.WORK, work)

    def server_state(self, state: str) -> str:
        return self._named(names.SERVER_STATES, state)

    def task_state(self, state: str) -> str:
        return self._named(names.TASK_STATES, state)

    def event(self, event: str, data: Mapping[str, Any] | None = None) -> str:
        """Say what happened, from an entry of the trail. An operator's problem texts are not in it."""
        data = data or {}
        said = self._named(names.EVENTS, event)
        details = [
            *([str(data["server"])] if data.get("server") else []),
            *(
                [self.reason(data["reason"])]
                if event in {"rejected", "abandoned"} and "reason" in data
                else []
            ),
            *([self.cause(data["cause"])] if data.get("cause") else []),
            *([self._new_expiry(data["new_expires_at"])] if "new_expires_at" in data else []),
        ]
        return self._("{what}: {details}", what=said, details=", ".join(details)) if details else said

    def _new_expiry(self, moment: str) -> str:
        return self._("new expiry {date}", date=self.date(datetime.fromisoformat(moment)))

    def _named(self, table: Mapping[str, str], code: str) -> str:
        return self.translate(table[code]) if code in table else code
