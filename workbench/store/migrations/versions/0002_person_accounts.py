"""Org records: the account of which a contact is the hidden half"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; it is filled by the next full pull."""
    with op.batch_alter_table("org_record", schema=None) as batch_op:
        batch_op.add_column(sa.Column("person_account", sa.String(length=18), nullable=True))
        batch_op.create_index("ix_org_record_person_account", ["person_account", "record_id"], unique=False)


def downgrade() -> None:
    """Take it away."""
    with op.batch_alter_table("org_record", schema=None) as batch_op:
        batch_op.drop_index("ix_org_record_person_account")
        batch_op.drop_column("person_account")
