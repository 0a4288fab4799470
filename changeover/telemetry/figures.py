"""The worker's own figures: what was written to the trail, counted once it is committed.

Every transition is an entry of the trail and every entry passes here, whichever activity wrote it. A repeated
activity finds what it recorded, writes nothing and counts nothing. A process that dies between the commit and
the count, or a commit whose answer is lost, leaves a figure one short: it is never one too high.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from changeover.domain.lifecycle import CLOSED, AbandonReason, Stage
from changeover.domain.teardown import STEPS
from changeover.storage.changes import Change, Event, Written

DEFECTS: Final = ("Defect", "Unauthorised", "unknown")
"""Types of failures that the alert ChangeoverDefect is about."""
_CODES: Final = {"code_mailed": "mailed", "code_wrong": "wrong", "committed": "accepted"}
_HUMAN_SECONDS: Final = (15, 30, 60, 120, 300, 600, 1200, 1800, 2700, 3600)
_COMMIT_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_WORK_SECONDS: Final = (0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 6 * 3600, 24 * 3600)
_STEP_SECONDS: Final = (0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 900)


disable_created_metrics()  # type: ignore[no-untyped-call] # a second series for each, which nobody asks for


class Figures:
    """The figures of one worker process. No label names an account, a service or a change."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"changeover_{name}", text, labels, registry=self.registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(f"changeover_{name}", text, labels, buckets=buckets, registry=self.registry)

        self._changes = counter("changes", "Changes closed, by outcome and reason.", "outcome", "reason")
        self._codes = counter("codes", "Codes mailed, typed wrong, accepted.", "result")
        self._mails = counter("mails", "Mails handed over, or refused for good.", "mail", "result")
        self._troubles = counter("troubles", "Times that host work came to wait for an operator.", "work")
        self._failures = counter(
            "activity_failures", "Failed attempts of activities, by type.", "activity", "type"
        )
        self._to_confirm = histogram(
            "request_to_confirm_seconds", "From the request to the code that was accepted.", _HUMAN_SECONDS
        )
        self._to_commit = histogram(
            "confirm_to_commit_seconds", "From the accepted code's arrival to its commit.", _COMMIT_SECONDS
        )
        self._to_completion = histogram(
            "confirm_to_completion_seconds", "From the accepted code to all work done.", _WORK_SECONDS
        )
        self._steps = histogram(
            "teardown_step_seconds", "Steps of teardowns done, and how long each took.", _STEP_SECONDS, "step"
        )
        self._start_at_zero()

    def _start_at_zero(self) -> None:
        """Let what is known beforehand be 0, not absent: a rate needs the value before the first."""
        for reason in AbandonReason:
            self._changes.labels(Stage.ABANDONED, reason)
        self._changes.labels(Stage.COMPLETED, "")
        for result in _CODES.values():
            self._codes.labels(result)
        for mail in ("code", "outcome"):
            for result in ("handed_over", "refused"):
                self._mails.labels(mail, result)
        for step in STEPS:
            self._steps.labels(step)

    def failures_at_zero(self, activities: Iterable[str]) -> None:
        """Let the failures that mean a defect be 0 for these activities: the first one is to be noticed."""
        for activity in activities:
            for kind in DEFECTS:
                self._failures.labels(activity, kind)

    def attempt_failed(self, activity: str, kind: str) -> None:
        """Count one failed attempt; `kind` is of the table in activities/failures.py."""
        self._failures.labels(activity, kind).inc()

    def written(self, entries: Iterable[Written]) -> None:
        """Count entries of the trail that were committed just now."""
        for entry in entries:
            self._count(entry.event)
            self._measure(entry.event, entry.change)

    def _count(self, event: Event) -> None:
        data: dict[str, Any] = event.data or {}
        if event.event in _CODES:
            self._codes.labels(_CODES[event.event]).inc()
        if event.event in {stage.value for stage in CLOSED}:
            self._changes.labels(event.event, data.get("reason", "")).inc()
        match event.event:
            case "code_mailed":
                self._mails.labels("code", "handed_over").inc()
            case "abandoned" if data["reason"] == AbandonReason.MAIL_REFUSED:
                self._mails.labels("code", "refused").inc()
            case "outcome_mailed":
                self._mails.labels("outcome", "handed_over" if data["taken"] else "refused").inc()
            case "needs_attention":
                self._troubles.labels(data["work"]).inc()

    def _measure(self, event: Event, change: Change) -> None:
        if event.took is not None:
            self._steps.labels(event.took.step).observe(event.took.seconds)
        match event.event:
            case "committed":
                self._to_confirm.observe((event.at - change.as_of).total_seconds())
                # By this machine's clock: one that is off shows here.
                self._to_commit.observe(max(0.0, (datetime.now(UTC) - event.at).total_seconds()))
            case "completed" if change.committed_at is not None:
                self._to_completion.observe((event.at - change.committed_at).total_seconds())

    def text(self) -> bytes:
        return generate_latest(self.registry)
