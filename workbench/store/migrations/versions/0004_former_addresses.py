"""Former addresses are looked up by the address: for opt-outs that name one, and records that still have one"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index."""
    op.create_index("ix_address_change_old_email", "address_change", ["old_email"], unique=False)


def downgrade() -> None:
    """Take it away."""
    op.drop_index("ix_address_change_old_email", table_name="address_change")
