"""CPU time and memory of the processes that do the work."""

from collections.abc import Iterable

import psutil


class Group:
    """Processes by the part that they play."""

    def __init__(self, **parts: list[int]) -> None:
        self._parts = {name: [psutil.Process(pid) for pid in pids] for name, pids in parts.items() if pids}

    def cpu(self) -> dict[str, float]:
        """Return the CPU seconds that each part has used so far."""
        return {name: sum(map(_cpu, processes)) for name, processes in self._parts.items()}

    def memory(self) -> dict[str, float]:
        """Return the resident megabytes (10^6 bytes) of each part but a database server.

        Its processes share most of theirs, as much as its configuration says.
        """
        parts = self._parts.items()
        return {name: _memory(processes) for name, processes in parts if name != "database"}


def _cpu(process: psutil.Process) -> float:
    """Return the CPU seconds of a process and of its children, those that ended included."""
    times = process.cpu_times()
    used: float = times.user + times.system + times.children_user + times.children_system
    for child in process.children(recursive=True):
        try:
            of_child = child.cpu_times()
        except psutil.NoSuchProcess:
            continue
        used += of_child.user + of_child.system
    return used


def _memory(processes: Iterable[psutil.Process]) -> float:
    return sum(process.memory_info().rss for process in processes) / 1e6


def used(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """Return the CPU seconds of each part between two readings."""
    return {name: after[name] - before[name] for name in before}
