"""Looking at real trees of files, independently of the code under test."""

import os
import stat
from pathlib import Path

Snapshot = dict[str, tuple[int, bytes]]
Tree = dict[str, "Tree | bytes | None"]
"""A folder's entries by name: a folder, the content of a file, None for a link to the outside."""


def snapshot(top: Path) -> Snapshot:
    """Everything below a folder: relative path -> (mode, content or link target)."""
    seen: Snapshot = {}
    for folder, folders, files in os.walk(top):
        for name in folders + files:
            path = Path(folder, name)
            mode = path.lstat().st_mode
            content = b""
            if stat.S_ISLNK(mode):
                content = os.fsencode(path.readlink())
            elif stat.S_ISREG(mode):
                content = path.read_bytes()
            seen[str(path.relative_to(top))] = (mode, content)
    return seen


def count(top: Path) -> tuple[int, int]:
    """Files and bytes below a folder, links counted as themselves."""
    sizes = []
    for folder, folders, files in os.walk(top):
        sizes += [Path(folder, name).lstat().st_size for name in files]
        paths = [Path(folder, name) for name in folders]
        sizes += [path.lstat().st_size for path in paths if path.is_symlink()]
    return len(sizes), sum(sizes)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def plant(folder: Path, entries: Tree, outside: Path) -> None:
    """Make a tree of real files, with links to `outside`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in entries.items():
        target = folder / name
        if content is None:
            target.symlink_to(outside)
        elif isinstance(content, bytes):
            target.write_bytes(content)
        else:
            plant(target, content, outside)
