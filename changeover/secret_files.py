"""Settings from files: a folder with one file per setting, named by its variable.

The way of container secrets (`/run/secrets`) and of systemd's credentials: `CHANGEOVER_SECRETS_DIR` names the
folder. A variable of the environment comes before a file of the same name.
"""

import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

VARIABLE = "CHANGEOVER_SECRETS_DIR"


class SecretsUnreadable(Exception):
    """The folder or one of its files can't be read; the text names it and never what is in it."""


def folder(environ: Mapping[str, str]) -> Path | None:
    """Return the folder, or None when none is named. Raises `SecretsUnreadable` when it isn't one."""
    named = environ.get(VARIABLE)
    if not named:
        return None
    path = Path(named)
    if not path.is_dir():
        raise SecretsUnreadable(f"{VARIABLE} is {path}, which is no folder")
    return path


def files(environ: Mapping[str, str], names: Sequence[str]) -> dict[str, Path]:
    """Return the file of each variable of `names` that has one. Raises `SecretsUnreadable`."""
    path = folder(environ)
    if path is None:
        return {}
    found = {}
    for name in names:
        file = path / name
        if not file.exists():
            continue
        try:
            file.read_bytes()
        except OSError as error:
            raise SecretsUnreadable(f"{file} can't be read: {error.strerror}") from None
        found[name] = file
    return found


def open_to_others(environ: Mapping[str, str], names: Sequence[str]) -> list[Path]:
    """Return the files that everybody on the machine may read."""
    return [file for file in files(environ, names).values() if file.stat().st_mode & stat.S_IROTH]
