"""Failpoints: nothing unless armed, and never armed by mistake."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from changeover import failpoints
from changeover.domain.teardown import STEPS
from changeover.failpoints import NAMES, VARIABLE, FailpointsInvalid, arm, reach
from tests.e2e.running import clean_environment
from workflows.messages import Judgement

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    arm({})


@pytest.mark.parametrize("name", NAMES)
def test_an_unarmed_one_does_nothing(name: str) -> None:
    assert arm({}) == ()
    assert failpoints._armed is None
    reach(name)


def test_it_strikes_at_the_passes_that_are_named_and_at_no_other() -> None:
    armed = arm({VARIABLE: "host.delete_data=raise@2-3, mail.taken=raise@1"})
    assert armed == ("host.delete_data", "mail.taken")
    struck = []
    for _ in range(4):
        try:
            reach("host.delete_data")
            struck.append(False)
        except OSError:
            struck.append(True)
    assert struck == [False, True, True, False]
    reach("host.create")


@pytest.mark.parametrize(
    "wrong", ["mail.taken", "no.such=kill", "mail.taken=explode", "mail.taken=sleep", "mail.taken=kill@x"]
)
def test_what_it_does_not_know_is_refused(wrong: str) -> None:
    with pytest.raises(FailpointsInvalid, match=VARIABLE):
        arm({VARIABLE: wrong})


@pytest.mark.parametrize("kind", ["kill", "freeze", "hang", "sleep:0.2"])
def test_each_kind_does_what_it_says(kind: str) -> None:
    program = (
        "import os; from changeover.failpoints import *; arm(os.environ)\nreach('mail.taken')\nprint('on')"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program],
        env=clean_environment() | {VARIABLE: f"mail.taken={kind}"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        said, _ = child.communicate(timeout=3)
    except subprocess.TimeoutExpired:
        state = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0]
        assert {"T": "freeze", "S": "hang"}[state] == kind
        child.kill()
        child.communicate()
    else:
        assert (said.strip(), child.returncode) == {"kill": ("", -9), "sleep:0.2": ("on", 0)}[kind]


@pytest.mark.parametrize("module", ["worker", "starter.api"])
def test_a_process_with_a_wrong_name_refuses_to_start(module: str, tmp_path: Path) -> None:
    environ = clean_environment() | {
        VARIABLE: "no.such=kill",
        "CHANGEOVER_DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path}/none.db",
        "CHANGEOVER_PROOF_KEY": "p" * 40,
        "CHANGEOVER_CODE_KEYS": '{"k": "' + "c" * 40 + '"}',
        "CHANGEOVER_CODE_KEY_ID": "k",
        "CHANGEOVER_SMTP_HOST": "localhost",
        "CHANGEOVER_MAIL_FROM": "panel@host.test",
        "CHANGEOVER_HOST_DIR": str(tmp_path),
    }
    command = [sys.executable, "-m", module, *(("--port", "0") if module == "starter.api" else ())]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert "there is no failpoint no.such" in done.stderr
    assert "Traceback" not in done.stderr


def test_every_name_is_reached_somewhere_and_every_place_has_a_name() -> None:
    reached = set()
    for folder in ("activities", "changeover", "starter"):
        for file in (ROOT / folder).rglob("*.py"):
            if file.name != "failpoints.py":
                reached |= set(re.findall(r'reach\(f?"([^"]+)"\)', file.read_text()))
    families = {
        "teardown.{step}": {f"teardown.{step}" for step in STEPS},
        "judged.{judged.judgement}": {f"judged.{judgement}" for judgement in Judgement},
    }
    expanded = {name for it in reached for name in families.get(it, {it})}
    unused = {f"judged.{judgement}" for judgement in Judgement} - set(NAMES)
    assert expanded - unused == set(NAMES)


def test_the_documents_say_never_to_set_it() -> None:
    page = (ROOT / "docs/configuration.md").read_text()
    (line,) = [line for line in page.splitlines() if VARIABLE in line]
    assert "never" in line.lower()
