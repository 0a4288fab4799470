"""The fault matrix: the faults, what must hold under each, and what shows it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.faults.story import Story
from tests.faults.system import POSTGRESQL, SQLITE

Act = Callable[[Story], Awaitable[None]]
BOTH = (SQLITE, POSTGRESQL)

FAULTS: dict[int, tuple[str, str, tuple[str, ...]]] = {
    1: ("request", "the same confirm 20 times in parallel, same and different keys", ("I7",)),
    2: ("request", "killed after the row, before the answer", ("I9",)),
    3: ("request", "Temporal down, then back", ("I7", "I9")),
    4: ("request", "another account's service", ("I14",)),
    5: ("mail", "450, then 250", ("I12",)),
    6: ("mail", "550 for the recipient", ("I16",)),
    7: ("mail", "connection lost after the final dot", ("I5",)),
    8: ("mail", "hang after the dot", ("I9", "I12")),
    9: ("mail", "550 and then the server hangs on RSET", ("I16",)),
    10: ("mail", "STARTTLS stripped, bad certificate, bad password", ("I12",)),
    11: ("mail", "killed after 250", ("I5", "I12")),
    12: ("mail", "CR/LF or two addresses in the account's address", ("I12",)),
    13: ("wait", "50 wrong guesses in parallel", ("I6",)),
    14: ("wait", "the right code 20 times in parallel", ("I5", "I2")),
    15: ("wait", "old code after a new one; code of another change", ("I5", "I14")),
    16: ("wait", "killed after a guess is counted", ("I6",)),
    17: ("wait", "confirm at the deadline, either side", ("I16",)),
    18: ("wait", "worker down across the deadline", ("I9", "I16")),
    19: ("wait", "operator terminates or resets the workflow", ("I9", "I2")),
    20: ("wait", "what was confirmed is no longer so: stale", ("I16",)),
    21: ("wait", "renewal", ("I2",)),
    22: ("commit", "killed before, and after, COMMIT", ("I2", "I8")),
    23: ("commit", "connection cut at COMMIT", ("I2",)),
    24: ("commit", "serialization failures and deadlocks", ("I2",)),
    25: ("commit", "SQLite busy, disk full", ("I2", "I9")),
    26: ("commit", "PostgreSQL stopped at once and restarted", ("I2", "I9")),
    27: ("teardown", "host down for 6 h", ("I4", "I9")),
    28: ("teardown", "one of three servers fails for ever", ("I1", "I9")),
    29: ("teardown", "deleted, but the answer lost", ("I1", "I4")),
    30: ("teardown", "a frozen worker wakes up after its address was given on", ("I4",)),
    31: ("teardown", "backups refuse to go", ("I4",)),
    32: ("any", "SIGKILL of the worker at each event of a golden history", ("I1", "I2", "I5", "I9")),
    33: ("any", "Temporal killed and restarted (database file)", ("I9",)),
    34: ("any", "changed workflow code against recorded histories", ("I15",)),
    35: ("any", "daylight-saving day; clock 10 min off", ("I2", "I5")),
    36: ("any", "canary search for code and e-mail address", ("I10",)),
    37: ("API", "schemathesis on the OpenAPI document; every route x two accounts", ("I14",)),
    38: ("request", "API killed after a mark; its clock set back between quote and confirm", ("I1", "I2")),
    39: ("mail", "outcome greylisted; killed or frozen as it mails", ("I5", "I12")),
    40: ("wait", "killed after it abandoned, or opened a new code", ("I9", "I13")),
    41: ("any", "PostgreSQL's connection cut at other transactions than the commit", ("I2", "I13")),
    42: ("any", "PostgreSQL, or the way to it, falls silent and tells nobody", ("I2", "I9")),
    43: ("commit", "a worker frozen within the transaction", ("I2", "I9")),
    44: ("any", "Temporal frozen, and thawed", ("I2", "I9")),
    45: ("commit", "API killed after the commit it asked for", ("I2", "I5")),
    46: ("teardown", "disk full between two receipts", ("I4", "I9")),
    47: ("teardown", "the host's calls hang", ("I1", "I4", "I9")),
    48: ("teardown", "the host's folder is read-only", ("I1", "I4", "I9")),
    49: ("any", "PostgreSQL takes no writes, or lets nobody in", ("I2", "I9")),
    50: ("any", "PostgreSQL's disk full at a request, a code, a receipt, an outcome", ("I2", "I9")),
    51: ("any", "Temporal has lost all it knew", ("I1", "I2", "I9")),
}
"""Number: stage, fault, and the invariants that each of its scenarios must touch, and hold."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One way to bring a fault about. `sample` is the database on which each CI run tries it, if any."""

    fault: int
    name: str
    act: Act
    databases: tuple[str, ...]
    sample: str | None
    touches: tuple[str, ...]

    @property
    def stage(self) -> str:
        return FAULTS[self.fault][0]

    @property
    def must_touch(self) -> tuple[str, ...]:
        return (*FAULTS[self.fault][2], *self.touches)


SCENARIOS: list[Scenario] = []


def scenario(
    fault: int,
    *,
    databases: tuple[str, ...] = BOTH,
    sample: str | None = None,
    touches: tuple[str, ...] = (),
) -> Callable[[Act], Act]:
    """Register a scenario. Its name is the function's; `touches` are further invariants it is about."""

    def register(act: Act) -> Act:
        name = act.__name__.replace("_", " ")
        SCENARIOS.append(
            Scenario(fault=fault, name=name, act=act, databases=databases, sample=sample, touches=touches)
        )
        return act

    return register
