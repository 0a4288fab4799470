"""What goes into history when an activity fails: a type, a sentence, and never a secret or an address.

Failures are raised outside of any `except`, since an error raised inside one carries the other along.

| type | tried again | who mends it |
|---|---|---|
| `DatabaseUnavailable` | for ever | the operator of the database |
| `TemporalUnavailable` | a few times; the next look comes by itself | the operator of Temporal |
| `HostUnavailable` | for hours, then needs attention | the host, mostly by itself |
| `HostRefused` | no: needs attention at once | an operator |
| `MailDeferred` | until the deadline | the mail server, mostly by itself |
| `MailMisconfigured` | slowly, until the deadline | an operator |
| `CodeKeyMissing` | until the window ends | an operator, who puts the key back |
| `Unauthorised` | no | nobody: no committed change orders it |
| `Defect` | for ever, so that a new release mends it | us |
"""

import asyncio
import functools
import logging
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from sqlalchemy.exc import SQLAlchemyError
from temporalio.activity import in_activity, info
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from changeover.hosts import HostRefused, HostUnavailable
from changeover.mail import MailDeferred, MailMisconfigured
from changeover.storage.database import condition

Order = TypeVar("Order")
Result = TypeVar("Result")

_log = logging.getLogger(__name__)


class Unauthorised(Exception):
    """An order names what no row of the database knows or allows; nothing was touched."""


class CodeKeyMissing(Exception):
    """The key of an open change's code was removed from the settings; nothing was judged or sent."""


class FailedKnowing(Exception):
    """An attempt failed with `failure`, and whoever goes on must hear what was `known` by then.

    The next attempt hears the last heartbeat. When no time is left for one, the run hears the failure alone:
    each tells what its attempt knew, or those before it.
    """

    def __init__(self, failure: Exception, *known: object) -> None:
        super().__init__(failure)
        self.failure = failure
        self.known = known


def classified(
    activity: Callable[[Any, Order], Awaitable[Result]],
) -> Callable[[Any, Order], Coroutine[Any, Any, Result]]:
    """Make every failure of an activity a clean one of the table above."""

    @functools.wraps(activity)
    async def run(self: Any, order: Order) -> Result:
        failure: BaseException
        try:
            return await activity(self, order)
        except asyncio.CancelledError:
            failure = asyncio.CancelledError()  # a new one, which carries nothing along
        except FailedKnowing as error:
            failure = _classify(error.failure, activity.__name__, *error.known)
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not reach history as it is
            failure = _classify(error, activity.__name__, *_known_before())
        raise failure

    return run


def _known_before() -> Sequence[Any]:
    """Return what the attempts before this one left."""
    return info().heartbeat_details if in_activity() else ()


_PAUSES = {"MailMisconfigured": timedelta(minutes=1)}
_FINAL = (HostRefused, Unauthorised)
_OUR_WORDS = (CodeKeyMissing, HostRefused, HostUnavailable, MailDeferred, MailMisconfigured, Unauthorised)
"""Errors whose text is written for operators: no secret and no address is in it."""


def _classify(error: Exception, activity: str, *known: object) -> ApplicationError:
    kind = type(error).__name__
    if isinstance(error, _OUR_WORDS):
        final = isinstance(error, _FINAL)
        return ApplicationError(
            str(error), *known, type=kind, non_retryable=final, next_retry_delay=_PAUSES.get(kind)
        )
    if isinstance(error, SQLAlchemyError | OSError):
        message = f"the database did not answer as it should ({condition(error)})"
        _log.warning("%s: %s", activity, message)
        return ApplicationError(message, *known, type="DatabaseUnavailable")
    if isinstance(error, RPCError):
        message = f"Temporal did not answer as it should ({error.status.name})"
        return ApplicationError(message, *known, type="TemporalUnavailable")
    # The error's own text may hold an address: where it happened is enough to find it.
    where = "".join(traceback.format_tb(error.__traceback__))
    _log.error("%s: a defect: %s\n%s", activity, kind, where)
    message = f"a defect in {activity}: {kind}; see the worker's log"
    return ApplicationError(message, *known, type="Defect")
