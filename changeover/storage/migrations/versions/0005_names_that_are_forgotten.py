"""closed changes whose servers' names were forgotten"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("plan_changes", sa.Column("names_forgotten_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_plan_changes_named",
        "plan_changes",
        ["closed_at"],
        sqlite_where=sa.text("names_forgotten_at IS NULL"),
        postgresql_where=sa.text("names_forgotten_at IS NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_plan_changes_named", "plan_changes")
    op.drop_column("plan_changes", "names_forgotten_at")
