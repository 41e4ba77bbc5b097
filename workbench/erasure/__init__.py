"""Erasing a person on request (GDPR Art. 17): everything that names them goes, that they must be left alone stays.

One transaction takes them out of the register, empties their events on the trail and suppresses their addresses and ids; then
their evidence files and the reports that name them are deleted, the database is rewritten without what it held, and whatever still
names them is told. Killed in between, the next erasure, or `take_due`, finishes what was begun.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from workbench.desk import Desk
from workbench.erasure.leftovers import files_holding, forms, names_one
from workbench.errors import InputError, NotAllowedError, StoreError
from workbench.store import mismatches, operators, people, records, reports
from workbench.store.database import Transaction
from workbench.store.erasure import proof, removal, traces
from workbench.store.erasure.proof import EvidenceFate, NamingEvents
from workbench.store.erasure.traces import Traces
from workbench.store.reports import ReportRow
from workbench.trail import events

MOST_AT_ONCE = 1_000
CLOSE_FIRST = "Close JupyterLab and other commands on this workspace, then run `workbench erase --due`."
CAUSE, TIME_OVER = "erased on request", "the time to keep it is over"
REGISTER = ("register.db", "register.db-wal", "register.db-shm")
ISSUED, ERASING = "issued", ".erasing-"


@dataclass(frozen=True, kw_only=True)
class Line:
    """One thing that an erasure took away (``erased``) or that is still there (``remains``): how many, which, and what to do."""

    outcome: str
    what: str
    number: int
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Erasure:
    """What an erasure did (in a dry run: would do), and what remains."""

    person_ids: tuple[str, ...]
    lines: tuple[Line, ...]
    dry_run: bool

    @property
    def remains(self) -> tuple[Line, ...]:
        """What is still there, and what is to be done about it."""
        return tuple(line for line in self.lines if line.outcome == "remains")


def erase(desk: Desk, named: Sequence[str], *, dry_run: bool = False) -> Erasure:
    """Erase the people whom these addresses or ids name, all or none.

    Raises:
        NotAllowedError: the operator is no administrator.
        InputError: nobody is named so; or somebody is in an open batch, being worked on, or shares an address or a Salesforce
            record with somebody who is not named.
        StoreError: the register is locked, or the secret that keeps erased people out is gone; nothing was erased.
    """
    with desk.store.read() as tx:
        if "admin" not in operators.roles(tx, desk.operator.name):
            raise NotAllowedError("only an administrator erases people")
        person_ids = _named(tx, named)
        found = _Found.of(desk, tx, person_ids)
    if dry_run:
        return Erasure(person_ids=person_ids, lines=(*found.erased(), *found.remaining()), dry_run=True)
    with desk.store.write() as tx:
        found = _Found.of(desk, tx, person_ids)  # anew: what is decided on is what is written
        found.carry_out(tx)
    try:
        take_due(desk)
        emptied = desk.store.compact()
    except StoreError:  # they are erased; what is left to do is said, and `finish` does it
        emptied = False
    return Erasure(
        person_ids=person_ids, lines=(*found.erased(), *found.remaining(), *found.left(log_emptied=emptied)), dry_run=False
    )


def finish(desk: Desk) -> tuple[str, ...]:
    """`take_due`, and the database without what is gone.

    Raises:
        StoreError: the register can't be written, or its log can't be emptied because another process reads it.
    """
    due = take_due(desk)
    if not desk.store.compact():
        raise StoreError("another process has the register open, and what was erased may still stand in its log", CLOSE_FIRST)
    return due


def take_due(desk: Desk) -> tuple[str, ...]:
    """Delete the files that erasures left for now: evidence whose time is over, reports whose deletion was broken off.

    Returns the digests of the evidence files.

    Raises:
        StoreError: the register can't be written.
    """
    _finish_reports(desk)
    with desk.store.write() as tx:
        due = removal.due_evidence(tx, now=desk.clock())
        told = proof.stored_as(tx, due)
        for digest in due:
            desk.evidence.path(digest).unlink(missing_ok=True)
        removal.forget_evidence(tx, due)
        if told:  # the others were named by the event of their person's erasure
            removal.empty_payloads(tx, told, at=desk.clock())
            digests = tuple(sorted(set(told.values())))
            desk.trail.append(tx, events.PersonErased(seqs=tuple(sorted(told)), evidence=digests, cause=TIME_OVER))
            desk.trail.checkpoint(tx)
    return due


def _named(tx: Transaction, named: Sequence[str]) -> tuple[str, ...]:
    if not named:
        raise InputError("nobody was named", "Name people by address or id.")
    found = tuple(dict.fromkeys(people.find(tx, one).person_id for one in named))
    if len(found) > MOST_AT_ONCE:
        raise InputError(f"more than {MOST_AT_ONCE:,} people are not erased at once", "Name fewer of them.")
    return found


@dataclass(frozen=True, kw_only=True)
class _Found:
    """What is known of the people at one moment, and what is to become of it."""

    desk: Desk
    now: datetime
    traces: tuple[Traces, ...]
    fates: tuple[EvidenceFate, ...]
    naming: NamingEvents
    reports: tuple[ReportRow, ...]
    counts: dict[str, int]
    formers_of_others: int
    org: tuple[tuple[str, str, bool], ...]  # (object, id, opted out) of the records that are still in Salesforce

    @classmethod
    def of(cls, desk: Desk, tx: Transaction, person_ids: Sequence[str]) -> _Found:
        now = desk.trail.moment(tx)
        if blockers := traces.blockers(tx, person_ids, now=now):
            raise InputError(
                "; ".join(blockers[:5]),
                "End or cancel the batch, wait for the sync, or name those who share an address together; then erase again.",
            )
        found = traces.of_people(tx, person_ids)
        fates = proof.evidence_fates(tx, person_ids, now=now)
        going = {f.sha256 for f in fates if f.fate == "goes"}
        rows = records.rows_by_ids(tx, sorted({r for t in found for r in t.records}))
        return cls(
            desk=desk,
            now=now,
            traces=found,
            fates=fates,
            naming=proof.naming_events(tx, found, going=going),
            reports=_reports_naming(desk, tx, _wanted(found)),
            counts=traces.counts(tx, person_ids),
            formers_of_others=traces.formers_of_others(tx, found),
            org=tuple((r.object, i, r.opted_out) for i, r in sorted(rows.items()) if not r.is_deleted and not r.merged_into),
        )

    def carry_out(self, tx: Transaction) -> None:
        """In one transaction: the register, the trail, the suppression, and what is to happen to files."""
        removal.remove(tx, self.traces, at=self.now)
        removal.release_evidence(tx, self.fates, at=self.now)
        removal.empty_payloads(tx, [seq for seqs in self.naming.seqs.values() for seq in seqs], at=self.now)
        for again in self.naming.renamed:
            self.desk.trail.append(tx, again)
        gone: dict[str, list[str]] = {}
        for fate in self.fates:
            if fate.fate == "goes":
                gone.setdefault(fate.person_ids[-1], []).append(fate.sha256)
        for trace in self.traces:
            seqs = tuple(sorted(self.naming.seqs.get(trace.person_id, ())))
            evidence = tuple(sorted(gone.get(trace.person_id, ())))
            self.desk.trail.append(tx, events.PersonErased(seqs=seqs, evidence=evidence, cause=CAUSE))
        for report in self.reports:
            _set_aside(self.desk, report)
            reports.erase(tx, report, cause="it named a person who was erased on request", trail=self.desk.trail)
        mismatches.refresh(tx, self.now, append_event=self.desk.trail.append)
        self.desk.trail.checkpoint(tx)

    def erased(self) -> list[Line]:
        """What goes."""
        payloads = sum(map(len, self.naming.seqs.values()))
        files = [f.sha256 for f in self.fates if f.fate == "goes"]
        counted = [("person", len(self.traces), ""), *((what, n, "") for what, n in self.counts.items())]
        counted += [("trail payload", payloads, "the tree over the trail stays and verifies")]
        counted += [("evidence file", len(files), ", ".join(files))]
        counted += [("issued report", 1, report.folder) for report in self.reports]
        return [Line(outcome="erased", what=what, number=n, detail=detail) for what, n, detail in counted if n]

    def remaining(self) -> list[Line]:
        """What stays by intent, and what is out of reach."""
        said = [
            (
                "suppression",
                sum(len(t.identifiers) for t in self.traces),
                "keyed digests that keep these people out of the register",
            )
        ]
        for fate in self.fates:
            if fate.fate == "shared":
                said.append(
                    ("evidence file", 1, f"{fate.sha256} proves the consent of somebody else, too, and stays for that one")
                )
            elif fate.until is not None:
                said.append(
                    (
                        "evidence file",
                        1,
                        f"{fate.sha256} must be kept until {fate.until:%Y-%m-%d}; `workbench erase --due` deletes it then",
                    )
                )
        if formers := self.formers_of_others:
            said.append(("former address", formers, "of other people in the register, which was that of one of these, too"))
        if self.naming.others:
            said.append(("trail payload", self.naming.others, "events about other people that name these, too"))
        for kind, record_id, out in self.org:
            state = "it is opted out" if out else "it is not opted out, the next sync does that"
            said.append(("Salesforce record", 1, f"{kind} {record_id} is not erased from here: {state}; erase it in Salesforce"))
        said.append(("copies", 0, "backups, exports and reports that were handed out are out of reach: look after them"))
        return [Line(outcome="remains", what=what, number=n, detail=detail) for what, n, detail in said]

    def left(self, *, log_emptied: bool) -> list[Line]:
        """Files of the workspace that still name them, now that all is done."""
        but = [self.desk.evidence.path(f.sha256) for f in self.fates] + [self.desk.folder / name for name in REGISTER]
        found = files_holding(self.desk.folder, _wanted(self.traces), but=but)
        said = [("file", 1, f"{path.relative_to(self.desk.folder)} still names one of them") for path in found]
        if not log_emptied:
            said.append(("register", 1, f"another process reads its log, in which they may still stand. {CLOSE_FIRST}"))
        return [Line(outcome="remains", what=what, number=n, detail=detail) for what, n, detail in said]


def _wanted(found: Sequence[Traces]) -> tuple[bytes, ...]:
    return forms({spelling for t in found for spelling in (*t.spelt, *t.addresses)})


def _reports_naming(desk: Desk, tx: Transaction, wanted: Sequence[bytes]) -> tuple[ReportRow, ...]:
    home = desk.folder / ISSUED
    return tuple(row for row in reports.issued(tx) if row.folder and names_one(home / row.folder, wanted))


def _set_aside(desk: Desk, report: ReportRow) -> None:
    folder = desk.folder / ISSUED / report.folder
    os.replace(folder, folder.with_name(f"{ERASING}{folder.name}"))  # noqa: PTH105 - a folder, atomically


def _finish_reports(desk: Desk) -> None:
    """Delete the reports that were set aside; bring back those whose erasure was not committed."""
    home = desk.folder / ISSUED
    with desk.store.read() as tx:
        listed = {row.folder for row in reports.issued(tx)}
    for folder in sorted(home.glob(f"{ERASING}*")):
        name = folder.name.removeprefix(ERASING)
        if name in listed:
            folder.rename(home / name)
        else:
            shutil.rmtree(folder)
