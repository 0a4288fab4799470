"""`./run` makes .venv once, again when it must, and says what is wrong when it can't.

The script is real; Python and pip are a small fake, which keeps a journal of what it was asked for.
"""

import ast
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "run"

# Starts the script in a process whose Python makes environments by the fake, and may claim another version.
DRIVER = """
import runpy, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job is born without
sys._base_executable = sys.argv[1]
if sys.argv[2] != "real":
    sys.version_info = (*map(int, sys.argv[2].split(".")), "final", 0)
for name in sys.argv[3].split(","):
    if name:
        sys.modules[name] = None
script = sys.argv[4]
sys.argv = sys.argv[4:]
runpy.run_path(script, run_name="__main__")
"""

FAKE_PYTHON = r"""#!/bin/sh
case "$*" in
*"-m venv"*)
    echo venv >> "$JOURNAL"
    for venv; do :; done
    rm -rf "$venv"; mkdir -p "$venv/bin"; cp "$0" "$venv/bin/python"
    printf '#!/bin/sh\necho "changeover $*"\n' > "$venv/bin/changeover"; chmod +x "$venv/bin/changeover" ;;
*"--no-deps --require-hashes"*)
    echo packages >> "$JOURNAL"
    while [ -e "$JOURNAL.hold" ]; do sleep 0.02; done
    if [ -e "$JOURNAL.broken" ]; then echo "ERROR: no route to the index"; exit 1; fi ;;
*"--no-build-isolation"*) echo checkout >> "$JOURNAL" ;;
*) echo "python $*; PYTHONPATH=${PYTHONPATH-unset}" ;;
esac
"""
ONE_INSTALL = ["venv", "packages", "checkout"]


class Checkout:
    """A checkout with a tiny lock, in a folder with a space in its name."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "a checkout"
        (self.root / "requirements").mkdir(parents=True)
        self.script = Path(shutil.copy(SCRIPT, self.root))
        self.pins = self.root / "requirements" / "all.txt"
        self.pins.write_text("tiny==1 --hash=sha256:00\n")
        self.pyproject = self.root / "pyproject.toml"
        self.pyproject.write_text('[project]\nname = "tiny"\ndescription = "one"\n')
        self.journal = folder / "journal"
        self.hold = folder / "journal.hold"
        self.broken = folder / "journal.broken"
        self.path = folder / "path"
        self.path.mkdir()
        self.python = self.executable(folder / "python", FAKE_PYTHON)

    def executable(self, path: Path, text: str) -> Path:
        path.write_text(text)
        path.chmod(0o755)
        return path

    def begin(
        self, *arguments: str, version: str = "real", without: str = "", **environment: str
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", DRIVER, self.python, version, without, self.script, *arguments],
            cwd="/",
            env={"JOURNAL": str(self.journal), "PATH": f"{self.path}:/usr/bin:/bin"} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(
        self, *arguments: str, version: str = "real", without: str = "", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        process = self.begin(*arguments, version=version, without=without, **environment)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def installs(self) -> list[str]:
        return self.journal.read_text().split() if self.journal.exists() else []

    def wait_for(self, step: str) -> None:
        deadline = time.monotonic() + 30
        while step not in self.installs():
            assert time.monotonic() < deadline, f"{step} never began"
            time.sleep(0.01)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_first_start_installs_and_leaves_stdout_to_the_command(checkout: Checkout) -> None:
    done = checkout.run("demo", "--json")
    assert (done.returncode, done.stdout) == (0, "changeover demo --json\n")
    assert "making .venv" in done.stderr
    assert checkout.installs() == ONE_INSTALL


def test_second_start_installs_nothing(checkout: Checkout) -> None:
    checkout.run("demo")
    done = checkout.run("up", "--port", "1")
    assert (done.stdout, done.stderr) == ("changeover up --port 1\n", "")
    assert checkout.installs() == ONE_INSTALL


@pytest.mark.parametrize("line", ['dependencies = ["other"]', "[project.scripts]\nother = 'tiny:main'"])
def test_changed_dependencies_or_entry_points_install_again(checkout: Checkout, line: str) -> None:
    checkout.run("demo")
    checkout.pyproject.write_text(f"{checkout.pyproject.read_text()}{line}\n")
    checkout.run("demo")
    assert checkout.installs() == ONE_INSTALL * 2


def test_changed_description_installs_nothing(checkout: Checkout) -> None:
    checkout.run("demo")
    checkout.pyproject.write_text(checkout.pyproject.read_text().replace("one", "two"))
    checkout.run("demo")
    assert checkout.installs() == ONE_INSTALL


def test_changed_lock_installs_again(checkout: Checkout) -> None:
    checkout.run("demo")
    checkout.pins.write_text("tiny==2 --hash=sha256:00\n")
    checkout.run("demo")
    assert checkout.installs() == ONE_INSTALL * 2


def test_moved_checkout_installs_again(checkout: Checkout) -> None:
    checkout.run("demo")
    checkout.script = checkout.root.rename(checkout.root.with_name("elsewhere")) / "run"
    assert checkout.run("demo").returncode == 0
    assert checkout.installs() == ONE_INSTALL * 2


def test_failed_install_says_why_and_the_next_start_tries_again(checkout: Checkout) -> None:
    checkout.broken.touch()
    failed = checkout.run("demo")
    assert failed.returncode == 1
    assert failed.stdout == ""
    assert "no route to the index" in failed.stderr
    assert "Check the network" in failed.stderr
    assert "Traceback" not in failed.stderr

    checkout.broken.unlink()
    assert checkout.run("demo").stdout == "changeover demo\n"
    assert checkout.installs() == ["venv", "packages", *ONE_INSTALL]


def test_two_starts_at_once_make_one_install(checkout: Checkout) -> None:
    checkout.hold.touch()
    first = checkout.begin("demo", "first")
    checkout.wait_for("packages")
    second = checkout.begin("demo", "second")
    assert second.stderr is not None
    assert "waiting for it" in second.stderr.readline()
    checkout.hold.unlink()
    assert first.communicate(timeout=60)[0] == "changeover demo first\n"
    assert second.communicate(timeout=60)[0] == "changeover demo second\n"
    assert checkout.installs() == ONE_INSTALL


def test_half_made_venv_is_made_anew_once_the_orphaned_pip_is_gone(checkout: Checkout) -> None:
    checkout.hold.touch()
    killed = checkout.begin("demo")
    checkout.wait_for("packages")
    killed.kill()
    killed.wait()
    following = checkout.begin("demo")
    assert following.stderr is not None
    assert "waiting for it" in following.stderr.readline()
    checkout.hold.unlink()
    assert following.communicate(timeout=60)[0] == "changeover demo\n"
    assert checkout.installs() == ["venv", "packages", *ONE_INSTALL]
    killed.communicate()


def test_ctrl_c_ends_with_130_and_no_traceback(checkout: Checkout) -> None:
    checkout.hold.touch()
    process = checkout.begin("demo")
    checkout.wait_for("packages")
    process.send_signal(signal.SIGINT)
    process.wait(timeout=60)
    checkout.hold.unlink()
    assert process.returncode == 130
    assert "Traceback" not in process.communicate()[1]


def test_missing_ensurepip_names_the_package_to_install(checkout: Checkout) -> None:
    done = checkout.run("demo", without="ensurepip")
    assert done.returncode == 1
    assert "apt-get install python3-venv" in done.stderr
    assert checkout.installs() == []


def test_old_python_says_what_is_needed(checkout: Checkout) -> None:
    for name in ("python3.11", "python3.12", "python3.13", "python3.14"):
        checkout.executable(checkout.path / name, "#!/bin/sh\necho 'not found' >&2\nexit 127\n")
    done = checkout.run("demo", version="3.9.2")
    assert done.returncode == 1
    assert "needs Python 3.11 or newer. This is Python 3.9.2" in done.stderr
    assert "Traceback" not in done.stderr


def test_old_python_hands_over_to_a_newer_one_that_works(checkout: Checkout) -> None:
    checkout.executable(checkout.path / "python3.11", "#!/bin/sh\nexit 127\n")
    checkout.executable(checkout.path / "python3.12", '#!/bin/sh\n[ "$1" = -c ] || echo "3.12 $@"\n')
    done = checkout.run("demo", "--json", version="3.9.2")
    assert done.stdout == f"3.12 {checkout.script} demo --json\n"


def test_old_python_can_parse_the_script() -> None:
    ast.parse(SCRIPT.read_text(), feature_version=(3, 6))


def test_foreign_environment_is_kept_away_from_the_children(checkout: Checkout) -> None:
    done = checkout.run("test", "-k", "x", PYTHONPATH="/elsewhere", VIRTUAL_ENV="/elsewhere", PIP_USER="1")
    assert done.stdout == "python -m pytest --cov --cov-report=term -k x; PYTHONPATH=unset\n"


def test_lint_runs_every_tool_and_fails_with_one_of_them(checkout: Checkout) -> None:
    checkout.run("demo")
    for tool, status in {"ruff": 0, "mypy": 1, "lint-imports": 0}.items():
        checkout.executable(checkout.root / ".venv" / "bin" / tool, f"#!/bin/sh\nexit {status}\n")
    done = checkout.run("lint")
    assert done.returncode == 1
    assert done.stdout.split("---\n")[-1].splitlines() == [
        "ok      ruff check . run",
        "ok      ruff format --check . run",
        "failed  mypy",
        "ok      lint-imports",
        "ok      python -m starter.texts.lint",
    ]


@pytest.mark.parametrize(("below", "status"), [("none", 0), ("90", 1), ("100", 1)])
def test_coverage_below_a_floor_fails_the_tests(checkout: Checkout, below: str, status: int) -> None:
    checkout.run("demo")
    coverage = f'#!/bin/sh\necho 89.5\ncase "$*" in *"--fail-under={below}"*) exit 2 ;; esac\n'
    checkout.executable(checkout.root / ".venv" / "bin" / "coverage", coverage)
    done = checkout.run("test")
    assert done.returncode == status
    assert done.stdout.count("coverage of") == 2
    assert done.stdout.count("failed") == status


def test_lock_says_how_to_get_uv(checkout: Checkout) -> None:
    done = checkout.run("lock", PATH=str(checkout.path))
    assert done.returncode == 1
    assert "pip install uv" in done.stderr


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_no_command_prints_the_table(checkout: Checkout, arguments: list[str]) -> None:
    done = checkout.run(*arguments)
    assert done.returncode == 0
    for command in ("demo", "up", "test", "lint", "lock"):
        assert f"\n  {command} " in done.stdout
    assert checkout.installs() == []


def test_unknown_command_is_refused_with_the_known_ones(checkout: Checkout) -> None:
    done = checkout.run("dmeo")
    assert done.returncode == 2
    assert "there are demo, up, test, " in done.stderr
