"""Consents: recorded, renewed, withdrawn, exchanged with other systems; their evidence checked, their coverage told."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from workbench import handed_in, views, withdrawal
from workbench.bench.opened import Opened
from workbench.consent import Consent, Evidence
from workbench.errors import InputError
from workbench.preview import LARGEST_SHOWN
from workbench.store import consent_states, consents, operators, people
from workbench.trail import events, leaf_time

LARGEST_EXPORT = 512 << 20  # bytes

if TYPE_CHECKING:
    import pandas as pd

    from workbench.bench.opened import Listener
    from workbench.intake.result import RowVerdict


class Consenting(Opened):
    """The Workbench's part about consents."""

    def record_consent(self, *, person: str, evidence: Sequence[Evidence], **fields: Any) -> Consent:
        """Record a consent with its evidence files; the fields are those of `Consent`.

        Raises:
            InputError: nobody is named so, or a field's value is not one that a consent can have.
            EvidenceError: a file can't be stored; nothing was recorded.
        """
        from workbench.recording import record_consent

        with self.store.read() as tx:
            who = people.find(tx, person)
        recorded = record_consent(
            self.store, self._desk.evidence, person=who, evidence=evidence, policy=self.policy, fields=fields, **self._intake()
        )
        return self._sealed(recorded)

    def withdraw_consent(self, consent_id: str, *, method: str, at: datetime | None = None) -> Consent:
        """Note that a person withdrew a consent; ``at`` is when (aware; now, by default).

        Raises:
            InputError: there is no such consent, or ``at`` is to come or has no time zone.
        """
        self._require("analyst", "admin")
        with self.store.write() as tx:
            now = self._desk.trail.moment(tx)
            if at is not None and (at.tzinfo is None or at > now):
                raise InputError("a withdrawal needs a time with its zone, not later than now", "Leave the time out for now.")
            ended = now if at is None else at.astimezone(UTC)
            consent = consents.withdraw(tx, consent_id, at=ended, method=method, recorded_at=now, by=self.operator)
            event = events.ConsentWithdrawn(consent_id=consent_id, withdrawn_at=leaf_time(ended), withdrawal_method=method)
            self._desk.trail.append(tx, event, person_id=consent.person_id)
            withdrawal.follow(tx, [consent], by=self.operator, now=now, append_event=self._desk.trail.append)
            self._desk.trail.checkpoint(tx, required=False)
        return consent

    def consents(self, person: str | None = None) -> pd.DataFrame:
        """Consents on file, newest first: one person's, or all."""
        with self.store.read() as tx:
            if person is None:
                return views.consents_table(consents.everyones(tx))
            who = people.find(tx, person).person_id
            return views.consents_table(consents.of_people(tx, [who]).get(who, ()))

    def verify_consents(self, *, progress: Listener | None = None) -> pd.DataFrame:
        """Re-hash every evidence file: columns sha256, state (intact, altered, missing)."""
        from workbench.worker import Progress

        with self.store.read() as tx:
            digests = consents.all_digests(tx, now=self.clock())
        rows = []
        for digest in digests:
            rows.append({"sha256": digest, "state": self._desk.evidence.check(digest)})
            if progress is not None:
                progress(Progress(len(rows), len(digests), "evidence files read."))
        return views.frame(rows, ("sha256", "state"))

    def evidence_of(self, person: str) -> Iterator[tuple[Evidence, bytes]]:
        """The evidence files of one person's consents, each once, with their bytes; b"" where larger than `preview.LARGEST_SHOWN`.

        Raises:
            InputError: nobody, or several people, are named so.
            EvidenceError: a file is missing or altered.
        """
        with self.store.read() as tx:
            who = people.find(tx, person).person_id
            held = consents.of_people(tx, [who]).get(who, ())
        for item in {item.sha256: item for consent in held for item in consent.evidence}.values():
            with self._desk.evidence.open(item.sha256) as stored:
                yield item, stored.read() if item.size <= LARGEST_SHOWN else b""

    def renew_consent(self, consent_id: str, *, evidence: Sequence[Evidence], **fields: Any) -> Consent:
        """Record that a person gave a consent again: a consent of its own, which takes over what ``fields`` does not change.

        Raises:
            InputError: no such consent; it was withdrawn; or a field's value is not one that a renewal can have.
            EvidenceError: a file can't be stored; nothing was recorded.
        """
        from workbench.consenting import renew

        self._require("analyst", "admin")
        return renew(self._desk, consent_id, evidence=evidence, fields=fields)

    def note_expired_consents(self) -> tuple[str, ...]:
        """Note each consent whose validity is over, once, in its history and on the trail; returns their ids."""
        from workbench.consenting import note_expired

        self._require("analyst", "admin")
        return note_expired(self._desk)

    def consent_history(self, consent_id: str) -> pd.DataFrame:
        """What became of a consent: state, since (UTC), recorded_at (UTC), recorded_by, detail; empty where there is none."""
        with self.store.read() as tx:
            found = consent_states.of_consent(tx, consent_id)
        return views.frame([vars(state) for state in found], ("state", "since", "recorded_at", "recorded_by", "detail"))

    def coverage(self, *, expiring: int | None = None) -> pd.DataFrame:
        """Which resubscribed people have which proof, and when it ends, with the columns and dtypes of `views.coverage_table`.

        ``expiring`` leaves those whose proof ends within so many days, and those without a sound one.
        """
        from workbench.coverage import coverage

        return views.coverage_table(coverage(self._desk, expiring=expiring))

    def export_consents(self, person: str | None, *, form: Literal["json", "jsonld"] = "json") -> str:
        """One person's consents, or with None everybody's, as JSON by ISO/IEC TS 27560 or JSON-LD on W3C DPV 2 terms.

        Raises:
            NotAllowedError: the operator has no role: it is personal data.
            InputError: nobody is named so.
        """
        from workbench import exchange

        with self.store.read() as tx:
            operators.require_any(tx, self.operator, what="an export of consents")
            if person is None:
                return exchange.written(consents.everyones(tx), form)
            who = people.find(tx, person).person_id
            return exchange.written(consents.of_people(tx, [who]).get(who, ()), form)

    def export_evidence(self, person: str | None, folder: str | Path) -> int:
        """Copy the evidence files of one person's consents, or of everybody's, to a new folder; returns how many.

        Raises:
            NotAllowedError: the operator has no role.
            InputError: the folder exists already or can't be made.
            EvidenceError: a file is missing or altered.
        """
        with self.store.read() as tx:
            operators.require_any(tx, self.operator, what="an export of evidence")
            who = people.find(tx, person).person_id if person is not None else None
            held = consents.everyones(tx) if who is None else iter(consents.of_people(tx, [who]).get(who, ()))
            digests = sorted({item.sha256 for consent in held for item in consent.evidence})
        try:
            Path(folder).mkdir(mode=0o700)
            for digest in digests:
                with self._desk.evidence.open(digest) as source, (Path(folder) / digest).open("xb") as target:
                    shutil.copyfileobj(source, target)
        except OSError as error:
            raise InputError(
                f"the folder for evidence can't be written ({error.strerror})", "Name a folder that does not exist yet."
            ) from None
        return len(digests)

    def import_consent_records(self, file: str | Path, *, evidence_dir: str | Path | None = None) -> tuple[RowVerdict, ...]:
        """Take in a file that `export_consents` wrote, here or elsewhere; a verdict a record.

        Raises:
            InputError: the file is no such export, or can't be read; nothing was taken in.
        """
        from workbench.consenting import take_in

        self._require("analyst", "admin")
        try:
            content = handed_in.read(Path(file), most=LARGEST_EXPORT)
        except OSError as error:
            raise InputError(f"the file can't be read ({error.strerror})", "Check the path and its permissions.") from None
        return take_in(self._desk, content, Path(evidence_dir) if evidence_dir is not None else None)
