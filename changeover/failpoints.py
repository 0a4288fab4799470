"""Named moments at which a test can kill, freeze or fail a process. Off unless `arm` finds its variable.

`CHANGEOVER_FAILPOINTS` is for tests and is never set in production: it makes processes die. Each entry is
`NAME=KIND[:SECONDS][@FIRST[-LAST]]`, entries are separated by commas:

    CHANGEOVER_FAILPOINTS="judged.accepted=kill@1,host.delete_data=raise@1-3,mail.taken=sleep:2"

| kind | what happens |
|---|---|
| `kill` | SIGKILL to the process itself |
| `freeze` | SIGSTOP: nothing of it runs until someone sends SIGCONT |
| `hang` | the thread that came by sleeps for ever |
| `sleep` | it sleeps for SECONDS |
| `raise` | it meets an input/output error |

`@FIRST-LAST` says at which passes (the first is 1); without it, at every one.
"""

import errno
import os
import re
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass

VARIABLE = "CHANGEOVER_FAILPOINTS"

NAMES = (
    "api.asked",  # the engine has answered a request; the customer has not been
    "request.recorded",  # the row is committed; the workflow doesn't know it yet
    "mail.before",  # about to speak to the mail server
    "mail.taken",  # the mail server has said 250; nobody else knows
    "commit.before",  # all of the commit is written, COMMIT isn't said
    "judged.accepted",  # committed; the workflow doesn't know it yet
    "code_requested.recorded",  # a new code is opened; the workflow doesn't know it yet
    "abandoned.recorded",  # the change is abandoned by order; the workflow doesn't know it yet
    "judged.wrong",  # the try is counted; the workflow doesn't know it yet
    "transaction.before",  # before the COMMIT of any write
    "transaction.after",  # behind the COMMIT of any write
    "host.create",
    "host.limits",
    "host.delete_backup",
    "host.delete_data",
    "host.release_address",
    "work.done",  # the host has created a server or applied limits; that isn't recorded
    "teardown.record",  # each step: the host has done it, its receipt isn't written
    "teardown.stop",
    "teardown.delete_backups",
    "teardown.delete_data",
    "teardown.verify_gone",
    "teardown.release_address",
    "completed.recorded",  # the change is completed; the workflow doesn't know it yet
)

_ENTRY = re.compile(
    r"(?P<name>[a-z_.]+)=(?P<kind>kill|freeze|hang|raise|sleep:(?P<seconds>\d+(\.\d+)?))"
    r"(@(?P<first>\d+)(-(?P<last>\d+))?)?"
)
_FOR_EVER = 1_000_000_000


class FailpointsInvalid(ValueError):
    """The variable names no failpoint, or isn't written as it must be."""


@dataclass
class _Point:
    kind: str
    seconds: float
    first: int
    last: int
    passes: int = 0

    def strike(self) -> None:
        self.passes += 1
        if not self.first <= self.passes <= self.last:
            return
        if self.kind == "raise":
            raise OSError(errno.EIO, "a failpoint")
        if self.kind in {"kill", "freeze"}:
            os.kill(os.getpid(), signal.SIGKILL if self.kind == "kill" else signal.SIGSTOP)
            time.sleep(1)  # a thread may run on for a moment, before the signal reaches it
        else:
            time.sleep(self.seconds)


_armed: dict[str, _Point] | None = None


def reach(name: str) -> None:
    """Come by the failpoint `name`: nothing at all unless it is armed."""
    if _armed is not None and name in _armed:
        _armed[name].strike()


def arm(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Arm what the variable names, and return the names. Raises `FailpointsInvalid`."""
    global _armed  # noqa: PLW0603 - one process, one set of failpoints
    given = environ.get(VARIABLE, "")
    points = dict(_parse(entry.strip()) for entry in given.split(",")) if given.strip() else None
    _armed = points
    return tuple(points or ())


def _parse(entry: str) -> tuple[str, _Point]:
    found = _ENTRY.fullmatch(entry)
    if found is None:
        raise FailpointsInvalid(f"{VARIABLE}: {entry!r} is not NAME=KIND[:SECONDS][@FIRST[-LAST]]")
    if found["name"] not in NAMES:
        raise FailpointsInvalid(f"{VARIABLE}: there is no failpoint {found['name']}")
    first = int(found["first"] or 1)
    last = int(found["last"] or (found["first"] or _FOR_EVER))
    seconds = float(found["seconds"] or _FOR_EVER)
    return found["name"], _Point(found["kind"].partition(":")[0], seconds, first, last)
