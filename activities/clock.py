"""Time in activities, by the Temporal server's clock: a worker's own may be off."""

import time
from datetime import datetime, timedelta

from temporalio import activity

MOST_AHEAD = timedelta(minutes=1)
"""How far the clocks of a Temporal cluster's own machines may be apart."""
_MOST_BEHIND = timedelta(hours=1)


class ServerClock:
    """Counts on from when the server handed the activity out, by a clock that nobody sets."""

    def __init__(self) -> None:
        self._began_at = activity.info().started_time
        self._began = time.monotonic()

    def now(self) -> datetime:
        return self._began_at + timedelta(seconds=time.monotonic() - self._began)

    def believed(self, told: datetime) -> datetime:
        """Return the time that an order tells, unless the server's shows that it can't be true: then that.

        Who can write to Temporal can order with any time; what hours of retries made old is taken for now.
        """
        now = self.now()
        return told if now - _MOST_BEHIND <= told <= now + MOST_AHEAD else now
