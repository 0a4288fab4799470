"""The exit codes, as `changeover --help` tells them."""

from typing import Final

OK: Final = 0
REFUSED: Final = 1
USAGE: Final = 2
NOT_FOUND: Final = 3
ENGINE: Final = 4
SETTINGS: Final = 5
DEFECT: Final = 70
INTERRUPTED: Final = 130

EXIT_CODES: Final = {
    OK: "all is well",
    REFUSED: "refused by a rule: a quote with blockers, a wrong code, a closed change, a change that ended "
    "without being made, findings that need attention",
    USAGE: "bad usage, or a value that cannot be used",
    NOT_FOUND: "no such account, service, server or change",
    ENGINE: "the engine (Temporal or its worker) does not answer; nothing is lost, try the same again",
    SETTINGS: "settings are missing or wrong, the embedded system is not running, or the database is away",
    DEFECT: "a defect of Changeover; --debug shows the traceback",
    INTERRUPTED: "interrupted by Ctrl-C",
}

_OF_PROBLEM: Final = {
    "request-invalid": USAGE,
    "idempotency-key-missing": USAGE,
    "not-found": NOT_FOUND,
    "engine-unavailable": ENGINE,
    "unauthorized": SETTINGS,
}


def of_problem(code: str) -> int:
    """Return the exit code of a problem: most are rules that refuse."""
    return _OF_PROBLEM.get(code, REFUSED)
