"""Faults from the API's callers: whatever a document allows, and another's everything on every route."""

import asyncio
import os
import re
import sys
from pathlib import Path
from typing import Any

from tests.faults.matrix import scenario
from tests.faults.scenarios.common import SMALLER, asked, completes, with_a_pass
from tests.faults.story import Customer, Story
from tests.faults.system import SQLITE

EXAMPLES = os.environ.get("SCHEMATHESIS_EXAMPLES", "10")
_STATUSES = '["2xx", "401", "404", "409", "410", "422", "429"]'


@scenario(37)
async def schemathesis_finds_nothing(story: Story) -> None:
    alice = await with_a_pass(story)
    change_id = await alice.confirmed(**SMALLER)
    code = await alice.code(change_id)
    folder = story.system.folder
    (folder / "schemathesis.toml").write_text(
        f"[checks.positive_data_acceptance]\nexpected-statuses = {_STATUSES}\n"
    )
    command = [str(Path(sys.executable).with_name("schemathesis"))]
    command += ["--config-file", "schemathesis.toml", "run", f"{story.system.api_url}/openapi.json"]
    command += ["--generation-deterministic", "--no-color", "--warnings=off", "--workers", "2"]
    command += ["--max-examples", EXAMPLES, "--phases", "examples,fuzzing"]
    command += [
        "-H",
        f"Authorization: Bearer {story.system.api_key}",
        "-H",
        f"X-Account-Id: {await story.system.stranger()}",
    ]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()[-4000:]
    await completes(story, alice, change_id, code)


@scenario(37, sample=SQLITE)
async def every_route_with_anothers_ids(story: Story) -> None:
    """Each route and method of the document, as one account with the other's ids, both ways round."""
    alice, change_id, code = await asked(story)
    bruno, other, others = await asked(story)
    document = (await alice.call("GET", "/openapi.json")).json()
    for caller, owner, change in ((alice, bruno, other), (bruno, alice, change_id)):
        for path, method in _scoped(document):
            filled = _filled(path, owner, change)
            answer = await caller.call(method, filled, _body(path), key="another")
            assert answer.status_code in {404, 405}, f"{method} {filled}: {answer.status_code} {answer.text}"
    await completes(story, alice, change_id, code)
    await completes(story, bruno, other, others)


def _scoped(document: dict[str, Any]) -> list[tuple[str, str]]:
    """Return each path that names something of a customer's, with every method there is."""
    methods = ("GET", "POST", "PUT", "DELETE", "PATCH")
    paths = [path for path in document["paths"] if "{" in path]
    assert len(paths) >= 8, paths
    return [(path, method) for path in paths for method in methods]


def _filled(path: str, owner: Customer, change_id: str) -> str:
    values = {"service_id": owner.service_id, "server_id": owner.server_ids[0], "change_id": change_id}
    return re.sub(r"{(\w+)}", lambda found: values[found[1]], path)


def _body(path: str) -> Any:
    configuration = {"offer": "blocks", "slots": 24, "options": [], "server_count": 2}
    acknowledge = {"no_refund": True, "destroys": []}
    bodies = {
        "quotes": {"configuration": configuration},
        "plan-changes": {"configuration": configuration, "digest": "0" * 64, "acknowledge": acknowledge},
        "renewals": {"days": 1},
        "code": {"code": "BCDF-GHJK"},
    }
    return bodies.get(path.rpartition("/")[2])
