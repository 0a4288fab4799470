"""What pages are made of: static files, vendored files, phrases."""

import re
import tomllib
from hashlib import sha256
from pathlib import Path

import pytest

import starter.panel
from starter.panel.assets import Assets
from starter.panel.phrases import COUNTED, PHRASES
from tests.starter.panel.conftest import Visitor

FOLDER = Path(starter.panel.__file__).parent


async def test_static_files_are_named_by_their_content_and_never_change(alice: Visitor) -> None:
    name = Assets().name("panel.css")
    answer = await alice.get(f"/static/{name}")
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.text == (FOLDER / "static/panel.css").read_text()
    assert (await alice.get("/static/panel.css")).status_code == 404


async def test_the_first_page_is_small(alice: Visitor) -> None:
    page = await alice.get("/services")
    sent = len(page.content)
    for path in re.findall(r'(?:src|href)="(/panel/static/[^"]+)"', page.text):
        sent += len((await alice.http.get(path, headers={"accept-encoding": "identity"})).content)
    assert sent < 150_000


@pytest.mark.parametrize("listed", [FOLDER / "vendored.toml", Path(__file__).with_name("vendored.toml")])
def test_vendored_files_are_what_they_say(listed: Path) -> None:
    entries = tomllib.loads(listed.read_text())["file"]
    for entry in entries:
        assert sha256((listed.parent / entry["path"]).read_bytes()).hexdigest() == entry["sha256"]
        assert entry["version"]
        assert entry["licence"]


def test_everything_that_is_not_listed_is_our_own() -> None:
    listed = {entry["path"] for entry in tomllib.loads((FOLDER / "vendored.toml").read_text())["file"]}
    ours = {"static/panel.css", "static/panel.js", "static/icon.svg"}
    assert {f"static/{file.name}" for file in (FOLDER / "static").iterdir()} == ours | listed


def test_every_phrase_is_said_somewhere_and_every_one_said_exists() -> None:
    sources = [*FOLDER.rglob("*.html"), *FOLDER.rglob("*.py")]
    pages = "\n".join(file.read_text() for file in sources if file.name != "phrases.py")
    said = set(re.findall(r'say\("(\w+)"', pages)) - {"notice_", "step_", "price_per_"}
    counted = set(re.findall(r'count\("(\w+)"', pages))
    assert said <= set(PHRASES)
    assert counted <= set(COUNTED)
    made = ("step_", "notice_", "price_per_", "outcome_")
    unsaid = {
        phrase
        for phrase in {*PHRASES, *COUNTED}
        if f'"{phrase}"' not in pages and not phrase.startswith(made) and not phrase.endswith("_advice")
    }
    assert unsaid == set()
