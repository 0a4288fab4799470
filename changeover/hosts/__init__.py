"""Where game servers really live: the port, and its drivers."""

from pathlib import Path

from changeover.hosts.local import LocalHost
from changeover.hosts.port import (
    Backup,
    Contents,
    Host,
    HostError,
    HostRefused,
    HostUnavailable,
    Limits,
    ServerSpec,
)

__all__ = [
    "Backup",
    "Contents",
    "Host",
    "HostError",
    "HostRefused",
    "HostUnavailable",
    "Limits",
    "LocalHost",
    "ServerSpec",
    "open_host",
]

_DRIVERS = {"local": LocalHost}


def open_host(driver: str, root: Path) -> Host:
    """Return the host that the settings name; `ValueError` for a driver that there is none of."""
    try:
        return _DRIVERS[driver](root)
    except KeyError:
        known = ", ".join(sorted(_DRIVERS))
        raise ValueError(f"there is no host driver {driver!r}; there is: {known}") from None
