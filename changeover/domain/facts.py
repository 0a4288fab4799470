"""What the rules look at: a service, its servers and the host's policy, as they are at one moment."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from changeover.domain.catalogue import Configuration


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server that is not destroyed. `backups` is what the host last counted; it is informative."""

    id: str
    name: str
    address: str
    marked: bool = False
    backups: int = 0


@dataclass(frozen=True, kw_only=True)
class Facts:
    """A service and all that a change of it depends on.

    `passes` are the account's unspent instant-change passes; `free_addresses` those that may be given now;
    `last_committed_at` is when a change of the service was last committed.
    """

    service_id: str
    configuration: Configuration
    expires_at: datetime
    servers: tuple[Server, ...]
    last_committed_at: datetime | None = None
    recurring_payment_active: bool = False
    open_change: str | None = None
    passes: int = 0
    free_addresses: int = 0

    @property
    def marked(self) -> tuple[Server, ...]:
        return tuple(server for server in self.servers if server.marked)

    @property
    def kept(self) -> tuple[Server, ...]:
        return tuple(server for server in self.servers if not server.marked)


@dataclass(frozen=True, kw_only=True)
class Policy:
    """The host's figures. Days are 86,400 s."""

    min_days_after: int = 1
    max_days_after: int = 3650
    cooldown: timedelta = field(default=timedelta(days=30))
