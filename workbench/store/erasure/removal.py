"""Taking people out of the register. What stays of each is a row without any of their data, and their open opt-out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from workbench.store import schema as s
from workbench.store import suppression
from workbench.store.database import Transaction, portions
from workbench.store.erasure.proof import EvidenceFate
from workbench.store.erasure.traces import Traces

NOTHING_LEFT = {"external_id": None, "email": "", "email_as_given": "", "domain": "", "first_name": "", "last_name": "", "company": "", "title": ""}  # fmt: skip
RECORD_WITHOUT_NAME = {"email": "", "email_as_given": "", "first_name": "", "last_name": "", "company": ""}
ITEM_WITHOUT_DATA: dict[str, Any] = {
    "consent_id": None,
    "findings": [],
    "planned_rows": [],
    "refusals": [],
    "base": [],
    "consent_digest": "",
}


def remove(tx: Transaction, traces: Sequence[Traces], *, at: datetime) -> None:
    """Take these people out, and keep them out: their addresses and ids are suppressed from now on.

    Raises:
        StoreError: the secret that keeps them out is gone, damaged or another one; nothing was removed.
    """
    if tx.dialect.name == "sqlite":
        tx.exec_driver_sql("PRAGMA secure_delete=ON")  # what is freed is overwritten at once
    ids = [t.person_id for t in traces]
    records = sorted({record for t in traces for record in t.records})
    suppression.add(tx, {i for t in traces for i in t.identifiers}, since=at)
    suppression.add_records(tx, records, since=at)
    _mask_records(tx, records)
    _remove_consents(tx, ids)
    for table in (s.link, s.person_salesforce_id, s.address_change, s.lease, s.mismatch, s.trail_subject):
        tx.execute(sa.delete(table).where(table.c.person_id.in_(ids)))
    tx.execute(sa.update(s.intent).where(s.intent.c.person_id.in_(ids)).values(ITEM_WITHOUT_DATA))
    people = sa.update(s.person).where(s.person.c.person_id.in_(ids))
    tx.execute(people.values(NOTHING_LEFT | {"erased_at": at, "updated_at": at, "version": s.person.c.version + 1}))
    tx.execute(sa.update(s.unsubscribe).where(s.unsubscribe.c.person_id.in_(ids), s.unsubscribe.c.detail != "").values(detail=""))


def _mask_records(tx: Transaction, record_ids: Sequence[str]) -> None:
    """Salesforce's records stay as what they are there, whether opted out or not; whose they are is taken away."""
    for some in portions(record_ids):
        tx.execute(sa.update(s.org_record).where(s.org_record.c.record_id.in_(some)).values(RECORD_WITHOUT_NAME))
        for table in (s.org_history, s.mismatch):
            tx.execute(sa.delete(table).where(table.c.record_id.in_(some)))


def _remove_consents(tx: Transaction, person_ids: Sequence[str]) -> None:
    mine = sa.select(s.consent.c.consent_id).where(s.consent.c.person_id.in_(person_ids))
    for table in (s.consent_evidence, s.consent_state):
        tx.execute(sa.delete(table).where(table.c.consent_id.in_(mine)))
    tx.execute(sa.delete(s.consent).where(s.consent.c.person_id.in_(person_ids)))


def empty_payloads(tx: Transaction, seqs: Collection[int], *, at: datetime) -> None:
    """Take payload and salt of these trail events away; their leaves stay, and the tree over them."""
    p = s.trail_payload
    for some in portions([str(seq) for seq in sorted(seqs)]):
        emptying = sa.update(p).where(p.c.seq.in_([int(seq) for seq in some]), p.c.payload.is_not(None))
        tx.execute(emptying.values(salt=None, payload=None, erased_at=at))


def release_evidence(tx: Transaction, fates: Sequence[EvidenceFate], *, at: datetime) -> None:
    """Note which files are to go, now or when their time is over; they are deleted by `take_due`."""
    known = set(tx.execute(sa.select(s.outlasting_evidence.c.sha256)).scalars())
    rows = [{"sha256": f.sha256, "erase_after": f.until or at} for f in fates if f.fate != "shared" and f.sha256 not in known]
    if rows:
        tx.execute(sa.insert(s.outlasting_evidence), rows)


def due_evidence(tx: Transaction, *, now: datetime) -> tuple[str, ...]:
    """Files of erased people that no consent needs any more and whose time is over, by digest."""
    out = s.outlasting_evidence.c
    used = sa.exists().where(s.consent_evidence.c.sha256 == out.sha256)
    return tuple(tx.execute(sa.select(out.sha256).where(out.erase_after <= now, ~used).order_by(out.sha256)).scalars())


def outlasting(tx: Transaction) -> dict[str, datetime]:
    """Files of erased people that are still there, and when they are to go, by digest."""
    out = s.outlasting_evidence.c
    return {r.sha256: r.erase_after for r in tx.execute(sa.select(out.sha256, out.erase_after).order_by(out.sha256))}


def forget_evidence(tx: Transaction, digests: Sequence[str]) -> None:
    """Take deleted files out of the register."""
    for some in portions(digests):
        for table in (s.outlasting_evidence, s.evidence):
            tx.execute(sa.delete(table).where(table.c.sha256.in_(some)))
