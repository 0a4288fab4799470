"""A customer's whole story by the command line, in a second terminal, while the worker is killed."""

import base64
import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from temporalio.client import Client

from starter.engine import DATA_CONVERTER
from tests.e2e.running import Up, running_up, wait_until


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with running_up(tmp_path_factory.mktemp("up") / "system") as system:
        yield system


def test_a_customers_whole_story_works_by_the_command_line_alone(up: Up) -> None:
    before = up.json("services")["services"][0]
    up.run("mark", "server-3")
    quote = up.json("quote", "--slots", "24")
    assert quote["blockers"] == []
    requested = up.patiently("request", "--slots", "24", "--yes", "--key", "story")
    again = up.patiently("request", "--slots", "24", "--yes", "--key", "story")
    assert again["id"] == requested["id"], "the same key asks for nothing new"
    assert up.run("code", "BBBB-BBBB").returncode == 1
    assert up.run("code", "nonsense").returncode == 2
    confirmed = up.patiently("code", up.code())
    assert confirmed["new_expires_at"] == requested["new_expires_at"]
    assert up.run("watch", requested["id"]).returncode == 0
    after = up.json("services")["services"][0]
    assert after["configuration"] == before["configuration"] | {"slots": 24, "server_count": 2}
    assert after["expires_at"] == confirmed["new_expires_at"]
    gone = {server["id"] for server in before["servers"]} - {server["id"] for server in after["servers"]}
    assert [server for server in gone if (up.folder / "hosts" / server).exists()] == []
    assert all((up.folder / "hosts" / server["id"] / "data").is_dir() for server in after["servers"])


def test_a_worker_killed_at_each_point_of_a_change_loses_and_repeats_nothing(up: Up) -> None:
    who = "hugo@example.com"  # four servers, two of them marked
    up.kill_worker()
    requested = up.patiently("request", "--yes", "--key", "killed", account=who)
    up.kill_worker()
    code = up.code(who)
    up.kill_worker()

    def handed_over() -> bool:
        return up.json("status", requested["id"], account=who)["code_expires_at"] is not None

    wait_until(handed_over)
    confirmed = up.patiently("code", code, "--change", requested["id"], account=who)
    up.kill_worker()
    assert up.run("watch", requested["id"], account=who).returncode == 0
    change = up.json("status", requested["id"], account=who)
    assert change["stage"] == "completed"
    assert change["new_expires_at"] == confirmed["new_expires_at"]
    assert up.codes(who) == [code], "a mail that is sent again has the same code"
    events = [entry["event"] for entry in change["timeline"]]
    assert events.count("committed") == events.count("completed") == 1
    assert events.count("server_destroyed") == 2
    steps = [(receipt["server_id"], receipt["step"]) for receipt in change["receipts"]]
    assert len(steps) == len(set(steps)) == 12


def test_a_start_after_ctrl_c_goes_on_where_it_was(up: Up) -> None:
    who = "emma@example.com"  # changed last week, has a pass
    requested = up.patiently("request", "--slots", "22", "--yes", "--key", "pause", account=who)
    assert up.interrupt() == 0
    assert up.processes() == {}
    assert up.run("status", requested["id"], account=who).returncode == 0, "the read side needs no engine"
    assert up.run("request", "--slots", "22", "--yes", account="chloe@example.com").returncode in {1, 4}
    up.start()
    code = up.code(who)
    wait_until(lambda: up.run("code", code, "--change", requested["id"], account=who).returncode == 0)
    up.run("watch", requested["id"], account=who)
    assert up.json("status", requested["id"], account=who)["stage"] == "completed"


async def test_no_history_holds_a_code_or_an_address(up: Up) -> None:
    client = await Client.connect(up.settings()["TEMPORAL_ADDRESS"], data_converter=DATA_CONVERTER)
    codes = set(up.codes())
    secrets = {form.lower() for code in codes for form in (code, code.replace("-", ""))} | {"@example.com"}
    runs = [run async for run in client.list_workflows()]
    assert len(runs) >= 4
    for run in runs:
        history = await client.get_workflow_handle(run.id, run_id=run.run_id).fetch_history()
        text = history.to_json()
        for payload in re.findall(r'"data":\s*"([A-Za-z0-9+/=]+)"', text):
            text += base64.b64decode(payload).decode("utf-8", "replace")
        found = [secret for secret in secrets if secret in text.lower()]
        assert found == [], f"{run.id} holds {found}"


def test_the_logs_hold_no_code_and_no_address(up: Up) -> None:
    codes = set(up.codes())
    for log in (up.folder / "log").iterdir():
        text = log.read_text(errors="replace")
        assert [secret for secret in codes | {"@example.com"} if secret in text] == [], log.name


def test_what_a_client_needs_is_in_up_json(up: Up) -> None:
    told = json.loads((up.folder / "up.json").read_text())
    assert Path(told["mail_dir"]).is_dir()
    assert Path(told["host_dir"]).is_dir()
    assert {account["email"] for account in told["accounts"]} >= {"alice@example.com", "grace@example.com"}
    request = urllib.request.Request(
        f"{told['api_url']}/v1/services",
        headers={"Authorization": f"Bearer {told['api_key']}", "X-Account-Id": told["accounts"][0]["id"]},
    )
    with urllib.request.urlopen(request) as answer:
        assert [service["id"] for service in json.load(answer)] == [
            service["id"] for service in told["accounts"][0]["services"]
        ]
    with urllib.request.urlopen(told["panel_url"]) as page:
        assert page.headers["Content-Type"].startswith("text/html")


def test_two_customers_show_what_rows_alone_cannot(up: Up) -> None:
    (waiting,) = up.json("history", account="irene@example.com")["plan_changes"]
    assert waiting["stage"] == "awaiting_code"
    wait_until(
        lambda: (
            up.json("history", account="jules@example.com")["plan_changes"][0]["stage"] == "needs_attention"
        )
    )
    shown = up.run("ops", "list", "--needs-attention", "--json", account=None)
    assert "jules" not in shown.stdout, "operators see ids and service names, no address"
    assert shown.returncode == 0
    assert (up.folder / "up.json").stat().st_mode & 0o077 == 0
    assert (up.folder / "changeover.env").stat().st_mode & 0o077 == 0


def test_a_second_system_on_the_same_folder_or_ports_is_refused_with_what_to_do(
    up: Up, tmp_path: Path
) -> None:
    same_ports = Up(tmp_path / "other", up.port_base)
    with pytest.raises(AssertionError, match="--port-base"):
        same_ports.start()
    same_folder = Up(up.folder, up.port_base + 100)
    same_folder.output = tmp_path / "out"
    with pytest.raises(AssertionError, match="--dir"):
        same_folder.start()


def test_a_customer_reads_nothing_that_was_written_for_operators(up: Up) -> None:
    (stuck,) = up.json("history", account="jules@example.com")["plan_changes"]
    shown = up.run("status", stuck["id"], "--json", account="jules@example.com").stdout
    assert "needs_attention" in shown
    assert "symbolic link" not in shown
    assert "symbolic link" in up.run("ops", "show", stuck["id"], account=None).stdout
