"""`./run mutants [MODULE...]`: mutate modules in a copy of the checkout, and tell what no test noticed.

A mutant that mypy refuses can't be merged, and is not counted: neither as noticed nor as missed. Ends with 0
when tests noticed at least `FLOOR` per cent of each area's others. See docs/mutation-testing.md.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mutmut.stats import status_by_exit_code

ROOT = Path(__file__).parents[2]
MUTMUT = [sys.executable, "-P", str(Path(__file__).with_name("with_activities.py"))]
MYPY = ["mypy", "--output=json", "--no-warn-unused-ignores", "--no-error-summary"]
UNMUTATED = (
    r"^\s*assert ",  # what types can't say: a wrong one fails at once, and its text is for us
    r"^\s*reach\(",  # failpoints: the fault matrix holds their names
)
FLOOR = 85
NOTICED = {"killed", "timeout", "segfault"}
REFUSED = "caught by type check"


@dataclass(frozen=True, kw_only=True)
class Area:
    """Modules, and the tests that hold them."""

    name: str
    modules: tuple[str, ...]
    tests: tuple[str, ...]


def named(pattern: str, names: str) -> tuple[str, ...]:
    return tuple(pattern.format(name) for name in names.split())


AREAS = (
    Area(
        name="the rules",
        modules=named(
            "changeover/domain/{}.py",
            "catalogue confirmation facts lifecycle masking problems proration quote staleness",
        ),
        tests=("tests/unit", "tests/mail/test_masking.py"),
    ),
    Area(
        name="the teardown",
        modules=named("activities/{}.py", "servers teardown_steps troubles"),
        tests=(
            *named(
                "tests/activities/test_{}.py",
                "create_and_limits late_workers small_transactions tear_down troubles",
            ),
            "tests/telemetry/test_figures.py",
        ),
    ),
    Area(
        name="the commit",
        modules=named("activities/{}.py", "commit database"),
        tests=named("tests/activities/test_{}.py", "commit judge_code open_change small_transactions"),
    ),
)
"""Each with the tests that are written for it, and none that only pass through: these would cost hours."""

ALWAYS = (
    *("-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:cov", "-p", "tests.mutants.sparing"),
    "--ignore=tests/unit/test_purity.py",  # it reads the sources, which mutmut has rewritten
)


def copy_checkout(folder: Path, modules: Sequence[str], area: Area) -> None:
    """Copy what git knows or would add, with mutmut's settings in its pyproject.toml."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    sources = ["changeover", "workflows", "activities", "starter"]
    others = sorted(
        it.name for it in folder.iterdir() if it.name not in {*sources, "tests", "pyproject.toml"}
    )
    settings = {
        "source_paths": sources,
        "only_mutate": list(modules),
        "also_copy": others,
        "do_not_mutate_patterns": list(UNMUTATED),
        "pytest_add_cli_args": list(ALWAYS),
        "pytest_add_cli_args_test_selection": list(area.tests),
        "type_check_command": [*MYPY, *modules],
        "timeout_constant": 10.0,  # seconds, times 15: a busy machine must not be taken for an endless loop
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    pyproject = folder / "pyproject.toml"
    # What mypy finds beyond types would refuse conditions that are always true, which tests have to notice.
    types_alone = re.sub("(?m)^enable_error_code = .*$", "enable_error_code = []", pyproject.read_text())
    pyproject.write_text("\n".join([types_alone, "[tool.mutmut]", *lines, ""]))


def outcomes(folder: Path, module: str) -> dict[str, str]:
    """Return what became of each mutant of a module."""
    meta = folder / "mutants" / f"{module}.meta"
    codes: dict[str, int | None] = json.loads(meta.read_text())["exit_code_by_key"] if meta.exists() else {}
    return {mutant: status_by_exit_code[code] for mutant, code in codes.items()}


def mutate(area: Area, modules: Sequence[str], children: int) -> bool:
    """Mutate modules of an area and tell; return whether enough was noticed."""
    with tempfile.TemporaryDirectory(prefix="changeover-mutants-", dir=in_memory()) as name:
        folder = Path(name)
        copy_checkout(folder, modules, area)
        (folder / "tmp").mkdir()
        if (ROOT / ".mypy_cache").is_dir():  # the lint's: all but the mutated modules is known
            shutil.copytree(ROOT / ".mypy_cache", folder / "mutants" / ".mypy_cache")
        environ = os.environ | {"CI": "1", "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(folder / "tmp")}
        environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        run = [*MUTMUT, "run", "--max-children", str(children)]
        done = subprocess.run(run, cwd=folder, env=environ, check=False)
        if done.returncode:
            raise SystemExit(f"mutmut ended with {done.returncode}")
        total: Counter[str] = Counter()
        for module in modules:
            found = outcomes(folder, module)
            counts = Counter(found.values())
            total += counts
            print(f"\n{line(module, counts)}", flush=True)
            for mutant, status in found.items():
                if status not in {"killed", REFUSED}:
                    print(f"\n{mutant}: {status}", flush=True)
                    subprocess.run([*MUTMUT, "show", mutant], cwd=folder, env=environ, check=False)
    print(f"\n{line(area.name, total)}; at least {FLOOR} %", flush=True)
    return share(total) >= FLOOR


def in_memory() -> str | None:
    """Return a folder whose files are never synced: SQLite's commits wait longest for that."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def share(counts: Counter[str]) -> float:
    """Return how many of a hundred mutants were noticed, of those that mypy lets pass; of none, all."""
    passed = counts.total() - counts[REFUSED]
    return 100 * sum(counts[it] for it in NOTICED) / passed if passed else 100


def line(name: str, counts: Counter[str]) -> str:
    noticed, passed = sum(counts[it] for it in NOTICED), counts.total() - counts[REFUSED]
    refused = f"mypy refuses {counts[REFUSED]} of {counts.total()} mutants"
    return f"{name}: {refused}; tests notice {noticed} of {passed}, {share(counts):.1f} % ({dict(counts)})"


def main(arguments: Sequence[str]) -> int:
    wanted = [it.removesuffix(".py").replace(".", "/") + ".py" for it in arguments]
    known = [module for area in AREAS for module in area.modules]
    if unknown := [it for it in wanted if it not in known]:
        print(f"no module of these: {', '.join(unknown)}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    enough = True
    for area in AREAS:
        modules = [it for it in area.modules if it in wanted or not wanted]
        if modules:
            enough = mutate(area, modules, os.cpu_count() or 1) and enough
    return int(not enough)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
