"""A register and org records made up by hand, for the tests of mismatches, pull and sync; nothing in it is real."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import postgresql_server
import sqlalchemy as sa

from workbench.org import FieldChange, OrgRow
from workbench.person import Person, domain_of, new_id, normalize_address, salesforce_id_18
from workbench.store import people, records
from workbench.store import schema as s
from workbench.store.database import Store, Transaction

T0 = datetime(2026, 11, 2, 9, tzinfo=UTC)
FIELD, SECOND = "HasOptedOutOfEmail", "Sales_Opt_Out__c"
US, THEM = salesforce_id_18("005000000000001"), salesforce_id_18("005000000000002")


def hours(number: float) -> datetime:
    return T0 + timedelta(hours=number)


_shift = 0


def lead(number: int, prefix: str = "00Q") -> str:
    return salesforce_id_18(f"{prefix}{number + 100 * _shift:012d}")


@contextmanager
def apart(shift: int) -> Iterator[None]:
    """Everything named in this block has ids and addresses of its own, so that many situations fit into one register."""
    global _shift  # noqa: PLW0603 - set for one block of one test
    _shift = shift
    yield
    _shift = 0


def address(email: str) -> str:
    return f"{_shift}.{email}" if _shift and email else email


def new_store(folder: Path, template: Path | None = None) -> Store:
    """A register with its schema; where a template is named it is migrated once, then copied."""
    if postgresql_server.wanted():
        server = postgresql_server.server()
        return Store(server.create(like=server.migrated()))
    template = template or folder / "template.db"
    if not template.exists():
        store = Store(f"sqlite:///{template}")
        store.upgrade()
        store.close()
    return Store(f"sqlite:///{shutil.copy(template, folder / 'register.db')}")


@contextmanager
def undone(store: Store) -> Iterator[Transaction]:
    """A write transaction that leaves nothing behind, so that many tests can share a register."""
    with store.engine.connect().execution_options(workbench_write=True) as tx, tx.begin() as transaction:
        yield tx
        transaction.rollback()


class Invented:
    """People, records and what happened to them, written straight into a register."""

    def __init__(self, tx: Transaction) -> None:
        self.tx = tx

    def person(self, email: str = "ann@example.com", *ids: str, person_id: str | None = None) -> str:
        email = address(email)
        person = Person(
            person_id=person_id or new_id(),
            email=normalize_address(email),
            email_as_given=email,
            version=1,
            salesforce_ids=ids,
        )
        people.add(self.tx, person, at=T0)
        return person.person_id

    def out(self, person_id: str, *, at: datetime = T0, source: str = "clicked_link", recorded_at: datetime | None = None) -> str:
        return people.unsubscribe(
            self.tx, person_id, opted_out_at=at, source=source, detail="", recorded_at=recorded_at or at, recorded_by="ada"
        )

    def move(self, person_id: str, email: str, *, at: datetime = T0) -> None:
        old = self.tx.execute(sa.select(s.person.c.email).where(s.person.c.person_id == person_id)).scalar_one()
        email = address(email)
        values = {"change_id": new_id(), "person_id": person_id, "old_email": old, "new_email": email, "changed_at": at}
        self.tx.execute(sa.insert(s.address_change).values(values))
        change = sa.update(s.person).where(s.person.c.person_id == person_id)
        self.tx.execute(change.values(email=email, email_as_given=email, domain=domain_of(email)))

    def close(self, person_id: str, *, at: datetime, intent_id: str | None) -> None:
        closing = sa.update(s.unsubscribe).where(s.unsubscribe.c.person_id == person_id, s.unsubscribe.c.closed_at.is_(None))
        self.tx.execute(closing.values(closed_at=at, closed_by_intent=intent_id))
        people.restate(self.tx, [person_id])

    def resubscribed(self, person_id: str, *, at: datetime, given_at: datetime | None, state: str = "DONE") -> str:
        """An intent of ours with its batch and (where ``given_at`` is told) consent, and the episodes closed."""
        batch_id, intent_id, consent_id = new_id(), new_id(), new_id() if given_at else None
        batch = {"batch_id": batch_id, "state": "finished", "reason": "signed_form", "proposed_by": "ada", "proposed_at": at}
        self.tx.execute(sa.insert(s.batch).values(batch | {"digest": "0" * 64, "policy_digest": "0" * 64}))
        intent = {"intent_id": intent_id, "batch_id": batch_id, "position": 0, "person_id": person_id, "consent_id": consent_id}
        intent |= {
            "state": state,
            "findings": [],
            "planned_rows": [],
            "base": [],
            "refusals": [],
            "consent_digest": "",
            "person_version": 1,
            "holds_person": False,
        }
        self.tx.execute(sa.insert(s.intent).values(intent | {"changed_at": at, "done_at": at if state == "DONE" else None}))
        if consent_id:
            consent = {"consent_id": consent_id, "person_id": person_id, "given_at": given_at, "recorded_at": at}
            consent |= {"recorded_by": "ada", "state": "given", "document": {}}
            self.tx.execute(sa.insert(s.consent).values(consent))
        self.close(person_id, at=at, intent_id=intent_id)
        return intent_id

    def record(
        self,
        number: int,
        email: str = "ann@example.com",
        *,
        out: bool = False,
        second: bool | None = None,
        at: datetime = T0,
        seen_at: datetime | None = None,
        **changes: object,
    ) -> str:
        """A lead; ``second`` gives it a second opt-out field."""
        opt_outs = {FIELD: out} | ({} if second is None else {SECOND: second})
        row = row_of(number, address(email), opt_outs=opt_outs, at=at, **changes)
        records.upsert_rows(self.tx, [row], snapshot_id="s", seen_at=seen_at or at)
        return row.record_id

    def told(self, number: int, new: bool = True, *, at: datetime = T0, by: str = THEM, field: str = FIELD) -> None:
        """A line of the record's history."""
        change = FieldChange(record_id=lead(number), field=field, old=not new, new=new, at=at, by=by)
        records.upsert_history(self.tx, [change])


def row_of(number: int, email: str, *, opt_outs: dict[str, bool], at: datetime, **changes: object) -> OrgRow:
    values = {
        "record_id": lead(number),
        "object": "Lead",
        "email": email,
        "opt_outs": opt_outs,
        "system_modstamp": at,
        "last_modified_date": at,
        "last_modified_by": THEM,
    }
    return OrgRow(**(values | changes))  # type: ignore[arg-type]  # the changes' types are the fields'


def fill_what_is_guarded(store: Store) -> None:
    """Two events with payloads, a checkpoint, one open and one closed unsubscribe: what nobody may rewrite."""
    with store.write() as tx:
        register = Invented(tx)
        for n, closed in enumerate((True, False)):
            person = register.person(f"person{n}@example.com")
            register.out(person)
            if closed:
                register.close(person, at=T0, intent_id="i-1")
            event = {"leaf_bytes": b"{}", "leaf_hash": b"h", "ts": T0, "actor": "ada", "action": "x"}
            tx.execute(sa.insert(s.trail_event).values(seq=n, **event))
            tx.execute(sa.insert(s.trail_payload).values(seq=n, salt=b"s", payload=b"{}"))
        tx.execute(sa.insert(s.trail_checkpoint).values(size=2, note="note", made_at=T0))


def wipe(tx: Transaction, tables: Iterable[sa.Table]) -> None:
    """Empty some tables; the guard against deleting unsubscribes is taken off for it."""
    on = " ON unsubscribe" if tx.dialect.name == "postgresql" else ""
    tx.execute(sa.text(f"DROP TRIGGER IF EXISTS unsubscribe_no_delete{on}"))
    for table in tables:
        tx.execute(sa.delete(table))
