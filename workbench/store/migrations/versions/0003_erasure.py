"""Erasure: what outlasts an erased person, emptying the details of unsubscribes; and what became of each consent"""

import sqlalchemy as sa
from alembic import op

from workbench.store.schema import Instant

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_REWRITTEN = """NEW.unsubscribe_id <> OLD.unsubscribe_id OR NEW.person_id <> OLD.person_id OR NEW.opted_out_at <> OLD.opted_out_at
         OR NEW.source <> OLD.source OR NEW.recorded_at <> OLD.recorded_at"""
_NOT_CLOSING = "OLD.closed_at IS NOT NULL OR NEW.closed_at IS NULL"
# Once a person is erased, what an episode says in free text may be emptied; when and by what they opted out stays.
_EMPTYING = """NEW.detail = '' AND NEW.closed_at IS OLD.closed_at AND NEW.closed_by_intent IS OLD.closed_by_intent
         AND NEW.recorded_by = OLD.recorded_by
         AND EXISTS (SELECT 1 FROM person WHERE person_id = OLD.person_id AND erased_at IS NOT NULL)"""


def _close_only(allowed: str) -> str:
    return f"""CREATE TRIGGER unsubscribe_close_only BEFORE UPDATE ON unsubscribe WHEN {_REWRITTEN} OR {allowed}
       BEGIN SELECT RAISE(ABORT, 'an unsubscribe is never deleted or rewritten, only closed'); END"""


# PostgreSQL takes no subquery in a trigger's condition.
_POSTGRESQL = f"""CREATE OR REPLACE FUNCTION unsubscribe_close_only() RETURNS trigger LANGUAGE plpgsql AS
   $$ BEGIN
     IF {_REWRITTEN} OR (({_NOT_CLOSING}) AND NOT ({_EMPTYING.replace(" IS OLD", " IS NOT DISTINCT FROM OLD")})) THEN
       RAISE EXCEPTION 'an unsubscribe is never deleted or rewritten, only closed' USING ERRCODE = 'integrity_constraint_violation';
     END IF;
     RETURN NEW;
   END $$"""
_GUARD = "CREATE TRIGGER unsubscribe_guard BEFORE UPDATE ON unsubscribe FOR EACH ROW"


def _replace_guard(sqlite: str, *postgresql: str) -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP TRIGGER unsubscribe_guard ON unsubscribe")
        for statement in postgresql:
            op.execute(statement)
    else:
        op.execute("DROP TRIGGER unsubscribe_close_only")
        op.execute(sqlite)


def upgrade() -> None:
    op.create_table(
        "suppressed_record",
        sa.Column("record_id", sa.String(length=18), nullable=False),
        sa.Column("since", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("record_id", name=("pk_suppressed_record")),
    )
    op.create_table(
        "outlasting_evidence",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("erase_after", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["sha256"], ["evidence.sha256"], name=("fk_outlasting_evidence_sha256")),
        sa.PrimaryKeyConstraint("sha256", name=("pk_outlasting_evidence")),
    )
    op.create_table(
        "consent_state",
        sa.Column("state_id", sa.String(length=36), nullable=False),
        sa.Column("consent_id", sa.String(length=36), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("since", Instant(), nullable=False),
        sa.Column("recorded_at", Instant(), nullable=False),
        sa.Column("recorded_by", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(["consent_id"], ["consent.consent_id"], name=("fk_consent_state_consent_id")),
        sa.PrimaryKeyConstraint("state_id", name=("pk_consent_state")),
    )
    with op.batch_alter_table("consent_state", schema=None) as batch_op:
        batch_op.create_index(("ix_consent_state_consent_id"), ["consent_id"], unique=False)
    # Of what was recorded before, the newest state is known; the trail has the others. The consent's id serves as the row's.
    op.execute(
        """INSERT INTO consent_state (state_id, consent_id, state, since, recorded_at, recorded_by)
           SELECT consent_id, consent_id, state, coalesce(given_at, recorded_at), recorded_at, recorded_by FROM consent"""
    )
    _replace_guard(
        _close_only(f"(({_NOT_CLOSING}) AND NOT ({_EMPTYING}))"),
        _POSTGRESQL,
        f"{_GUARD} EXECUTE FUNCTION unsubscribe_close_only()",
    )


def downgrade() -> None:
    only_closed = "register_refuses('an unsubscribe is never deleted or rewritten, only closed')"
    _replace_guard(_close_only(_NOT_CLOSING), f"{_GUARD} WHEN ({_REWRITTEN} OR {_NOT_CLOSING}) EXECUTE FUNCTION {only_closed}")
    op.drop_table("consent_state")
    op.drop_table("outlasting_evidence")
    op.drop_table("suppressed_record")
