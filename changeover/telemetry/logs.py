"""Logs: one line a record on stderr, as JSON or as text, with the ids that it is about.

The ids come from a context that is set at the edge (an API request, an activity, a workflow), so that no
line has to name them. E-mail addresses, codes and keys never get here: nothing logs them. Were one to come
along in a library's error text, the last step masks it.
"""

import json
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final, Literal, TextIO

from changeover.domain.confirmation import ALPHABET

LogFormat = Literal["json", "text"]
LogLevel = Literal["debug", "info", "warning", "error"]

FIELDS: Final = (
    "request_id",
    "change_id",
    "service_id",
    "workflow_id",
    "run_id",
    "activity",
    "attempt",
    "method",
    "route",
    "status",
    "seconds",
)
"""What a record may be about, in the order in which it is told."""

_TEMPORALS: Final = {
    "workflow_id": "workflow_id",
    "run_id": "run_id",
    "workflow_run_id": "run_id",
    "activity_type": "activity",
    "attempt": "attempt",
}
"""Temporal's names for what its own loggers say of a record, and ours."""

_CARRIERS: Final = ("aiosqlite", "sse_starlette", "temporalio.service", "temporalio.worker")
"""Libraries that log at debug what they carry: parameters of statements, events, payloads decrypted."""

_about: ContextVar[Mapping[str, object]] = ContextVar("about", default=MappingProxyType({}))

_MASKED: Final = (
    (re.compile(r"[^\s@<>]+@[^\s@<>]+"), "<address>"),
    (re.compile(rf"(?<![\w-])[{ALPHABET}]{{4}}-?[{ALPHABET}]{{4}}(?![\w-])", re.IGNORECASE), "<code>"),
    (re.compile(r"\bchk_[\w-]+"), "<key>"),
    (re.compile(r"(?<=token=)[\w-]+"), "<token>"),
)


def bind(**known: object) -> None:
    """Let what this task logs from now on be about `known`; None is nothing."""
    _about.set({**_about.get(), **{name: value for name, value in known.items() if value is not None}})


@contextmanager
def about(**known: object) -> Iterator[None]:
    """Let what the block logs be about `known`."""
    token = _about.set(_about.get())
    try:
        bind(**known)
        yield
    finally:
        _about.reset(token)


def masked(text: str) -> str:
    """Return `text` without addresses, codes and keys."""
    for pattern, instead in _MASKED:
        text = pattern.sub(instead, text)
    return text


def configure(log_format: LogFormat, level: LogLevel, stream: TextIO | None = None) -> None:
    """Send everything that is logged in this process to `stream` (stderr), in this form."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines() if log_format == "json" else TextLines())
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    logging.getLogger("alembic").setLevel(logging.WARNING)
    for library in _CARRIERS:
        logging.getLogger(library).setLevel(max(logging.INFO, root.level))


class _Lines(logging.Formatter):
    def message_of(self, record: logging.LogRecord) -> str:
        return masked(record.getMessage())

    def exception_of(self, record: logging.LogRecord) -> str | None:
        """Return the traceback; it is never kept in the record, where others would find it unmasked."""
        if not record.exc_info or record.exc_info[0] is None:
            return None
        return masked(self.formatException(record.exc_info))


class JsonLines(_Lines):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self.message_of(record),
            **fields_of(record),
        }
        exception = self.exception_of(record)
        if exception is not None:
            line["exception"] = exception
        return json.dumps(line, ensure_ascii=False, default=str)


class TextLines(_Lines):
    """Lines for people."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(" ", timespec="milliseconds")
        fields = "".join(f" {name}={value}" for name, value in fields_of(record).items())
        line = f"{at} {record.levelname} {record.name}: {self.message_of(record)}{fields}"
        exception = self.exception_of(record)
        return line if exception is None else f"{line}\n{exception}"


def fields_of(record: logging.LogRecord) -> dict[str, object]:
    """Return what the record is about: by its own `extra`, by Temporal's, by the context."""
    its_own = vars(record)
    found: dict[str, object] = dict(_about.get())
    for source in ("temporal_workflow", "temporal_activity"):
        temporal = its_own.get(source)
        if isinstance(temporal, Mapping):
            found |= {ours: temporal[name] for name, ours in _TEMPORALS.items() if name in temporal}
    found |= {name: its_own[name] for name in FIELDS if name in its_own}
    return {name: found[name] for name in FIELDS if name in found}
