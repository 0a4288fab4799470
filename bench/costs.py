"""What one change says to the database, statement by statement, each with its reason. No time, no noise.

Both databases are told the same (`tests/activities/test_statements.py` compares, and changes the number of
servers: only what is recorded server by server grows). `BEGIN` and `COMMIT` aren't counted.
"""

from dataclasses import dataclass

Statement = tuple[str, str]
"""`VERB table`, and what for."""

_LOCKED: Statement = ("SELECT plan_changes", "its service's lock, then its own, and its state under both")
_TRAIL: Statement = ("INSERT trail", "what happened, all of it at once")
_CATALOGUE: Statement = ("SELECT catalogues", "whether the catalogue in memory is the one in force")
_FACTS: list[Statement] = [
    (
        "SELECT services",
        "the service, its open change, its account's passes, free addresses, the catalogue: one state",
    ),
    ("SELECT servers", "its servers, and which are marked"),
]
_MAIL: Statement = (
    "SELECT plan_changes",
    "what the mail is about, whom it goes to, in which language, and the catalogue that names it",
)

OPEN: list[Statement] = [
    ("SELECT services", "its lock, which comes before the change's everywhere"),
    ("SELECT plan_changes", "the same request, if it was opened before"),
    *_FACTS,
    ("INSERT plan_changes", "the change"),
    _TRAIL,
]
CODE_MAIL: list[Statement] = [
    _MAIL,
    _LOCKED,
    ("UPDATE plan_changes", "since when, and until when, its code is valid"),
    _TRAIL,
]
_JUDGE_HEAD: list[Statement] = [
    ("SELECT plan_changes", "the locks of its service and its account, then its own, and its state"),
    *_FACTS,
]
JUDGE: list[Statement] = [
    *_JUDGE_HEAD,
    ("UPDATE services", "configuration and expiry"),
    ("UPDATE servers", "all that are given up"),
    ("INSERT tasks", "all work on hosts"),
    ("UPDATE plan_changes", "committed"),
    _TRAIL,
]
JUDGE_CREATING: list[Statement] = [
    *_JUDGE_HEAD,
    ("SELECT addresses", "free ones, locked"),
    ("UPDATE services", "configuration and expiry"),
    ("INSERT servers", "all new ones"),
    ("UPDATE addresses", "all that they get"),
    ("INSERT tasks", "all work on hosts"),
    ("UPDATE plan_changes", "committed"),
    _TRAIL,
]
_WORK: list[Statement] = [
    ("SELECT tasks", "that the change is committed, and what is left to do, all servers at once"),
]
LIMITS = _WORK
LIMITS_PER_SERVER: list[Statement] = [_LOCKED, ("UPDATE tasks", "done"), _TRAIL]
CREATE: list[Statement] = [_CATALOGUE, *_WORK]
CREATE_PER_SERVER: list[Statement] = [
    _LOCKED,
    ("UPDATE tasks", "done"),
    ("UPDATE servers", "the server is active"),
    _TRAIL,
]
APPLYING: Statement = ("UPDATE plan_changes", "applying: once, by whatever work is done first")
_NAMED: Statement = (
    "SELECT tasks",
    "whether a committed change still names the server, before each step, and which steps are done",
)
_STEP: list[Statement] = [
    _LOCKED,
    _NAMED,
    ("INSERT receipts", "the evidence of the step"),
    _TRAIL,
]
TEAR_DOWN: list[Statement] = [
    _NAMED,
    *6 * _STEP,
    ("UPDATE addresses", "released, into quarantine"),
    ("UPDATE tasks", "done"),
    ("UPDATE servers", "destroyed"),
]
COMPLETE: list[Statement] = [
    _LOCKED,
    ("SELECT tasks", "whether work is left"),
    ("UPDATE plan_changes", "completed"),
    _TRAIL,
]
OUTCOME_MAIL: list[Statement] = [
    _MAIL,
    ("SELECT trail", "whether it was mailed before"),
    ("SELECT tasks", "servers destroyed and created, for the text"),
    _LOCKED,
    ("SELECT trail", "whether another worker was faster"),
    _TRAIL,
]


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Rows that stay of one change: `TYPICAL` of it, nothing is deleted."""

    plan_changes: int = 1
    tasks: int = 2
    trail: int = 14
    receipts: int = 6


TYPICAL: list[Statement] = [
    *OPEN,
    *CODE_MAIL,
    *JUDGE,
    *LIMITS,
    *LIMITS_PER_SERVER,
    APPLYING,
    *TEAR_DOWN,
    *COMPLETE,
    *OUTCOME_MAIL,
]
"""A change that gives one server new limits and destroys another, by the worker."""


def transactions(statements: list[Statement]) -> int:
    """Return how many transactions write: each appends to the trail once."""
    return statements.count(_TRAIL)
