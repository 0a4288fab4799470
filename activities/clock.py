"""Time in activities, by the Temporal server's clock: a worker's own may be off."""

import time
from datetime import datetime, timedelta

from temporalio import activity


class ServerClock:
    """Counts on from when the server handed the activity out, by a clock that nobody sets."""

    def __init__(self) -> None:
        self._began_at = activity.info().started_time
        self._began = time.monotonic()

    def now(self) -> datetime:
        return self._began_at + timedelta(seconds=time.monotonic() - self._began)
