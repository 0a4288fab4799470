"""What a line of a log says, and what it never says."""

import asyncio
import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from changeover.telemetry import logs

ADDRESS = "canary.o'brien+x@mail.example"
CODE = "BCDF-GHJK"
SECRETS = (
    ADDRESS,
    CODE,
    "bcdfghjk",
    "chk_s3cret-K",
    "postgresql+asyncpg://us:pass@db/x",
    "?token=T0-ken",
)


Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def written() -> Iterator[Lines]:
    """Configure JSON lines for the test; give what reads those written so far."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    stream = io.StringIO()
    logs.configure("json", "info", stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers[:] = before
    root.setLevel(level)


_log = logging.getLogger("changeover.test")


def test_a_line_is_an_object_with_time_level_logger_and_message(written: Lines) -> None:
    _log.warning("%s servers left", 3)
    (line,) = written()
    assert line["time"].endswith("+00:00")
    assert (line["level"], line["logger"]) == ("warning", "changeover.test")
    assert line["message"] == "3 servers left"


@pytest.mark.usefixtures("written")
@pytest.mark.parametrize(
    "library", ["aiosqlite", "sse_starlette.sse", "temporalio.service", "temporalio.worker._workflow"]
)
def test_at_debug_too_libraries_don_t_log_what_they_carry(library: str) -> None:
    """Parameters of statements, events, payloads after they were decrypted: customers' names are in them."""
    stream = io.StringIO()
    logs.configure("text", "debug", stream)
    logging.getLogger(library).debug("executing %s", "Les Renards")
    _log.debug("ours")
    assert "Les Renards" not in stream.getvalue()
    assert "ours" in stream.getvalue()


def test_lines_of_a_block_are_about_what_it_says_and_no_longer(written: Lines) -> None:
    with logs.about(request_id="r", change_id="c"):
        with logs.about(change_id="d", attempt=2, run_id=None):
            _log.info("inner")
        _log.info("outer")
    _log.info("after")
    inner, outer, after = written()
    assert (inner["request_id"], inner["change_id"], inner["attempt"]) == ("r", "d", 2)
    assert "run_id" not in inner
    assert (outer["change_id"], "attempt" in outer) == ("c", False)
    assert "change_id" not in after


async def test_tasks_side_by_side_are_about_their_own(written: Lines) -> None:
    async def work(name: str) -> None:
        logs.bind(change_id=name)
        await asyncio.sleep(0)
        _log.info(name)

    await asyncio.gather(*(asyncio.create_task(work(name)) for name in ("a", "b", "c")))
    assert all(line["change_id"] == line["message"] for line in written())


def test_ids_that_temporals_loggers_bring_are_told_under_our_names(written: Lines) -> None:
    ids = {
        "workflow_id": "w",
        "workflow_run_id": "r",
        "activity_type": "tear_down",
        "attempt": 3,
        "namespace": "n",
    }
    _log.info("x", extra={"temporal_activity": ids})
    (line,) = written()
    told = {name: line[name] for name in logs.FIELDS if name in line}
    assert told == {"workflow_id": "w", "run_id": "r", "activity": "tear_down", "attempt": 3}
    assert "namespace" not in line


@pytest.mark.parametrize("secret", SECRETS)
def test_no_address_code_key_or_password_is_written(written: Lines, secret: str) -> None:
    _log.info("it said: %s.", secret)
    try:
        int(f"550 <{secret}> unknown")
    except ValueError:
        _log.exception("it failed for %r", secret)
    told = json.dumps(written())
    for part in (secret, "canary", "pass@", "T0-ken", "s3cret"):
        assert part not in told
    assert "ValueError" in told


def test_ids_and_ordinary_words_are_written_as_they_are(written: Lines) -> None:
    text = "plan-change/1b4e28ba-2fa1-11d2-883f-0016d3cca427 HTTP 200 http://127.0.0.1:80 cs2-public 3 x 24"
    _log.info(text)
    assert written()[0]["message"] == text


def test_lines_for_people_have_the_same() -> None:
    record = logging.LogRecord("changeover.x", logging.INFO, __file__, 1, f"to {ADDRESS}", None, None)
    with logs.about(change_id="c"):
        line = logs.TextLines().format(record)
    assert line.endswith("INFO changeover.x: to <address> change_id=c")
