"""The proof about people who are erased: which evidence files go and which must stay, and which trail payloads name them."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import sqlalchemy as sa

from workbench.store import consents
from workbench.store import schema as s
from workbench.store.database import Transaction
from workbench.store.erasure.traces import Traces
from workbench.trail import events

RECORD_ID = re.compile(r"(?<![A-Za-z0-9])[A-Za-z0-9]{18}(?![A-Za-z0-9])")


@dataclass(frozen=True, kw_only=True)
class EvidenceFate:
    """What becomes of one evidence file: it ``goes``, is ``shared`` with somebody who stays, or is ``retained`` until a moment."""

    sha256: str
    fate: Literal["goes", "shared", "retained"]
    person_ids: tuple[str, ...]
    until: datetime | None = None


def evidence_fates(tx: Transaction, person_ids: Sequence[str], *, now: datetime) -> tuple[EvidenceFate, ...]:
    """What becomes of each evidence file of these people's consents, by digest.

    A file that proves the consent of somebody else stays as long as that one needs it. A file whose consent says until when its
    proof is kept (``retain_until``) stays until then: for the defence of legal claims (GDPR Art. 17(3)(e)).
    """
    until: dict[str, datetime | None] = {}
    owners: dict[str, list[str]] = defaultdict(list)
    for person_id, held in consents.of_people(tx, person_ids).items():
        for consent in held:
            for item in consent.evidence:
                owners[item.sha256].append(person_id)
                known = until.get(item.sha256)
                until[item.sha256] = (
                    max(known, consent.retain_until) if known and consent.retain_until else known or consent.retain_until
                )
    shared = _needed_elsewhere(tx, owners, person_ids)
    return tuple(_fate(d, owners[d], until[d], shared=d in shared, now=now) for d in sorted(owners))


def _fate(sha256: str, owners: list[str], until: datetime | None, *, shared: bool, now: datetime) -> EvidenceFate:
    people = tuple(dict.fromkeys(owners))
    if shared:
        return EvidenceFate(sha256=sha256, fate="shared", person_ids=people)
    if until is not None and until > now:
        return EvidenceFate(sha256=sha256, fate="retained", person_ids=people, until=until)
    return EvidenceFate(sha256=sha256, fate="goes", person_ids=people)


def _needed_elsewhere(tx: Transaction, digests: Iterable[str], person_ids: Sequence[str]) -> frozenset[str]:
    named, c = s.consent_evidence.c, s.consent.c
    query = sa.select(named.sha256).join_from(s.consent_evidence, s.consent, c.consent_id == named.consent_id)
    return frozenset(tx.execute(query.where(named.sha256.in_(list(digests)), c.person_id.not_in(person_ids))).scalars())


@dataclass
class NamingEvents:
    """Trail events that name people: ``seqs`` to be emptied, by person; ``renamed`` are files that stay under no name; ``others``
    are about people who stay, and are left as they are."""

    seqs: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    renamed: list[events.EvidenceStored] = field(default_factory=list)
    others: int = 0


def naming_events(tx: Transaction, traces: Sequence[Traces], *, going: Collection[str]) -> NamingEvents:
    """Every event whose payload must be emptied: those about the people, and those about nobody that name them.

    ``going`` are the digests of evidence files that are erased with the people.
    """
    found = NamingEvents()
    needles = [(spelling, t.person_id) for t in traces for spelling in t.spelt]
    records = {record: t.person_id for t in traces for record in t.records}
    subjects = _subjects(tx, [t.person_id for t in traces])
    for seq, action, subject, payload in _payloads(tx):
        if subject in subjects:
            found.seqs[subjects[subject]].add(seq)
        elif action == events.EvidenceStored.action:
            _evidence_event(found, seq, payload, needles=needles, going=going, owner=traces[0].person_id)
        elif owner := _named(payload, needles, records):
            if subject is None:
                found.seqs[owner].add(seq)
            else:
                found.others += 1
    return found


def _evidence_event(
    found: NamingEvents, seq: int, payload: str, *, needles: Sequence[tuple[str, str]], going: Collection[str], owner: str
) -> None:
    stored = json.loads(payload)
    named = _named(payload, needles, {})
    if stored["sha256"] in going:
        found.seqs[named or owner].add(seq)
    elif named:  # the file stays, its name must not: it is noted again without one
        found.seqs[named].add(seq)
        found.renamed.append(events.EvidenceStored(**(stored | {"original_name": ""})))


def _payloads(tx: Transaction, *, action: str | None = None) -> Iterator[tuple[int, str, str | None, str]]:
    e, p = s.trail_event.c, s.trail_payload.c
    query = sa.select(e.seq, e.action, e.subject, p.payload).join_from(s.trail_event, s.trail_payload, e.seq == p.seq)
    query = query.where(p.payload.is_not(None), e.action == action if action else sa.true()).order_by(e.seq)
    for row in tx.execute(query.execution_options(yield_per=1000)):
        yield row.seq, row.action, row.subject, bytes(row.payload).decode("utf-8", "replace")


def _named(payload: str, needles: Sequence[tuple[str, str]], records: dict[str, str]) -> str:
    """The person whom a payload names by address or record; "" for none."""
    if "@" in payload:
        text = payload.lower()
        for needle, person_id in needles:
            if needle in text:
                return person_id
    return next((records[i] for i in RECORD_ID.findall(payload) if i in records), "") if records else ""


def _subjects(tx: Transaction, person_ids: Sequence[str]) -> dict[str, str]:
    t = s.trail_subject.c
    return {r.subject: r.person_id for r in tx.execute(sa.select(t.subject, t.person_id).where(t.person_id.in_(person_ids)))}


def stored_as(tx: Transaction, digests: Collection[str]) -> dict[int, str]:
    """The trail events that still tell of these files having been stored, with the digest each of them names."""
    found: dict[int, str] = {}
    for seq, _, _, payload in _payloads(tx, action=events.EvidenceStored.action) if digests else ():
        if (digest := json.loads(payload)["sha256"]) in digests:
            found[seq] = digest
    return found
