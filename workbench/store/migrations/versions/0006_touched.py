"""Who and what was changed is noted, so that mismatches are looked for again only there"""

from collections.abc import Iterator
from typing import NamedTuple

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

HEIRS = ("merged_into", "converted_contact_id")


class _Noted(NamedTuple):
    """What a row of a table is about; the rows that it led to before, should it be changed or deleted; the columns that matter."""

    about: tuple[str, str]
    left: tuple[tuple[str, str], ...] = ()
    columns: str = ""


_PERSON, _RECORD = ("person", "person_id"), ("record", "record_id")

# What a changed row leads to now is found by going on from what it is about; what it led to before has to be noted.
NOTED = {
    "person": _Noted(_PERSON, (("address", "email"),), "email unsubscribed_at unsubscribe_source updated_at erased_at"),
    "person_salesforce_id": _Noted(_PERSON, (_RECORD,), "person_id record_id"),
    "address_change": _Noted(_PERSON, (("address", "old_email"),), "person_id old_email changed_at"),
    "unsubscribe": _Noted(_PERSON, (), "person_id opted_out_at source recorded_at closed_at closed_by_intent"),
    "consent": _Noted(_PERSON, (), "person_id given_at"),
    "intent": _Noted(_PERSON, (), "person_id consent_id state base done_at"),
    "link": _Noted(_PERSON, (_RECORD,), "person_id record_id how"),
    "org_record": _Noted(
        _RECORD,
        (("address", "email"), *(("record", heir) for heir in HEIRS), ("record", "person_account")),
        "object email opted_out opt_outs fields_differ system_modstamp last_modified_date last_modified_by is_deleted is_converted"
        " converted_contact_id merged_into person_account",
    ),
    "org_history": _Noted(_RECORD, (), "record_id field at new_value old_value by"),
    "suppressed_record": _Noted(_RECORD, (), "record_id since"),
}
_LOOKED = "EXISTS (SELECT 1 FROM touched WHERE what = 'looked')"  # until then everything is looked at anyhow


def _notes(noted: _Noted, event: str) -> list[tuple[str, str]]:
    """(what, value) to be noted."""
    row = "OLD" if event == "DELETE" else "NEW"
    left = [] if event == "INSERT" else [(what, f"OLD.{column}") for what, column in noted.left]
    before = [(noted.about[0], f"OLD.{noted.about[1]}")] if event == "UPDATE" else []
    return [(noted.about[0], f"{row}.{noted.about[1]}"), *before, *left]


def _sqlite() -> Iterator[str]:
    for table, noted in NOTED.items():
        for event in ("INSERT", "UPDATE", "DELETE"):
            changed = " OR ".join(f'OLD."{c}" IS NOT NEW."{c}"' for c in noted.columns.split())
            when = f"{_LOOKED} AND ({changed})" if event == "UPDATE" else _LOOKED
            # An "OR IGNORE" would give way to the conflict clause of the statement that fired the trigger.
            inserts = "".join(  # names from this file
                f" INSERT INTO touched SELECT '{what}', {value} WHERE {value} <> ''"  # noqa: S608
                f" AND NOT EXISTS (SELECT 1 FROM touched WHERE what = '{what}' AND id = {value});"
                for what, value in _notes(noted, event)
            )
            yield f"CREATE TRIGGER {table}_noted_{event.lower()} AFTER {event} ON {table} WHEN {when} BEGIN{inserts} END"


def _postgresql(schema: str) -> Iterator[str]:
    for table, noted in NOTED.items():
        branches = "".join(
            f"""
            IF TG_OP = '{event}' THEN
              INSERT INTO touched SELECT * FROM (VALUES {", ".join(f"('{what}', {value})" for what, value in _notes(noted, event))})
                AS noted (what, id) WHERE id <> '' ON CONFLICT DO NOTHING;
            END IF;"""  # noqa: S608
            for event in ("INSERT", "UPDATE", "DELETE")
        )
        function = f"register_notes_{table}"
        # It runs with its owner's rights: nobody else writes this table's notes.
        yield f"""CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
            SET search_path = pg_catalog, {schema}, pg_temp AS $$
            BEGIN
              IF NOT {_LOOKED} THEN RETURN NULL; END IF;{branches}
              RETURN NULL;
            END $$"""
        changed = " OR ".join(f'OLD."{c}"::text IS DISTINCT FROM NEW."{c}"::text' for c in noted.columns.split())
        for event, when in (("INSERT", ""), ("DELETE", ""), ("UPDATE", f"WHEN ({changed}) ")):
            name = f"{table}_noted_{event.lower()}"
            yield f"CREATE TRIGGER {name} AFTER {event} ON {table} FOR EACH ROW {when}EXECUTE FUNCTION {function}()"


def upgrade() -> None:
    """Add the table, its triggers, and the indexes by which what belongs together is found."""
    op.create_table(
        "touched",
        sa.Column("what", sa.String(length=8), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("what", "id", name=op.f("pk_touched")),
    )
    for column in HEIRS:
        there = sa.text(f"{column} IS NOT NULL")
        name = f"ix_org_record_{column}"
        op.create_index(name, "org_record", [column, "record_id"], unique=False, sqlite_where=there, postgresql_where=there)
    op.create_index("ix_mismatch_record", "mismatch", ["record_id", "resolved_at"], unique=False)
    bind = op.get_bind()
    if bind.dialect.name == "sqlite":
        statements = list(_sqlite())
    else:
        statements = list(_postgresql(bind.exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one()))
    for statement in statements:
        bind.exec_driver_sql(statement)


def downgrade() -> None:
    """Take them away."""
    postgresql = op.get_bind().dialect.name == "postgresql"
    for table in NOTED:
        for event in ("insert", "update", "delete"):
            op.execute(f"DROP TRIGGER {table}_noted_{event}{f' ON {table}' if postgresql else ''}")
        if postgresql:
            op.execute(f"DROP FUNCTION register_notes_{table}()")
    op.drop_index("ix_mismatch_record", table_name="mismatch")
    for column in HEIRS:
        op.drop_index(f"ix_org_record_{column}", table_name="org_record")
    op.drop_table("touched")
