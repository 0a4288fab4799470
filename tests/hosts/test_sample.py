"""The sample servers of the demos."""

import asyncio
import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from changeover.hosts import LocalHost
from changeover.hosts.sample import main
from tests.hosts.conftest import SERVER
from tests.hosts.trees import count, snapshot

OTHER = "00000000-0000-4000-8000-000000000001"


def servers(**change: object) -> str:
    one = {
        "server_id": SERVER,
        "name": "North",
        "address": "192.0.2.7:27015",
        "game": "minecraft",
        "slots": 20,
        "options": [],
        "backups": 3,
        "kilobytes": 600,
    }
    return json.dumps([{**one, **change}])


def run(monkeypatch: pytest.MonkeyPatch, root: Path, text: str) -> int:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    return main(["--host-dir", str(root)])


def test_the_module_fills_a_host_from_standard_input(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "changeover.hosts.sample", "--host-dir", str(tmp_path / "new" / "host")]
    done = subprocess.run(command, input=servers(), capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"created": 1}
    assert done.stderr == ""


async def test_a_sample_is_found_with_its_size_and_backups(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await asyncio.to_thread(run, monkeypatch, root, servers()) == 0
    contents = await LocalHost(root).find(SERVER)
    assert contents is not None
    assert contents.running
    assert contents.data_bytes == 600 * 1024
    assert contents.data_files == 7
    assert [backup.id for backup in contents.backups] == ["backup-01.tar", "backup-02", "backup-03.tar"]
    assert (contents.backups[1].files, contents.backups[1].bytes) == (7, 600 * 1024)
    with tarfile.open(root / SERVER / "backups" / "backup-01.tar") as tar:
        assert len(tar.getnames()) == 7
        assert "max-players=20" in (root / SERVER / "data" / "server.properties").read_text()


@pytest.mark.parametrize("kilobytes", [0, 1, 256, 1000])
def test_the_data_is_as_big_as_asked(root: Path, monkeypatch: pytest.MonkeyPatch, kilobytes: int) -> None:
    assert run(monkeypatch, root, servers(kilobytes=kilobytes, backups=0)) == 0
    assert count(root / SERVER / "data")[1] == kilobytes * 1024


def test_the_same_input_gives_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b"):
        assert run(monkeypatch, tmp_path / name, servers()) == 0
    assert snapshot(tmp_path / "a") == snapshot(tmp_path / "b")


def test_servers_that_exist_are_passed_over(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, root, servers())
    (root / SERVER / "data" / "server.properties").write_text("mine")
    before = snapshot(root / SERVER)
    both = json.loads(servers(kilobytes=5)) + json.loads(servers(server_id=OTHER))
    assert run(monkeypatch, root, json.dumps(both)) == 0
    assert capsys.readouterr().out.splitlines() == ['{"created": 1}', '{"created": 1}']
    assert snapshot(root / SERVER) == before


def test_a_sample_that_was_begun_is_finished(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, root, servers())
    complete = snapshot(root)
    (root / SERVER / "server.json").unlink()
    (root / SERVER / "backups" / "backup-03.tar").unlink()
    run(monkeypatch, root, servers())
    assert snapshot(root) == complete


@pytest.mark.parametrize("change", [{"slots": 0}, {"backups": -1}, {"kilobytes": "many"}, {"options": None}])
def test_wrong_input_is_explained(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], change: dict[str, object]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        run(monkeypatch, root, servers(**change))
    assert stopped.value.code == 2
    assert next(iter(change)) in capsys.readouterr().err
    assert list(root.iterdir()) == []


def test_a_bad_server_id_writes_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, root, servers(server_id="../outside")) == 1
    assert "not a UUID" in capsys.readouterr().err
    assert list(root.parent.iterdir()) == [root]
