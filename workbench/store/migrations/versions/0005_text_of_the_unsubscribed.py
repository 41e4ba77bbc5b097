"""Text is searched for in whole: with a register in a file, an index that holds what is searched of the unsubscribed people"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

NAME = "ix_person_unsubscribed_text"


def upgrade() -> None:
    """Add the index."""
    if op.get_bind().dialect.name == "sqlite":
        columns = ["unsubscribed_at", "person_id", "email", "first_name", "last_name", "company"]
        present = sa.text("unsubscribed_at IS NOT NULL AND erased_at IS NULL")
        op.create_index(NAME, "person", columns, unique=False, sqlite_where=present)


def downgrade() -> None:
    """Take it away."""
    if op.get_bind().dialect.name == "sqlite":
        op.drop_index(NAME, table_name="person")
