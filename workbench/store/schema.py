"""The register's tables: SQLAlchemy Core definitions that every query in this room is written against.

The migrations create them; a test keeps both equal. Instants are UTC with milliseconds: text of fixed width on SQLite, so that
they sort and compare as written and an auditor can read them; ``timestamptz`` on PostgreSQL. What is an index of PostgreSQL alone
(``postgresql_where``) stands in the migrations only: naming it here loads that database's drivers at every start.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


def instant_text(moment: datetime) -> str:
    """An aware datetime as ``2026-11-23T02:15:00.000Z``: fixed width, so that text order is time order."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"  # strftime does not pad years


class Instant(sa.types.TypeDecorator[datetime]):
    """A moment in UTC; naive datetimes are refused because a register must not guess zones."""

    impl = sa.String(24)
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """timestamptz where the database has it."""
        if dialect.name == "postgresql":
            from sqlalchemy.dialects import postgresql  # only where it is used: it brings drivers along

            return dialect.type_descriptor(postgresql.TIMESTAMP(timezone=True))
        return dialect.type_descriptor(sa.String(24))

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> Any:
        """Aware datetime to what the database keeps."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an instant needs its time zone")
        return value if dialect.name == "postgresql" else instant_text(value)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        """What the database kept to an aware datetime in UTC."""
        if value is None or isinstance(value, datetime):
            return value.astimezone(UTC) if value else None
        return datetime.fromisoformat(value)


def instant_binder(dialect: sa.Dialect) -> Callable[[datetime | None], Any]:
    """How the database is given instants by statements that go to its driver as they are."""
    bind = Instant().process_bind_param
    return lambda moment: bind(moment, dialect)


def _key(name: str, **kw: Any) -> sa.Column[str]:
    return sa.Column(name, sa.String(36), primary_key=True, **kw)


def _person_key(**kw: Any) -> sa.Column[str]:
    return sa.Column("person_id", sa.String(36), sa.ForeignKey("person.person_id"), nullable=False, **kw)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False, server_default="")


operator_grant = sa.Table(
    "operator_grant",
    metadata,
    _key("grant_id"),
    sa.Column("operator", sa.Text, nullable=False, index=True),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("granted_by", sa.Text, nullable=False),
    sa.Column("granted_at", Instant, nullable=False),
    sa.Column("revoked_by", sa.Text),
    sa.Column("revoked_at", Instant),
    sa.CheckConstraint("role IN ('analyst', 'admin', 'auditor')", name="known_role"),
)

person = sa.Table(
    "person",
    metadata,
    _key("person_id"),
    sa.Column("external_id", sa.Text, unique=True),  # Sales Connect's Person ID
    sa.Column("email", sa.Text, nullable=False),  # normalised
    sa.Column("email_as_given", sa.Text, nullable=False),
    sa.Column("domain", sa.Text, nullable=False),
    _text("first_name"),
    _text("last_name"),
    _text("company"),
    _text("title"),
    sa.Column("version", sa.Integer, nullable=False, server_default="1"),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("updated_at", Instant, nullable=False),
    # Kept equal to the latest open episode by the store, so that the grid sorts and pages on an index.
    sa.Column("unsubscribed_at", Instant),
    sa.Column("unsubscribe_source", sa.String(20)),
    sa.Column("erased_at", Instant),
    sa.Index("ix_person_email", "email", "person_id"),
    sa.Index("ix_person_domain", "domain", "person_id"),
    sa.Index("ix_person_unsubscribed", "unsubscribed_at", "person_id"),
    sa.Index("ix_person_last_name", "last_name", "person_id"),
    sa.Index("ix_person_company", "company", "person_id"),
    # Text is searched for in whole: SQLite reads this instead of the people. PostgreSQL keeps no entry this long.
    sa.Index(
        "ix_person_unsubscribed_text",
        "unsubscribed_at",
        "person_id",
        "email",
        "first_name",
        "last_name",
        "company",
        sqlite_where=sa.text("unsubscribed_at IS NOT NULL AND erased_at IS NULL"),
    ).ddl_if(dialect="sqlite"),
)

person_salesforce_id = sa.Table(
    "person_salesforce_id",
    metadata,
    _person_key(primary_key=True),
    sa.Column("record_id", sa.String(18), primary_key=True),
    sa.Index("ix_person_salesforce_id_record", "record_id", "person_id"),
)

address_change = sa.Table(  # a person's former addresses: the opt-out follows the person, not the address
    "address_change",
    metadata,
    _key("change_id"),
    _person_key(index=True),
    sa.Column("old_email", sa.Text, nullable=False, index=True),
    sa.Column("new_email", sa.Text, nullable=False),
    sa.Column("changed_at", Instant, nullable=False),
)

unsubscribe = sa.Table(
    "unsubscribe",
    metadata,
    _key("unsubscribe_id"),
    _person_key(),
    sa.Column("opted_out_at", Instant, nullable=False),
    sa.Column("source", sa.String(20), nullable=False),
    _text("detail"),
    sa.Column("recorded_at", Instant, nullable=False),
    sa.Column("recorded_by", sa.Text, nullable=False),
    sa.Column("closed_at", Instant),
    sa.Column("closed_by_intent", sa.String(36)),
    sa.CheckConstraint(
        "source IN ('clicked_link', 'manual', 'salesforce_sync', 'bounce', 'spam_complaint', 'import')", name="known_source"
    ),
    sa.Index("ix_unsubscribe_person", "person_id", "closed_at", "opted_out_at"),
    sa.Index("ix_unsubscribe_when", "opted_out_at", "source"),
)

org_record = sa.Table(
    "org_record",
    metadata,
    sa.Column("record_id", sa.String(18), primary_key=True),
    sa.Column("object", sa.String(16), nullable=False),
    sa.Column("email", sa.Text, nullable=False),  # normalised; "" where the record has none
    sa.Column("email_as_given", sa.Text, nullable=False),
    _text("first_name"),
    _text("last_name"),
    _text("company"),
    sa.Column("opted_out", sa.Boolean, nullable=False),
    sa.Column("opt_outs", sa.JSON, nullable=False),
    sa.Column("fields_differ", sa.Boolean, nullable=False),
    sa.Column("system_modstamp", Instant, nullable=False),
    sa.Column("last_modified_date", Instant, nullable=False),
    sa.Column("last_modified_by", sa.String(18), nullable=False),
    sa.Column("is_deleted", sa.Boolean, nullable=False),
    sa.Column("is_converted", sa.Boolean, nullable=False),
    sa.Column("converted_contact_id", sa.String(18)),
    sa.Column("merged_into", sa.String(18)),
    sa.Column("bounced_at", Instant),
    sa.Column("person_account", sa.String(18)),  # the account of which this contact is the hidden half
    sa.Column("seen_at", Instant, nullable=False),
    sa.Column("snapshot_id", sa.String(36), nullable=False),
    sa.Index("ix_org_record_email", "email", "opted_out", "record_id"),
    sa.Index("ix_org_record_flag", "record_id", "opted_out", "email"),
    sa.Index("ix_org_record_person_account", "person_account", "record_id"),
    # What became this record: few have an heir.
    *(
        sa.Index(
            f"ix_org_record_{column}",
            column,
            "record_id",
            sqlite_where=sa.text(f"{column} IS NOT NULL"),
            postgresql_where=sa.text(f"{column} IS NOT NULL"),
        )
        for column in ("merged_into", "converted_contact_id")
    ),
)

org_history = sa.Table(
    "org_history",
    metadata,
    sa.Column("record_id", sa.String(18), primary_key=True),
    sa.Column("field", sa.Text, primary_key=True),
    sa.Column("at", Instant, primary_key=True),
    sa.Column("new_value", sa.Boolean, primary_key=True),
    sa.Column("old_value", sa.Boolean),
    sa.Column("by", sa.String(18), nullable=False),
    _text("by_name"),
)

snapshot = sa.Table(
    "snapshot",
    metadata,
    _key("snapshot_id"),
    sa.Column("kind", sa.String(8), nullable=False),
    sa.Column("org_id", sa.String(18), nullable=False),
    sa.Column("started_at", Instant, nullable=False),
    sa.Column("covered_until", Instant),
    sa.Column("finished_at", Instant),
    sa.Column("counts", sa.JSON, nullable=False),
    sa.CheckConstraint("kind IN ('full', 'delta')", name="known_kind"),
)

link = sa.Table(
    "link",
    metadata,
    _person_key(primary_key=True),
    sa.Column("record_id", sa.String(18), primary_key=True),
    sa.Column("how", sa.String(8), nullable=False),
    sa.CheckConstraint("how IN ('id', 'address')", name="known_how"),
    sa.Index("ix_link_record", "record_id", "person_id"),
)

evidence = sa.Table(
    "evidence",
    metadata,
    sa.Column("sha256", sa.String(64), primary_key=True),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("media_type", sa.Text, nullable=False),
    sa.Column("stored_at", Instant, nullable=False),
    sa.Column("stored_by", sa.Text, nullable=False),
)

consent = sa.Table(
    "consent",
    metadata,
    _key("consent_id"),
    _person_key(),
    sa.Column("given_at", Instant),
    sa.Column("recorded_at", Instant, nullable=False),
    sa.Column("recorded_by", sa.Text, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("valid_until", Instant),
    sa.Column("document", sa.JSON, nullable=False),  # every field of the consent record
    sa.Index("ix_consent_person", "person_id", "given_at"),
)

consent_evidence = sa.Table(
    "consent_evidence",
    metadata,
    sa.Column("consent_id", sa.String(36), sa.ForeignKey("consent.consent_id"), primary_key=True),
    sa.Column("sha256", sa.String(64), sa.ForeignKey("evidence.sha256"), primary_key=True),
    _text("original_name"),
)

consent_state = sa.Table(  # what became of each consent, one row a change; the consent's own row is a copy of the newest
    "consent_state",
    metadata,
    _key("state_id"),
    sa.Column("consent_id", sa.String(36), sa.ForeignKey("consent.consent_id"), nullable=False, index=True),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("since", Instant, nullable=False),
    sa.Column("recorded_at", Instant, nullable=False),
    sa.Column("recorded_by", sa.Text, nullable=False),
    _text("detail"),
)

batch = sa.Table(
    "batch",
    metadata,
    _key("batch_id"),
    sa.Column("state", sa.String(12), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("proposed_by", sa.Text, nullable=False),
    sa.Column("proposed_at", Instant, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("policy_digest", sa.String(64), nullable=False),
    sa.Column("approved_by", sa.Text),
    sa.Column("approved_at", Instant),
    sa.Column("approved_digest", sa.String(64)),
    sa.Column("started_at", Instant),
    sa.Column("finished_at", Instant),
    _text("pause_cause"),
    sa.CheckConstraint(
        "state IN ('proposed', 'approved', 'running', 'paused', 'finished', 'cancelled', 'undone')", name="known_state"
    ),
)

intent = sa.Table(
    "intent",
    metadata,
    _key("intent_id"),
    sa.Column("batch_id", sa.String(36), sa.ForeignKey("batch.batch_id"), nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
    _person_key(),
    sa.Column("consent_id", sa.String(36)),
    sa.Column("state", sa.String(10), nullable=False),
    # What was planned; the plan's digest covers these five, so they are never updated.
    sa.Column("findings", sa.JSON, nullable=False),
    sa.Column("planned_rows", sa.JSON, nullable=False),
    sa.Column("person_version", sa.Integer, nullable=False),
    sa.Column("consent_digest", sa.String(64), nullable=False),
    # What the run found and did.
    sa.Column("refusals", sa.JSON, nullable=False),
    sa.Column("base", sa.JSON, nullable=False),  # rows and stamps that the write is conditional on
    sa.Column("base_version", sa.Integer, nullable=False, server_default="0"),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("holds_person", sa.Boolean, nullable=False),  # true from proposal until the batch or the person is through
    _text("cause"),
    sa.Column("changed_at", Instant, nullable=False),
    sa.Column("done_at", Instant),
    sa.CheckConstraint(
        "state IN ('PROPOSED', 'POSTPONED', 'PLANNED', 'REFUSED', 'SENT', 'VERIFIED', 'DONE', 'ABORTING', 'ABORTED', 'UNDOING', 'UNDONE')",
        name="known_state",
    ),
    sa.Index("ix_intent_batch", "batch_id", "position"),
    sa.Index("ix_intent_person", "person_id", "state"),
    sa.Index(
        "uq_intent_one_batch_a_person",
        "person_id",
        unique=True,
        sqlite_where=sa.text("holds_person = 1"),
        postgresql_where=sa.text("holds_person"),
    ),
)

follow_up = sa.Table(
    "follow_up",
    metadata,
    sa.Column("intent_id", sa.String(36), sa.ForeignKey("intent.intent_id"), primary_key=True),
    sa.Column("checked_at", Instant, primary_key=True),
    sa.Column("outcome", sa.String(10), nullable=False),
    _text("cause"),
    sa.CheckConstraint("outcome IN ('held', 'relapsed')", name="known_outcome"),
)

lease = sa.Table(
    "lease",
    metadata,
    _key("person_id"),
    sa.Column("holder", sa.Text, nullable=False),  # "" when free
    sa.Column("token", sa.Integer, nullable=False),  # grows with every change of holder
    sa.Column("expires_at", Instant, nullable=False),
)

mismatch = sa.Table(
    "mismatch",
    metadata,
    _key("mismatch_id"),
    sa.Column("kind", sa.String(40), nullable=False),
    sa.Column("person_id", sa.String(36), nullable=False),  # "" where the register has nobody
    sa.Column("record_id", sa.String(18), nullable=False),  # "" where Salesforce has no record
    _text("detail"),
    _text("forecast"),
    sa.Column("since", Instant),  # when the disagreement began, as far as the systems tell
    sa.Column("first_seen", Instant, nullable=False),
    sa.Column("last_seen", Instant, nullable=False),
    sa.Column("resolved_at", Instant),
    _text("resolved_by"),
    sa.Index("ix_mismatch_person", "person_id", "resolved_at"),
    sa.Index("ix_mismatch_record", "record_id", "resolved_at"),
    sa.Index(
        "uq_mismatch_open",
        "kind",
        "person_id",
        "record_id",
        unique=True,
        sqlite_where=sa.text("resolved_at IS NULL"),
        postgresql_where=sa.text("resolved_at IS NULL"),
    ),
)

touched = sa.Table(  # what was changed since mismatches were last looked for; written by triggers (migration 0006)
    "touched",
    metadata,
    sa.Column("what", sa.String(8), primary_key=True),  # person, record, address; looked: a look at everything came before
    sa.Column("id", sa.Text, primary_key=True),
)

sync_run = sa.Table(
    "sync_run",
    metadata,
    _key("run_id"),
    sa.Column("operator", sa.Text, nullable=False),
    sa.Column("started_at", Instant, nullable=False),
    sa.Column("finished_at", Instant),
    sa.Column("counts", sa.JSON, nullable=False),
)

import_run = sa.Table(
    "import_run",
    metadata,
    _key("import_id"),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("file_sha256", sa.String(64), nullable=False),
    sa.Column("operator", sa.Text, nullable=False),
    sa.Column("imported_at", Instant, nullable=False),
    sa.Column("counts", sa.JSON, nullable=False),
)

report = sa.Table(
    "report",
    metadata,
    _key("report_id"),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("parameters", sa.JSON, nullable=False),
    sa.Column("files", sa.JSON, nullable=False),  # file name -> SHA-256
    sa.Column("issued_at", Instant, nullable=False),
    sa.Column("issued_by", sa.Text, nullable=False),
    sa.Column("checkpoint_size", sa.BigInteger, nullable=False),
)

suppression = sa.Table(
    "suppression",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),  # keyed hash of an erased person's address
    sa.Column("since", Instant, nullable=False),
)

suppressed_record = sa.Table(  # Salesforce records of erased people: kept without address or name, so that they stay opted out
    "suppressed_record",
    metadata,
    sa.Column("record_id", sa.String(18), primary_key=True),
    sa.Column("since", Instant, nullable=False),
)

outlasting_evidence = sa.Table(  # files of erased people's consents that are still there, and when they are to go
    "outlasting_evidence",
    metadata,
    sa.Column("sha256", sa.String(64), sa.ForeignKey("evidence.sha256"), primary_key=True),
    sa.Column("erase_after", Instant, nullable=False),
)

setting = sa.Table(
    "setting",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

trail_event = sa.Table(
    "trail_event",
    metadata,
    sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False),
    sa.Column("leaf_bytes", sa.LargeBinary, nullable=False),
    sa.Column("leaf_hash", sa.LargeBinary, nullable=False),
    # Copies of what stands in leaf_bytes, for filters only; verification reads leaf_bytes.
    sa.Column("ts", Instant, nullable=False, index=True),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("action", sa.String(40), nullable=False, index=True),
    sa.Column("batch_id", sa.String(36), index=True),
    sa.Column("subject", sa.String(36), index=True),
)

trail_payload = sa.Table(
    "trail_payload",
    metadata,
    sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False),
    sa.Column("salt", sa.LargeBinary),
    sa.Column("payload", sa.LargeBinary),
    sa.Column("erased_at", Instant),
)

trail_checkpoint = sa.Table(
    "trail_checkpoint",
    metadata,
    sa.Column("size", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("made_at", Instant, nullable=False),
)

trail_frontier = sa.Table(  # the tree's right edge, so that a checkpoint does not read the whole trail
    "trail_frontier",
    metadata,
    sa.Column("size", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False),
    sa.Column("hashes", sa.LargeBinary, nullable=False),
)

trail_subject = sa.Table(  # who a trail subject is; erased with the person
    "trail_subject",
    metadata,
    _key("person_id"),
    sa.Column("subject", sa.String(36), nullable=False, unique=True),
)
