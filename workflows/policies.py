"""How long things may take, and how they are tried again."""

from datetime import timedelta

from temporalio.common import RetryPolicy

LOCAL_TRANSACTION = timedelta(seconds=8)
"""A short transaction runs inside the workflow task; when the database is away longer, as an activity."""

LOCAL_RETRY = RetryPolicy(
    initial_interval=timedelta(milliseconds=100), maximum_interval=timedelta(seconds=1), maximum_attempts=8
)
"""Five seconds of failures. The attempts are what ends them: the SDK applies `LOCAL_TRANSACTION` to an
attempt that hangs, and never between two attempts (measured with temporalio 1.35.0)."""

TRANSACTION = timedelta(seconds=30)
PATIENT_RETRY = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=30))

MAIL_ATTEMPT = timedelta(minutes=3)
MAIL_RETRY = RetryPolicy(initial_interval=timedelta(seconds=2), maximum_interval=timedelta(minutes=1))
OUTCOME_MAIL_AT_ONCE = timedelta(seconds=5)
"""How long a run stays open for its outcome mail, before the mail gets a run of its own: less than a
customer's next request waits (10 s), since this run is the service's lock."""
OUTCOME_MAIL_TAKEN_UP = timedelta(seconds=3)
"""How much of that it may stand in the queue. One that was not taken up is under way nowhere."""
OUTCOME_MAIL_UNDER_WAY = timedelta(seconds=30)
"""How long the mail's own run leaves alone an attempt that was under way: as long as a mail server's answer
may take. It would send a second mail beside it."""
OUTCOME_MAIL_PATIENCE = timedelta(days=1)

HOST_ATTEMPT = timedelta(hours=2)
HOST_PATIENCE = timedelta(hours=6)
"""How long failing host work is retried before it needs attention."""
HOST_RETRY = RetryPolicy(initial_interval=timedelta(seconds=2), maximum_interval=timedelta(minutes=1))
"""A host that is back is found so within a minute: a customer may wait for a new server."""

HEARTBEAT = timedelta(seconds=15)
"""A worker that says nothing for so long is gone, and the activity is given to another."""

CHILD_RESTART = timedelta(minutes=1)
FIRST_LOOK = timedelta(seconds=5)
LONGEST_LOOK = timedelta(minutes=10)

CHECK_RETRY = RetryPolicy(maximum_attempts=3)
"""A check of the reconciler that can't be made is left for the next look."""
