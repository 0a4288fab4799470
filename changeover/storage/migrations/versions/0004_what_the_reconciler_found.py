"""what the reconciler found"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "findings",
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("subject", sa.String(length=120), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("first_seen", INSTANT, nullable=False),
        sa.Column("last_seen", INSTANT, nullable=False),
        sa.Column("healed_at", INSTANT, nullable=True),
        sa.Column("healed_by", sa.String(length=20), nullable=True),
        sa.PrimaryKeyConstraint("kind", "subject", name=op.f("pk_findings")),
    )


def downgrade() -> None:
    op.drop_table("findings")
