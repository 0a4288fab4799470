"""`./run mutants [MODULE...]`: mutate modules in a copy of the checkout, and tell what no test noticed.

Ends with 0 when at least `FLOOR` per cent of each area's mutants were noticed.
"""

import json
import os
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
FLOOR = 85
NOTICED = {"killed", "timeout", "segfault"}


@dataclass(frozen=True, kw_only=True)
class Area:
    """Modules, and the tests that hold them: `arguments` are pytest's."""

    name: str
    modules: tuple[str, ...]
    arguments: tuple[str, ...]


AREAS = (
    Area(
        name="the rules",
        modules=tuple(
            f"changeover/domain/{name}.py"
            for name in (
                "catalogue",
                "confirmation",
                "facts",
                "lifecycle",
                "masking",
                "problems",
                "proration",
                "quote",
                "staleness",
                "teardown",
            )
        ),
        arguments=("tests/unit", "tests/catalogue", "tests/mail/test_masking.py"),
    ),
    Area(
        name="commit and teardown",
        modules=tuple(
            f"activities/{name}.py"
            for name in ("commit", "database", "servers", "teardown_steps", "troubles")
        ),
        arguments=("tests/activities",),
    ),
)
ALWAYS = ("-p", "no:cacheprovider", "-p", "tests.mutants.sqlite_only", "--ignore=tests/unit/test_purity.py")
"""test_purity reads the sources, which mutmut has rewritten."""


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
        "pytest_add_cli_args": list(ALWAYS),
        "pytest_add_cli_args_test_selection": list(area.arguments),
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    with (folder / "pyproject.toml").open("a") as file:
        file.write("\n".join(["", "[tool.mutmut]", *lines, ""]))


def outcomes(folder: Path, module: str) -> dict[str, str]:
    """Return what became of each mutant of a module."""
    meta = folder / "mutants" / f"{module}.meta"
    codes: dict[str, int | None] = json.loads(meta.read_text())["exit_code_by_key"] if meta.exists() else {}
    return {mutant: status_by_exit_code[code] for mutant, code in codes.items()}


def mutate(area: Area, modules: Sequence[str], children: int) -> bool:
    """Mutate modules of an area and tell; return whether enough was noticed."""
    with tempfile.TemporaryDirectory(prefix="changeover-mutants-") as name:
        folder = Path(name)
        copy_checkout(folder, modules, area)
        environ = os.environ | {"CI": "1", "PYTHONDONTWRITEBYTECODE": "1"}
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
                if status not in NOTICED:
                    print(f"\n{mutant}: {status}", flush=True)
                    subprocess.run([*MUTMUT, "show", mutant], cwd=folder, env=environ, check=False)
    print(f"\n{line(area.name, total)}; at least {FLOOR} %", flush=True)
    return share(total) >= FLOOR


def share(counts: Counter[str]) -> float:
    """Return how many of a hundred mutants were noticed; of none, all."""
    return 100 * sum(counts[it] for it in NOTICED) / counts.total() if counts.total() else 100


def line(name: str, counts: Counter[str]) -> str:
    noticed = sum(counts[it] for it in NOTICED)
    return f"{name}: {noticed} of {counts.total()} mutants noticed, {share(counts):.1f} % ({dict(counts)})"


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
