"""pip-audit's word reaches the reader: clean, weak, or not asked, which is neither."""

import json
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from supply.audit import CLEAN, IGNORED, NOT_ASKED, WEAK, Ignored, audit, in_force, read_ignored, weaknesses
from supply.pins import Pin, pins

KNOWN = Ignored(id="GHSA-tiny", package="tiny", version="1.0", reason="not reached", until=date(2026, 6, 30))
TINY = [Pin(name="tiny", version="1.0")]


@contextmanager
def weakness_database(weak: str) -> Iterator[str]:
    """Answer as OSV does: one weakness of the package `weak`, none of others; give its URL."""

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["package"]["name"]
            affected = {
                "package": {"name": asked, "ecosystem": "PyPI"},
                "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.1"}]}],
            }
            found: dict[str, Any] = {"vulns": [{"id": "GHSA-tiny", "affected": [affected]}]}
            body = json.dumps(found if asked == weak else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    file = tmp_path / "all.txt"
    file.write_text(f"tiny==1.0 --hash=sha256:{'0' * 64}\nsound==2.0 --hash=sha256:{'1' * 64}\n")
    return file


def test_a_weakness_is_told_with_the_version_that_mends_it_until_it_is_explained(lock: Path) -> None:
    with weakness_database("tiny") as url:
        status, text = audit(lock, [], "--osv-url", url)
        assert (status, text.splitlines()[0]) == (WEAK, "tiny 1.0: GHSA-tiny, mended in 1.1")
        status, text = audit(lock, [KNOWN], "--osv-url", url)
        assert (status, text) == (
            CLEAN,
            "no unexplained weakness: 2 packages asked about, 1 weaknesses explained",
        )


def test_a_database_that_cannot_be_asked_is_neither_clean_nor_weak(lock: Path) -> None:
    status, text = audit(lock, [], "--osv-url", "http://127.0.0.1:1/v1/query")
    assert status == NOT_ASKED
    assert text.startswith("not audited: pip-audit could not ask its database.")


def test_a_package_that_could_not_be_judged_is_told() -> None:
    report = {"dependencies": [{"name": "tiny", "skip_reason": "not found"}]}
    assert weaknesses(report) == ["tiny: not judged: not found"]


@pytest.mark.parametrize(
    ("pinned", "today"),
    [
        (TINY, date(2026, 7, 1)),
        ([Pin(name="tiny", version="1.1")], date(2026, 6, 30)),
        ([], date(2026, 6, 30)),
    ],
    ids=["its day is over", "another version", "gone"],
)
def test_an_explanation_ends_with_its_day_and_with_its_version(pinned: list[Pin], today: date) -> None:
    assert in_force([KNOWN], date(2026, 6, 30), TINY) == [KNOWN]
    assert in_force([KNOWN], today, pinned) == []


def test_what_is_ignored_is_pinned_and_has_a_reason() -> None:
    assert in_force(read_ignored(), date.min, pins()) == read_ignored()


def test_the_example_in_the_file_is_how_an_entry_is_written(tmp_path: Path) -> None:
    lines = [line.removeprefix("# ") for line in IGNORED.read_text().splitlines()]
    example = "\n".join(lines[lines.index("[[ignored]]") :])
    assert tomllib.loads(example)["ignored"]
    file = tmp_path / "ignored.toml"
    file.write_text(example)
    assert read_ignored(file)[0].until == date(2027, 1, 1)
