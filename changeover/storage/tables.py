"""The tables. What may change a row, and who, is said at each; migrations/ makes them."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    text,
)

from changeover.domain.lifecycle import OPEN
from changeover.storage.types import Json, Utc

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# The catalogue: `setup` adds a version, nothing ever alters one. The newest is in force.

catalogues = Table(
    "catalogues",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("loaded_at", Utc, nullable=False),
    Column("checksum", String(64), nullable=False),
)

offers = Table(
    "offers",
    metadata,
    Column("catalogue_version", ForeignKey("catalogues.version"), primary_key=True, autoincrement=False),
    Column("code", String(40), primary_key=True),
    Column("game", String(40), nullable=False),
    Column("names", Json, nullable=False),
    Column("base", Integer, nullable=False),
    Column("per_slot", Integer, nullable=False),
    Column("min_slots", Integer, nullable=False),
    Column("max_slots", Integer, nullable=False),
    Column("slot_step", Integer, nullable=False),
    Column("most_servers", Integer, nullable=False),
    Column("visible", Boolean, nullable=False),
)

offer_options = Table(
    "offer_options",
    metadata,
    Column("catalogue_version", Integer, primary_key=True, autoincrement=False),
    Column("offer_code", String(40), primary_key=True),
    Column("code", String(40), primary_key=True),
    Column("names", Json, nullable=False),
    Column("price", Integer, nullable=False),
    Column("per", String(10), nullable=False),
    Column("visible", Boolean, nullable=False),
    ForeignKeyConstraint(
        ["catalogue_version", "offer_code"],
        ["offers.catalogue_version", "offers.code"],
        name="fk_offer_options_offer",
    ),
)

# Customers and what they rent: the host's own data, kept here. A forgotten account (`forgotten_at` is set, by
# `forget_account` only) has no address and no names any more, and is found by operators alone.

accounts = Table(
    "accounts",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("email", String(254), nullable=False),
    Column("language", String(2), nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("forgotten_at", Utc),
    Column("forgotten_by", String(60)),
)

passes = Table(
    "passes",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("account_id", ForeignKey("accounts.id"), nullable=False, index=True),
    Column("granted_at", Utc, nullable=False),
    Column("spent_at", Utc),
    Column("spent_by", ForeignKey("plan_changes.id"), unique=True),
)

services = Table(
    "services",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("account_id", ForeignKey("accounts.id"), nullable=False, index=True),
    Column("name", String(60), nullable=False),
    Column("offer_code", String(40), nullable=False),
    Column("slots", Integer, nullable=False),
    Column("options", Json, nullable=False),
    Column("server_count", Integer, nullable=False),
    Column("expires_at", Utc, nullable=False),
    Column("last_committed_at", Utc),
    Column("recurring_payment_active", Boolean, nullable=False),
    Column("created_at", Utc, nullable=False),
)

servers = Table(
    "servers",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("service_id", ForeignKey("services.id"), nullable=False, index=True),
    Column("name", String(60), nullable=False),
    Column("address", String(60), nullable=False),
    Column("state", String(20), nullable=False),
    Column("backups", Integer, nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("created_by", ForeignKey("plan_changes.id")),
    Column("marked_at", Utc),
    Column("destroyed_by", ForeignKey("plan_changes.id")),
    Column("destroyed_at", Utc),
    CheckConstraint("state IN ('creating', 'active', 'marked', 'destroying', 'destroyed')", name="state"),
)

# An address belongs to one server, or is free from `free_from` on (its quarantine), or is held back.

addresses = Table(
    "addresses",
    metadata,
    Column("address", String(60), primary_key=True),
    Column("server_id", ForeignKey("servers.id"), unique=True),
    Column("free_from", Utc),
    Column("held", Boolean, nullable=False),
    Index(
        "ix_addresses_free",
        "free_from",
        sqlite_where=text("server_id IS NULL"),
        postgresql_where=text("server_id IS NULL"),
    ),
)

# One attempt to move a service, written by activities only: the quote that was accepted, where the change
# stands with its code, and what became of it. Since `names_forgotten_at` no name of a server is in it.

_open_stages = ", ".join(f"'{stage}'" for stage in sorted(OPEN))
is_open = text(f"stage IN ({_open_stages})")

plan_changes = Table(
    "plan_changes",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("service_id", ForeignKey("services.id"), nullable=False),
    Column("account_id", ForeignKey("accounts.id"), nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("stage", String(20), nullable=False),
    Column("reason", String(40)),
    Column("cause", String(40)),
    Column("refusal", Json),
    Column("before", Json, nullable=False),
    Column("after", Json, nullable=False),
    Column("terms", Json),
    Column("destroys", Json, nullable=False),
    Column("creates", Integer, nullable=False),
    Column("spends_pass", Boolean, nullable=False),
    Column("as_of", Utc, nullable=False),
    Column("window_ends_at", Utc),
    Column("days_before", Integer),
    Column("days_after", Integer),
    Column("new_expires_at", Utc),
    Column("confirmation_digest", String(64)),
    Column("code_key_id", String(40)),
    Column("code_number", Integer, nullable=False),
    Column("code_handed_over_at", Utc),
    Column("code_expires_at", Utc),
    Column("wrong_on_code", Integer, nullable=False),
    Column("wrong_on_change", Integer, nullable=False),
    Column("accepted_proof", String(64)),
    Column("committed_at", Utc),
    Column("closed_at", Utc),
    Column("names_forgotten_at", Utc),
    Index("uq_plan_changes_open", "service_id", unique=True, sqlite_where=is_open, postgresql_where=is_open),
    Index("ix_plan_changes_service", "service_id", "as_of"),
    Index("ix_plan_changes_account", "account_id"),
    Index(
        "ix_plan_changes_named",
        "closed_at",
        sqlite_where=text("names_forgotten_at IS NULL"),
        postgresql_where=text("names_forgotten_at IS NULL"),
    ),
)

code_tries = Table(
    "code_tries",
    metadata,
    Column("change_id", ForeignKey("plan_changes.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("proof", String(64), primary_key=True),
    Column("at", Utc, nullable=False),
)

# What happened, in order. Append-only: triggers refuse anything else.

trail = Table(
    "trail",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("change_id", ForeignKey("plan_changes.id"), nullable=False, index=True),
    Column("at", Utc, nullable=False),
    Column("event", String(40), nullable=False),
    Column("stage", String(20), nullable=False),
    Column("actor", String(60), nullable=False),
    Column("data", Json, nullable=False),
)

# What a committed change still has to do on hosts, one row a server: written by commit, then by activities.

tasks = Table(
    "tasks",
    metadata,
    Column("change_id", ForeignKey("plan_changes.id"), primary_key=True),
    Column("kind", String(10), primary_key=True),
    Column("server_id", ForeignKey("servers.id"), primary_key=True),
    Column("address", String(60), nullable=False),
    Column("state", String(20), nullable=False),
    Column("step", String(20)),  # of older workers, beside whom newer ones run: the receipts say it
    Column("problem", Text),
    Column("problem_since", Utc),
    Column("address_held", Boolean, nullable=False),
    Column("done_at", Utc),
    CheckConstraint("kind IN ('create', 'limits', 'teardown')", name="kind"),
    CheckConstraint("state IN ('pending', 'attention', 'done', 'skipped')", name="state"),
    Index("ix_tasks_server", "server_id"),
)

receipts = Table(
    "receipts",
    metadata,
    Column("change_id", ForeignKey("plan_changes.id"), primary_key=True),
    Column("server_id", ForeignKey("servers.id"), primary_key=True),
    Column("step", String(20), primary_key=True),
    Column("at", Utc, nullable=False),
    Column("evidence", Json, nullable=False),
)

# The starter's own: what a key was answered with. An account's key belongs to one route.

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("account_id", ForeignKey("accounts.id"), primary_key=True),
    Column("route", String(120), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("answer", Json, nullable=False),
    Column("created_at", Utc, nullable=False),
)

# Who may speak for the host's panel, and customers that it handed over. Only hashes of secrets are kept.

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("name", String(60), nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
    Column("created_at", Utc, nullable=False),
    Column("revoked_at", Utc),
)

panel_links = Table(
    "panel_links",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("account_id", ForeignKey("accounts.id"), nullable=False),
    Column("expires_at", Utc, nullable=False),
    Column("used_at", Utc),
)

panel_sessions = Table(
    "panel_sessions",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("account_id", ForeignKey("accounts.id"), nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("expires_at", Utc, nullable=False),
)

# What the reconciler found that should never be: written by it alone. Without `healed_at` it needs attention.

findings = Table(
    "findings",
    metadata,
    Column("kind", String(40), primary_key=True),
    Column("subject", String(120), primary_key=True),
    Column("detail", Text, nullable=False),
    Column("first_seen", Utc, nullable=False),
    Column("last_seen", Utc, nullable=False),
    Column("healed_at", Utc),
    Column("healed_by", String(20)),
)
