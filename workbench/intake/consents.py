"""Importing consents with their evidence files: a verdict for every row first, then all that can be recorded is recorded.

A consent that lacks something is recorded all the same, and the eligibility rules refuse it; a row that can't be understood, or
whose person or evidence can't be told, is rejected.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from workbench import withdrawal
from workbench.consent import Consent, Evidence
from workbench.errors import InputError, WorkbenchError
from workbench.evidence import EvidenceStore
from workbench.intake import columns, values
from workbench.intake.consent_rows import ConsentRow, Reader
from workbench.intake.files import Row, SourceFile
from workbench.intake.mappings import Mappings
from workbench.intake.rejects import rows_of
from workbench.intake.result import ImportResult, RowVerdict, Tally
from workbench.intake.roster import Entry, Roster
from workbench.intake.run import Import, Told, carried_out, given_for, in_chunks, opened
from workbench.intake.shelf import Shelf
from workbench.said import said
from workbench.store import consents, people
from workbench.store.database import Store, Transaction
from workbench.store.suppression import STAYS_OUT
from workbench.trail.event import Event
from workbench.trail.events import ConsentRecorded, EvidenceStored

OURS = frozenset({"consent_id", "recorded_at", "recorded_by", "schema_version"})
"""What a record says about itself rather than about the person's act."""
AppendPersonEvent = Callable[[Transaction, Event, str], object]
"""Puts an event about the person with this id on the trail within the transaction ("" where it is about no one)."""


def import_consents(
    store: Store,
    evidence_store: EvidenceStore,
    file: Path | str,
    *,
    evidence_dir: Path | str,
    operator: str,
    now: datetime,
    append_event: AppendPersonEvent,
    mapping: Mapping[str, str] | None = None,
    dry_run: bool = False,
    encoding: str | None = None,
    timezone: str | None = None,
    mappings: Mappings | None = None,
    told: Told | None = None,
    defaults: Mapping[str, str] | None = None,
) -> ImportResult:
    """Take in a CSV file of consents, one a row; `columns.CONSENTS` names the columns, ``defaults`` fill blank cells by field.

    Evidence is named by plain file names in ``evidence_dir``, several separated by ``;``. A time needs a zone, its own or
    ``timezone`` (IANA name); a date without a time is kept as such. The same row again is ``unchanged``, but one that now says
    that the consent was refused or withdrawn is a record of its own. A dry run stores nothing and answers the same verdicts.

    Raises:
        InputError: the file or its columns can't be used; nothing was taken in.
        EvidenceError: an evidence file could not be stored; nothing was taken in.
        StoreError: the register is locked, full or damaged; nothing was taken in.
    """
    if not Path(evidence_dir).is_dir():
        raise InputError(
            said("there is no such folder of evidence"), said("Name the folder that holds the files of the column evidence.")
        )
    source = opened(file, columns.CONSENTS, encoding)
    given = given_for(source, "consents", mapping, mappings)
    found = columns.find(source.header, columns.CONSENTS, mapping=given.mapping, one_of=("person", "email"))
    if unknown := sorted((defaults or {}).keys() - columns.CONSENTS.keys()):
        raise InputError(
            said("no field is called {unknown}", unknown=", ".join(unknown)),
            said("The fields are: {consents}.", consents=", ".join(columns.CONSENTS)),
        )
    reader = Reader(found, values.zone_named(timezone), dict(defaults or {}))
    shelf = Shelf(evidence_store, Path(evidence_dir))
    _look_at_evidence(source, reader, shelf)  # before the transaction: hashing takes its time

    def work(run: Import) -> tuple[RowVerdict, ...]:
        desk = _Desk(run, reader, shelf)
        for rows in in_chunks(run.rows()):
            desk.judge(rows)
        desk.record(append_event)
        return tuple(desk.verdicts)

    def closing(_tx: Transaction, _tally: Tally) -> None:
        """Every consent has its own event."""

    return carried_out(
        store, source, work, kind="consents", operator=operator, now=now, dry_run=dry_run, told=told, given=given, closing=closing
    )


def _look_at_evidence(source: SourceFile, reader: Reader, shelf: Shelf) -> None:
    for row in rows_of(source):
        if not row.reason:
            for name in reader.evidence_names(row):
                shelf.look_at(name)


OTHERWISE = "this consent is on file with other values, and stays as it is; `workbench consent renew` takes what is new"
TO_COME = "the consent is dated later than now; correct the date or its time zone"
Identity = tuple[str, datetime | None, str, str, frozenset[str]]
TakenBack = tuple[Identity, str, datetime | None, str]


@dataclass
class _Desk:
    """All rows of one file: judged first, recorded then."""

    run: Import
    reader: Reader
    shelf: Shelf
    verdicts: list[RowVerdict] = field(default_factory=list)
    _accepted: list[Consent] = field(default_factory=list)
    _known: dict[str, set[Identity | TakenBack | int]] = field(default_factory=lambda: defaultdict(set))
    _looked_up: set[str] = field(default_factory=set)

    def judge(self, rows: list[Row]) -> None:
        """Say of each row what is to become of it."""
        read = [self.reader.read(row) for row in rows]
        roster = Roster(self.run.tx, [r.named for r in read])
        found = [(r, *_one_person(roster, r)) for r in read]
        self._look_up({entry.person.person_id for _, entry, _ in found if entry})
        for row, entry, refusal in found:
            self._judge(row, entry, row.refusal or refusal)

    def record(self, append_event: AppendPersonEvent) -> None:
        """Write what was accepted: evidence first, then the consents that name it."""
        run, stored = self.run, set[str]()
        for consent in self._accepted:
            for evidence in consent.evidence:
                if evidence.sha256 in stored:
                    continue
                stored.add(evidence.sha256)
                if not run.dry_run:
                    self.shelf.put(evidence)
                if consents.add_evidence(run.tx, evidence, at=run.now, by=run.operator):
                    append_event(run.tx, _stored(evidence), "")
            consents.add(run.tx, consent)
            digests = tuple(e.sha256 for e in consent.evidence)
            event = ConsentRecorded(consent_id=consent.consent_id, record=consents.to_document(consent), evidence=digests)
            append_event(run.tx, event, consent.person_id)
        ended = {c.person_id for c in self._accepted if _is_taken_back(c) and c.taken_back_at is None}
        for some in in_chunks(iter(sorted(ended))):
            people.restate(run.tx, some)  # a new version, as who took one back gets below: no plan made before is carried out

        def append(tx: Transaction, event: Event, *, person_id: str | None = None) -> object:
            return append_event(tx, event, person_id or "")

        followed = withdrawal.follow(run.tx, self._accepted, by=run.operator, now=run.now, append_event=append)
        run.tally.unsubscribed += len(followed)

    def _judge(self, row: ConsentRow, entry: Entry | None, refusal: str) -> None:
        person_id = entry.person.person_id if entry else ""
        try:
            evidence = () if refusal else tuple(self.shelf.take(name) for name in row.evidence_names)
        except WorkbenchError as error:
            refusal = str(error)
        if refusal or entry is None:
            self.run.reject(row.row, refusal)
            self.verdicts.append(RowVerdict(line=row.row.line, outcome="rejected", person_id=person_id, reason=refusal))
            return
        consent = row.consent(entry.person, evidence, operator=self.run.operator, now=self.run.now)
        if consent.to_come(self.run.now) and not _is_taken_back(consent):
            self.run.reject(row.row, TO_COME)
            self.verdicts.append(RowVerdict(line=row.row.line, outcome="rejected", person_id=person_id, reason=TO_COME))
            return
        if _news(consent) in self._known[person_id]:
            self.run.tally.unchanged += 1
            reason = "" if _said(consent) in self._known[person_id] else OTHERWISE
            if reason:
                self.run.tally.note(row.row.line, reason)
            self.verdicts.append(RowVerdict(line=row.row.line, outcome="unchanged", person_id=person_id, reason=reason))
            return
        self._known[person_id] |= _said_by(consent)
        self._accepted.append(consent)
        self.run.tally.imported += 1
        self.verdicts.append(
            RowVerdict(line=row.row.line, outcome="recorded", person_id=person_id, consent_id=consent.consent_id)
        )

    def _look_up(self, person_ids: set[str]) -> None:
        for person_id, on_file in consents.of_people(self.run.tx, person_ids - self._looked_up).items():
            self._known[person_id].update(*map(_said_by, on_file))
        self._looked_up |= person_ids


def _one_person(roster: Roster, row: ConsentRow) -> tuple[Entry | None, str]:
    """The one person whom the row names, or why that can't be told."""
    named = row.named
    by_id = roster.by_id(named.external_id)
    found = [by_id] if by_id else [] if named.external_id else roster.by_email(named.email)
    if len(found) > 1:
        return None, "several people in the register have this address; name the person by id"
    if roster.keeps_out(named) or (found and found[0].erased):
        return None, STAYS_OUT
    if not found:
        return None, "nobody in the register has this id or address"
    return found[0], ""


def _identity(consent: Consent) -> Identity:
    """What makes two records one consent."""
    digests = frozenset(e.sha256 for e in consent.evidence)
    return consent.person_id, consent.given_at, consent.purpose, consent.method, digests


def _is_taken_back(consent: Consent) -> bool:
    return consent.state not in ("given", "renewed") or consent.withdrawn_at is not None or bool(consent.withdrawal_method)


def _news(consent: Consent) -> Identity | TakenBack:
    """What must be on file already for a row to be no news: a refusal or withdrawal is news even of a consent that is known.

    The other way round it is not: a row that calls given what was withdrawn since brings nothing back.
    """
    identity = _identity(consent)
    if not _is_taken_back(consent):
        return identity
    return identity, consent.state, consent.withdrawn_at, consent.withdrawal_method


def _said(consent: Consent) -> int:
    """All that the person's consent says, whoever recorded it and when, in one number."""
    document = consents.to_document(consent)
    return hash(repr({name: value for name, value in document.items() if name not in OURS}))


def _said_by(consent: Consent) -> set[Identity | TakenBack | int]:
    return {_identity(consent), _news(consent), _said(consent)}


def _stored(evidence: Evidence) -> EvidenceStored:
    return EvidenceStored(
        sha256=evidence.sha256,
        size=evidence.size,
        media_type=evidence.media_type,
        original_name=evidence.original_name,
    )
