"""forgotten accounts; the append-only tables can't be truncated either"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
APPEND_ONLY = ("trail", "receipts")


def upgrade() -> None:
    op.add_column("accounts", sa.Column("forgotten_at", INSTANT, nullable=True))
    op.add_column("accounts", sa.Column("forgotten_by", sa.String(length=60), nullable=True))
    if op.get_bind().dialect.name == "postgresql":  # SQLite has no TRUNCATE: its DELETE trigger holds
        for table in APPEND_ONLY:
            op.execute(
                f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
                "FOR EACH STATEMENT EXECUTE FUNCTION changeover_append_only()"
            )


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for table in APPEND_ONLY:
            op.execute(f"DROP TRIGGER {table}_no_truncate ON {table}")
    op.drop_column("accounts", "forgotten_by")
    op.drop_column("accounts", "forgotten_at")
