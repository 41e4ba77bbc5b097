"""Unsubscribes are counted by month and source: an index of both, so that no month reads the episodes of all years"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index."""
    op.create_index("ix_unsubscribe_when", "unsubscribe", ["opted_out_at", "source"], unique=False)


def downgrade() -> None:
    """Take it away."""
    op.drop_index("ix_unsubscribe_when", table_name="unsubscribe")
