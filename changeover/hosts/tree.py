"""Files and folders by descriptor: nothing here follows a link or leaves the folder it was given.

Every call names an entry relative to an open folder (`dir_fd`), and folders are opened with O_NOFOLLOW: there
is no moment between a check and its use in which a path could be made to point elsewhere. What fails raises a
plain `OSError`.
"""

import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_NOFOLLOW | os.O_CLOEXEC
# What an attempt to open a link or a file as a folder ends with.
NOT_A_FOLDER = frozenset({errno.ENOTDIR, errno.ELOOP})
LINK = "a symbolic link"
_KINDS = (
    (stat.S_ISLNK, LINK),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISREG, "a file"),
)


def open_root(path: Path) -> int:
    """Open the folder that a path leads to, through links if there are any: its owner may have made them."""
    return os.open(path, _FOLDER)


def open_folder(name: str, parent: int) -> int:
    """Open a folder that is itself in the open folder `parent`.

    One of `NOT_A_FOLDER` for a link or a file, EXDEV when anything is mounted there: another file system, or
    a folder of this one (a bind mount).
    """
    fd = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=parent)
    if _mount_of(fd) != _mount_of(parent):
        os.close(fd)
        raise OSError(errno.EXDEV, "something is mounted there")
    return fd


def _mount_of(fd: int) -> tuple[int, str]:
    """Return by what a mount is known. A bind mount has the device of what it shows: only its id differs."""
    with suppress(FileNotFoundError), open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as info:  # noqa: PTH123 - no path of a host
        return os.fstat(fd).st_dev, next((line for line in info if line.startswith("mnt_id:")), "")
    return os.fstat(fd).st_dev, ""  # a system without /proc


@contextmanager
def closing(fd: int) -> Iterator[int]:
    try:
        yield fd
    finally:
        os.close(fd)


def kind_of(name: str, parent: int) -> str | None:
    """Say in words what stands under a name; None when nothing does."""
    try:
        mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return None
    return next((words for is_kind, words in _KINDS if is_kind(mode)), "a special file")


def entries(folder: int) -> tuple[list[str], list[str]]:
    """List the names in an open folder: its sub-folders, and all else (links to folders included)."""
    folders: list[str] = []
    others: list[str] = []
    # A folder that was removed while it was open says ENOENT: it has nothing in it.
    with suppress(FileNotFoundError), os.scandir(folder) as found:
        for entry in found:
            (folders if entry.is_dir(follow_symlinks=False) else others).append(entry.name)
    return folders, others


class _Cursor:
    """One open folder in a tree, moved step by step: a tree of any depth takes one descriptor.

    Down never goes through a link or onto what is mounted there. Up arrives where it came from or fails with
    EAGAIN: the tree was changed meanwhile, and a fresh walk will see it as it is.
    """

    def __init__(self, top: int) -> None:
        self.fd = os.dup(top)
        self._trail: list[tuple[str, os.stat_result]] = []

    def down(self, name: str) -> None:
        here = os.fstat(self.fd)
        try:
            below = open_folder(name, self.fd)
        except OSError as error:
            if error.errno in NOT_A_FOLDER:
                raise OSError(errno.EAGAIN, "a folder was replaced during the walk") from None
            raise
        self._trail.append((name, here))
        self._move(below)

    def up(self) -> str:
        """Go back up; returns the name of the folder that was left."""
        name, parent = self._trail.pop()
        above = os.open("..", _FOLDER, dir_fd=self.fd)
        self._move(above)
        if not os.path.samestat(os.fstat(above), parent):
            raise OSError(errno.EAGAIN, "a folder was moved during the walk")
        return name

    def close(self) -> None:
        os.close(self.fd)

    def _move(self, fd: int) -> None:
        os.close(self.fd)
        self.fd = fd


def visit(
    top: int,
    enter: Callable[[int], list[str]],
    leave: Callable[[str, int], None] = lambda _name, _above: None,
) -> None:
    """Walk the tree under the open folder `top`, without recursion.

    `enter(folder)` deals with a folder's files and returns the names of the sub-folders to visit;
    `leave(name, above)` comes after all of a sub-folder was visited. A sub-folder that vanishes before its
    turn is passed over.
    """
    cursor = _Cursor(top)
    try:
        pending = [enter(cursor.fd)]
        while True:
            if pending[-1]:
                try:
                    cursor.down(pending[-1].pop())
                except FileNotFoundError:
                    continue
                pending.append(enter(cursor.fd))
            elif len(pending) > 1:
                pending.pop()
                name = cursor.up()
                leave(name, cursor.fd)
            else:
                return
    finally:
        cursor.close()


def measure_folder(folder: int) -> tuple[int, int]:
    """Count the files that an open folder holds at any depth, and their bytes.

    A link or a special file is one file of its own size; folders are not counted.
    """
    files = size = 0

    def enter(fd: int) -> list[str]:
        nonlocal files, size
        folders, others = entries(fd)
        for other in others:
            with suppress(FileNotFoundError):
                size += os.stat(other, dir_fd=fd, follow_symlinks=False).st_size
                files += 1
        return folders

    visit(folder, enter)
    return files, size


def measure(name: str, parent: int) -> tuple[int, int]:
    """Count the same for whatever stands under a name; (0, 0) when it is gone."""
    with suppress(FileNotFoundError):
        if kind_of(name, parent) == "a folder":
            with closing(open_folder(name, parent)) as folder:
                return measure_folder(folder)
        return 1, os.stat(name, dir_fd=parent, follow_symlinks=False).st_size
    return 0, 0


def empty(folder: int) -> None:
    """Remove all that is in an open folder. What is gone already is no error."""

    def enter(fd: int) -> list[str]:
        folders, others = entries(fd)
        for other in others:
            with suppress(FileNotFoundError):
                os.unlink(other, dir_fd=fd)
        return folders

    visit(folder, enter, remove_empty)


def remove_empty(name: str, parent: int) -> None:
    """Remove an empty folder; ENOTEMPTY when something was put into it. A folder that is gone is no error."""
    with suppress(FileNotFoundError):
        os.rmdir(name, dir_fd=parent)


def remove(name: str, parent: int) -> None:
    """Remove whatever stands under a name, a link as a link. Nothing there is no error."""
    with suppress(FileNotFoundError):
        if kind_of(name, parent) != "a folder":
            os.unlink(name, dir_fd=parent)
            return
        with closing(open_folder(name, parent)) as folder:
            empty(folder)
        os.rmdir(name, dir_fd=parent)


def make_folder(name: str, parent: int) -> None:
    """Make a folder, for its owner alone. One that is there already is no error."""
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=parent)


def temporary_name() -> str:
    return f".changeover-{secrets.token_hex(8)}"


def write(name: str, parent: int, content: bytes) -> None:
    """Write a file so that a crash leaves the old content or the new one, never a part."""
    temporary = temporary_name()
    try:
        flags = _FILE | os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with os.fdopen(os.open(temporary, flags, 0o600, dir_fd=parent), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
    except OSError:
        remove(temporary, parent)
        raise
    os.fsync(parent)


def read(name: str, parent: int, most: int) -> bytes | None:
    """Return a file's first `most` bytes; None when there is no file. ELOOP when it is a link."""
    try:
        # Without O_NONBLOCK a named pipe put in the file's place would block for ever.
        fd = os.open(name, _FILE | os.O_RDONLY | os.O_NONBLOCK, dir_fd=parent)
    except FileNotFoundError:
        return None
    with closing(fd):
        return os.read(fd, most)
