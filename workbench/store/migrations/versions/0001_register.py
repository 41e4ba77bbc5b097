"""The register: people, unsubscribes, org records, consents, batches, trail"""

import sqlalchemy as sa
from alembic import op

from workbench.store.schema import Instant

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _forbid(table: str, verb: str, why: str) -> str:
    return f"""CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} BEGIN SELECT RAISE(ABORT, '{why}'); END"""


def _forbid_replacing(table: str, key: str, why: str) -> str:
    """INSERT OR REPLACE fires no DELETE trigger on a connection without recursive_triggers, such as the sqlite3 shell's."""
    again = f"NEW.{key} IN (SELECT {key} FROM {table})"  # noqa: S608 - names from this file, not values
    return f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} WHEN {again} BEGIN SELECT RAISE(ABORT, '{why}'); END"


_REWRITTEN = """NEW.unsubscribe_id <> OLD.unsubscribe_id OR NEW.person_id <> OLD.person_id OR NEW.opted_out_at <> OLD.opted_out_at
         OR NEW.source <> OLD.source OR NEW.recorded_at <> OLD.recorded_at OR OLD.closed_at IS NOT NULL OR NEW.closed_at IS NULL"""
_NOT_ERASING = "NEW.seq <> OLD.seq OR NEW.salt IS NOT NULL OR NEW.payload IS NOT NULL OR NEW.erased_at IS NULL"

# What an accident, a hurried script or a careless query must not do to the proof. On SQLite whoever may write the file can drop
# these; that is what the signed checkpoints are for.
GUARDS = (
    _forbid("trail_event", "UPDATE", "the trail is append-only"),
    _forbid("trail_event", "DELETE", "the trail is append-only"),
    """CREATE TRIGGER trail_event_gapless BEFORE INSERT ON trail_event
       WHEN NEW.seq <> (SELECT coalesce(max(seq) + 1, 0) FROM trail_event)
       BEGIN SELECT RAISE(ABORT, 'the trail is append-only: seq must be the next one'); END""",
    _forbid("trail_checkpoint", "UPDATE", "the trail is append-only"),
    _forbid("trail_checkpoint", "DELETE", "the trail is append-only"),
    _forbid_replacing("trail_checkpoint", "size", "the trail is append-only"),
    f"""CREATE TRIGGER trail_payload_erase_only BEFORE UPDATE ON trail_payload
       WHEN {_NOT_ERASING}
       BEGIN SELECT RAISE(ABORT, 'the trail is append-only: a payload can only be erased'); END""",
    _forbid("trail_payload", "DELETE", "the trail is append-only"),
    _forbid_replacing("trail_payload", "seq", "the trail is append-only"),
    _forbid("unsubscribe", "DELETE", "an unsubscribe is never deleted"),
    _forbid_replacing("unsubscribe", "unsubscribe_id", "an unsubscribe is never deleted or rewritten"),
    f"""CREATE TRIGGER unsubscribe_close_only BEFORE UPDATE ON unsubscribe
       WHEN {_REWRITTEN}
       BEGIN SELECT RAISE(ABORT, 'an unsubscribe is never deleted or rewritten, only closed'); END""",
)


def _refused(table: str, event: str, why: str, *, when: str = "") -> str:
    """A trigger of PostgreSQL; TRUNCATE fires none for rows, so it has its own."""
    each, condition = ("STATEMENT" if event == "TRUNCATE" else "ROW"), (f" WHEN ({when})" if when else "")
    name = f"{table}_no_{event.lower()}" if not when else f"{table}_guard"
    return (
        f"CREATE TRIGGER {name} BEFORE {event} ON {table} FOR EACH {each}{condition} EXECUTE FUNCTION register_refuses('{why}')"
    )


POSTGRESQL_GUARDS = (
    """CREATE OR REPLACE FUNCTION register_refuses() RETURNS trigger LANGUAGE plpgsql AS
       $$ BEGIN RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'integrity_constraint_violation'; END $$""",
    """CREATE OR REPLACE FUNCTION trail_without_gaps() RETURNS trigger LANGUAGE plpgsql AS
       $$ BEGIN
         IF NEW.seq <> (SELECT coalesce(max(seq) + 1, 0) FROM trail_event) THEN
           RAISE EXCEPTION 'the trail is append-only: seq must be the next one' USING ERRCODE = 'integrity_constraint_violation';
         END IF;
         RETURN NEW;
       END $$""",
    *(
        _refused(table, event, "the trail is append-only")
        for table in ("trail_event", "trail_checkpoint")
        for event in ("UPDATE", "DELETE", "TRUNCATE")
    ),
    "CREATE TRIGGER trail_event_gapless BEFORE INSERT ON trail_event FOR EACH ROW EXECUTE FUNCTION trail_without_gaps()",
    _refused("trail_payload", "UPDATE", "the trail is append-only: a payload can only be erased", when=_NOT_ERASING),
    *(_refused("trail_payload", event, "the trail is append-only") for event in ("DELETE", "TRUNCATE")),
    *(_refused("unsubscribe", event, "an unsubscribe is never deleted") for event in ("DELETE", "TRUNCATE")),
    _refused("unsubscribe", "UPDATE", "an unsubscribe is never deleted or rewritten, only closed", when=_REWRITTEN),
)


def upgrade() -> None:
    op.create_table(
        "batch",
        sa.Column("batch_id", sa.String(length=36), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("proposed_by", sa.Text(), nullable=False),
        sa.Column("proposed_at", Instant(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("policy_digest", sa.String(length=64), nullable=False),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.Column("approved_at", Instant(), nullable=True),
        sa.Column("approved_digest", sa.String(length=64), nullable=True),
        sa.Column("started_at", Instant(), nullable=True),
        sa.Column("finished_at", Instant(), nullable=True),
        sa.Column("pause_cause", sa.Text(), server_default="", nullable=False),
        sa.CheckConstraint(
            "state IN ('proposed', 'approved', 'running', 'paused', 'finished', 'cancelled', 'undone')",
            name=op.f("ck_batch_known_state"),
        ),
        sa.PrimaryKeyConstraint("batch_id", name=("pk_batch")),
    )
    op.create_table(
        "evidence",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("stored_at", Instant(), nullable=False),
        sa.Column("stored_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=("pk_evidence")),
    )
    op.create_table(
        "import_run",
        sa.Column("import_id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("file_sha256", sa.String(length=64), nullable=False),
        sa.Column("operator", sa.Text(), nullable=False),
        sa.Column("imported_at", Instant(), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("import_id", name=("pk_import_run")),
    )
    op.create_table(
        "lease",
        sa.Column("person_id", sa.String(length=36), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("token", sa.Integer(), nullable=False),
        sa.Column("expires_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("person_id", name=("pk_lease")),
    )
    op.create_table(
        "mismatch",
        sa.Column("mismatch_id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("person_id", sa.String(length=36), nullable=False),
        sa.Column("record_id", sa.String(length=18), nullable=False),
        sa.Column("detail", sa.Text(), server_default="", nullable=False),
        sa.Column("forecast", sa.Text(), server_default="", nullable=False),
        sa.Column("since", Instant(), nullable=True),
        sa.Column("first_seen", Instant(), nullable=False),
        sa.Column("last_seen", Instant(), nullable=False),
        sa.Column("resolved_at", Instant(), nullable=True),
        sa.Column("resolved_by", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("mismatch_id", name=("pk_mismatch")),
    )
    with op.batch_alter_table("mismatch", schema=None) as batch_op:
        batch_op.create_index("ix_mismatch_person", ["person_id", "resolved_at"], unique=False)
        batch_op.create_index(
            "uq_mismatch_open",
            ["kind", "person_id", "record_id"],
            unique=True,
            sqlite_where=sa.text("resolved_at IS NULL"),
            postgresql_where=sa.text("resolved_at IS NULL"),
        )

    op.create_table(
        "operator_grant",
        sa.Column("grant_id", sa.String(length=36), nullable=False),
        sa.Column("operator", sa.Text(), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("granted_by", sa.Text(), nullable=False),
        sa.Column("granted_at", Instant(), nullable=False),
        sa.Column("revoked_by", sa.Text(), nullable=True),
        sa.Column("revoked_at", Instant(), nullable=True),
        sa.CheckConstraint("role IN ('analyst', 'admin', 'auditor')", name=op.f("ck_operator_grant_known_role")),
        sa.PrimaryKeyConstraint("grant_id", name=("pk_operator_grant")),
    )
    with op.batch_alter_table("operator_grant", schema=None) as batch_op:
        batch_op.create_index(("ix_operator_grant_operator"), ["operator"], unique=False)

    op.create_table(
        "org_history",
        sa.Column("record_id", sa.String(length=18), nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("new_value", sa.Boolean(), nullable=False),
        sa.Column("old_value", sa.Boolean(), nullable=True),
        sa.Column("by", sa.String(length=18), nullable=False),
        sa.Column("by_name", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("record_id", "field", "at", "new_value", name=("pk_org_history")),
    )
    op.create_table(
        "org_record",
        sa.Column("record_id", sa.String(length=18), nullable=False),
        sa.Column("object", sa.String(length=16), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("email_as_given", sa.Text(), nullable=False),
        sa.Column("first_name", sa.Text(), server_default="", nullable=False),
        sa.Column("last_name", sa.Text(), server_default="", nullable=False),
        sa.Column("company", sa.Text(), server_default="", nullable=False),
        sa.Column("opted_out", sa.Boolean(), nullable=False),
        sa.Column("opt_outs", sa.JSON(), nullable=False),
        sa.Column("fields_differ", sa.Boolean(), nullable=False),
        sa.Column("system_modstamp", Instant(), nullable=False),
        sa.Column("last_modified_date", Instant(), nullable=False),
        sa.Column("last_modified_by", sa.String(length=18), nullable=False),
        sa.Column("is_deleted", sa.Boolean(), nullable=False),
        sa.Column("is_converted", sa.Boolean(), nullable=False),
        sa.Column("converted_contact_id", sa.String(length=18), nullable=True),
        sa.Column("merged_into", sa.String(length=18), nullable=True),
        sa.Column("bounced_at", Instant(), nullable=True),
        sa.Column("seen_at", Instant(), nullable=False),
        sa.Column("snapshot_id", sa.String(length=36), nullable=False),
        sa.PrimaryKeyConstraint("record_id", name=("pk_org_record")),
    )
    with op.batch_alter_table("org_record", schema=None) as batch_op:
        batch_op.create_index("ix_org_record_email", ["email", "opted_out", "record_id"], unique=False)
        batch_op.create_index("ix_org_record_flag", ["record_id", "opted_out", "email"], unique=False)

    op.create_table(
        "person",
        sa.Column("person_id", sa.String(length=36), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("email_as_given", sa.Text(), nullable=False),
        sa.Column("domain", sa.Text(), nullable=False),
        sa.Column("first_name", sa.Text(), server_default="", nullable=False),
        sa.Column("last_name", sa.Text(), server_default="", nullable=False),
        sa.Column("company", sa.Text(), server_default="", nullable=False),
        sa.Column("title", sa.Text(), server_default="", nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.Column("unsubscribed_at", Instant(), nullable=True),
        sa.Column("unsubscribe_source", sa.String(length=20), nullable=True),
        sa.Column("erased_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("person_id", name=("pk_person")),
        sa.UniqueConstraint("external_id", name=("uq_person_external_id")),
    )
    with op.batch_alter_table("person", schema=None) as batch_op:
        batch_op.create_index("ix_person_company", ["company", "person_id"], unique=False)
        batch_op.create_index("ix_person_domain", ["domain", "person_id"], unique=False)
        batch_op.create_index("ix_person_email", ["email", "person_id"], unique=False)
        batch_op.create_index("ix_person_last_name", ["last_name", "person_id"], unique=False)
        batch_op.create_index("ix_person_unsubscribed", ["unsubscribed_at", "person_id"], unique=False)

    op.create_table(
        "report",
        sa.Column("report_id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("files", sa.JSON(), nullable=False),
        sa.Column("issued_at", Instant(), nullable=False),
        sa.Column("issued_by", sa.Text(), nullable=False),
        sa.Column("checkpoint_size", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("report_id", name=("pk_report")),
    )
    op.create_table(
        "setting",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=("pk_setting")),
    )
    op.create_table(
        "snapshot",
        sa.Column("snapshot_id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("org_id", sa.String(length=18), nullable=False),
        sa.Column("started_at", Instant(), nullable=False),
        sa.Column("covered_until", Instant(), nullable=True),
        sa.Column("finished_at", Instant(), nullable=True),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.CheckConstraint("kind IN ('full', 'delta')", name=op.f("ck_snapshot_known_kind")),
        sa.PrimaryKeyConstraint("snapshot_id", name=("pk_snapshot")),
    )
    op.create_table(
        "suppression",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("since", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=("pk_suppression")),
    )
    op.create_table(
        "sync_run",
        sa.Column("run_id", sa.String(length=36), nullable=False),
        sa.Column("operator", sa.Text(), nullable=False),
        sa.Column("started_at", Instant(), nullable=False),
        sa.Column("finished_at", Instant(), nullable=True),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", name=("pk_sync_run")),
    )
    op.create_table(
        "trail_checkpoint",
        sa.Column("size", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("made_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("size", name=("pk_trail_checkpoint")),
    )
    op.create_table(
        "trail_event",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("leaf_bytes", sa.LargeBinary(), nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary(), nullable=False),
        sa.Column("ts", Instant(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.String(length=40), nullable=False),
        sa.Column("batch_id", sa.String(length=36), nullable=True),
        sa.Column("subject", sa.String(length=36), nullable=True),
        sa.PrimaryKeyConstraint("seq", name=("pk_trail_event")),
    )
    with op.batch_alter_table("trail_event", schema=None) as batch_op:
        batch_op.create_index(("ix_trail_event_action"), ["action"], unique=False)
        batch_op.create_index(("ix_trail_event_batch_id"), ["batch_id"], unique=False)
        batch_op.create_index(("ix_trail_event_subject"), ["subject"], unique=False)
        batch_op.create_index(("ix_trail_event_ts"), ["ts"], unique=False)

    op.create_table(
        "trail_frontier",
        sa.Column("size", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("hashes", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("size", name=("pk_trail_frontier")),
    )
    op.create_table(
        "trail_payload",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=True),
        sa.Column("payload", sa.LargeBinary(), nullable=True),
        sa.Column("erased_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("seq", name=("pk_trail_payload")),
    )
    op.create_table(
        "trail_subject",
        sa.Column("person_id", sa.String(length=36), nullable=False),
        sa.Column("subject", sa.String(length=36), nullable=False),
        sa.PrimaryKeyConstraint("person_id", name=("pk_trail_subject")),
        sa.UniqueConstraint("subject", name=("uq_trail_subject_subject")),
    )
    op.create_table(
        "address_change",
        sa.Column("change_id", sa.String(length=36), nullable=False),
        sa.Column("person_id", sa.String(length=36), nullable=False),
        sa.Column("old_email", sa.Text(), nullable=False),
        sa.Column("new_email", sa.Text(), nullable=False),
        sa.Column("changed_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.person_id"], name=("fk_address_change_person_id")),
        sa.PrimaryKeyConstraint("change_id", name=("pk_address_change")),
    )
    with op.batch_alter_table("address_change", schema=None) as batch_op:
        batch_op.create_index(("ix_address_change_person_id"), ["person_id"], unique=False)

    op.create_table(
        "consent",
        sa.Column("consent_id", sa.String(length=36), nullable=False),
        sa.Column("person_id", sa.String(length=36), nullable=False),
        sa.Column("given_at", Instant(), nullable=True),
        sa.Column("recorded_at", Instant(), nullable=False),
        sa.Column("recorded_by", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("valid_until", Instant(), nullable=True),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.person_id"], name=("fk_consent_person_id")),
        sa.PrimaryKeyConstraint("consent_id", name=("pk_consent")),
    )
    with op.batch_alter_table("consent", schema=None) as batch_op:
        batch_op.create_index("ix_consent_person", ["person_id", "given_at"], unique=False)

    op.create_table(
        "intent",
        sa.Column("intent_id", sa.String(length=36), nullable=False),
        sa.Column("batch_id", sa.String(length=36), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("person_id", sa.String(length=36), nullable=False),
        sa.Column("consent_id", sa.String(length=36), nullable=True),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("findings", sa.JSON(), nullable=False),
        sa.Column("planned_rows", sa.JSON(), nullable=False),
        sa.Column("person_version", sa.Integer(), nullable=False),
        sa.Column("consent_digest", sa.String(length=64), nullable=False),
        sa.Column("refusals", sa.JSON(), nullable=False),
        sa.Column("base", sa.JSON(), nullable=False),
        sa.Column("base_version", sa.Integer(), server_default="0", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("holds_person", sa.Boolean(), nullable=False),
        sa.Column("cause", sa.Text(), server_default="", nullable=False),
        sa.Column("changed_at", Instant(), nullable=False),
        sa.Column("done_at", Instant(), nullable=True),
        sa.CheckConstraint(
            "state IN ('PROPOSED', 'POSTPONED', 'PLANNED', 'REFUSED', 'SENT', 'VERIFIED', 'DONE', 'ABORTING', 'ABORTED', 'UNDOING', 'UNDONE')",
            name=op.f("ck_intent_known_state"),
        ),
        sa.ForeignKeyConstraint(["batch_id"], ["batch.batch_id"], name=("fk_intent_batch_id")),
        sa.ForeignKeyConstraint(["person_id"], ["person.person_id"], name=("fk_intent_person_id")),
        sa.PrimaryKeyConstraint("intent_id", name=("pk_intent")),
    )
    with op.batch_alter_table("intent", schema=None) as batch_op:
        batch_op.create_index("ix_intent_batch", ["batch_id", "position"], unique=False)
        batch_op.create_index("ix_intent_person", ["person_id", "state"], unique=False)
        batch_op.create_index(
            "uq_intent_one_batch_a_person",
            ["person_id"],
            unique=True,
            sqlite_where=sa.text("holds_person = 1"),
            postgresql_where=sa.text("holds_person"),
        )

    op.create_table(
        "link",
        sa.Column("person_id", sa.String(length=36), nullable=False),
        sa.Column("record_id", sa.String(length=18), nullable=False),
        sa.Column("how", sa.String(length=8), nullable=False),
        sa.CheckConstraint("how IN ('id', 'address')", name=op.f("ck_link_known_how")),
        sa.ForeignKeyConstraint(["person_id"], ["person.person_id"], name=("fk_link_person_id")),
        sa.PrimaryKeyConstraint("person_id", "record_id", name=("pk_link")),
    )
    with op.batch_alter_table("link", schema=None) as batch_op:
        batch_op.create_index("ix_link_record", ["record_id", "person_id"], unique=False)

    op.create_table(
        "person_salesforce_id",
        sa.Column("person_id", sa.String(length=36), nullable=False),
        sa.Column("record_id", sa.String(length=18), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.person_id"], name=("fk_person_salesforce_id_person_id")),
        sa.PrimaryKeyConstraint("person_id", "record_id", name=("pk_person_salesforce_id")),
    )
    with op.batch_alter_table("person_salesforce_id", schema=None) as batch_op:
        batch_op.create_index("ix_person_salesforce_id_record", ["record_id", "person_id"], unique=False)

    op.create_table(
        "unsubscribe",
        sa.Column("unsubscribe_id", sa.String(length=36), nullable=False),
        sa.Column("person_id", sa.String(length=36), nullable=False),
        sa.Column("opted_out_at", Instant(), nullable=False),
        sa.Column("source", sa.String(length=20), nullable=False),
        sa.Column("detail", sa.Text(), server_default="", nullable=False),
        sa.Column("recorded_at", Instant(), nullable=False),
        sa.Column("recorded_by", sa.Text(), nullable=False),
        sa.Column("closed_at", Instant(), nullable=True),
        sa.Column("closed_by_intent", sa.String(length=36), nullable=True),
        sa.CheckConstraint(
            "source IN ('clicked_link', 'manual', 'salesforce_sync', 'bounce', 'spam_complaint', 'import')",
            name=op.f("ck_unsubscribe_known_source"),
        ),
        sa.ForeignKeyConstraint(["person_id"], ["person.person_id"], name=("fk_unsubscribe_person_id")),
        sa.PrimaryKeyConstraint("unsubscribe_id", name=("pk_unsubscribe")),
    )
    with op.batch_alter_table("unsubscribe", schema=None) as batch_op:
        batch_op.create_index("ix_unsubscribe_person", ["person_id", "closed_at", "opted_out_at"], unique=False)

    op.create_table(
        "consent_evidence",
        sa.Column("consent_id", sa.String(length=36), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("original_name", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(["consent_id"], ["consent.consent_id"], name=("fk_consent_evidence_consent_id")),
        sa.ForeignKeyConstraint(["sha256"], ["evidence.sha256"], name=("fk_consent_evidence_sha256")),
        sa.PrimaryKeyConstraint("consent_id", "sha256", name=("pk_consent_evidence")),
    )
    op.create_table(
        "follow_up",
        sa.Column("intent_id", sa.String(length=36), nullable=False),
        sa.Column("checked_at", Instant(), nullable=False),
        sa.Column("outcome", sa.String(length=10), nullable=False),
        sa.Column("cause", sa.Text(), server_default="", nullable=False),
        sa.CheckConstraint("outcome IN ('held', 'relapsed')", name=op.f("ck_follow_up_known_outcome")),
        sa.ForeignKeyConstraint(["intent_id"], ["intent.intent_id"], name=("fk_follow_up_intent_id")),
        sa.PrimaryKeyConstraint("intent_id", "checked_at", name=("pk_follow_up")),
    )
    for guard in POSTGRESQL_GUARDS if op.get_bind().dialect.name == "postgresql" else GUARDS:
        op.execute(guard)


def downgrade() -> None:
    op.drop_table("follow_up")
    op.drop_table("consent_evidence")
    with op.batch_alter_table("unsubscribe", schema=None) as batch_op:
        batch_op.drop_index("ix_unsubscribe_person")

    op.drop_table("unsubscribe")
    with op.batch_alter_table("person_salesforce_id", schema=None) as batch_op:
        batch_op.drop_index("ix_person_salesforce_id_record")

    op.drop_table("person_salesforce_id")
    with op.batch_alter_table("link", schema=None) as batch_op:
        batch_op.drop_index("ix_link_record")

    op.drop_table("link")
    with op.batch_alter_table("intent", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_intent_one_batch_a_person", sqlite_where=sa.text("holds_person = 1"), postgresql_where=sa.text("holds_person")
        )
        batch_op.drop_index("ix_intent_person")
        batch_op.drop_index("ix_intent_batch")

    op.drop_table("intent")
    with op.batch_alter_table("consent", schema=None) as batch_op:
        batch_op.drop_index("ix_consent_person")

    op.drop_table("consent")
    with op.batch_alter_table("address_change", schema=None) as batch_op:
        batch_op.drop_index("ix_address_change_person_id")

    op.drop_table("address_change")
    op.drop_table("trail_subject")
    op.drop_table("trail_payload")
    op.drop_table("trail_frontier")
    with op.batch_alter_table("trail_event", schema=None) as batch_op:
        batch_op.drop_index("ix_trail_event_ts")
        batch_op.drop_index("ix_trail_event_subject")
        batch_op.drop_index("ix_trail_event_batch_id")
        batch_op.drop_index("ix_trail_event_action")

    op.drop_table("trail_event")
    op.drop_table("trail_checkpoint")
    op.drop_table("sync_run")
    op.drop_table("suppression")
    op.drop_table("snapshot")
    op.drop_table("setting")
    op.drop_table("report")
    with op.batch_alter_table("person", schema=None) as batch_op:
        batch_op.drop_index("ix_person_unsubscribed")
        batch_op.drop_index("ix_person_last_name")
        batch_op.drop_index("ix_person_email")
        batch_op.drop_index("ix_person_domain")
        batch_op.drop_index("ix_person_company")

    op.drop_table("person")
    with op.batch_alter_table("org_record", schema=None) as batch_op:
        batch_op.drop_index("ix_org_record_flag")
        batch_op.drop_index("ix_org_record_email")

    op.drop_table("org_record")
    op.drop_table("org_history")
    with op.batch_alter_table("operator_grant", schema=None) as batch_op:
        batch_op.drop_index("ix_operator_grant_operator")

    op.drop_table("operator_grant")
    with op.batch_alter_table("mismatch", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_mismatch_open", sqlite_where=sa.text("resolved_at IS NULL"), postgresql_where=sa.text("resolved_at IS NULL")
        )
        batch_op.drop_index("ix_mismatch_person")

    op.drop_table("mismatch")
    op.drop_table("lease")
    op.drop_table("import_run")
    op.drop_table("evidence")
    op.drop_table("batch")
