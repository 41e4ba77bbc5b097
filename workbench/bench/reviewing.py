"""The register: looking people up, taking them in from files, unsubscribing them, and their consents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench import views
from workbench.bench.opened import Opened
from workbench.errors import InputError
from workbench.store import mismatches, people, review
from workbench.store.review import Page
from workbench.trail import events, leaf_time

if TYPE_CHECKING:
    import pandas as pd

    from workbench.intake import ImportResult, Named
    from workbench.intake.mappings import Mappings
    from workbench.intake.preview import Preview
    from workbench.intake.run import Told
    from workbench.views import PersonCard


SAID_BY_PEOPLE = ("clicked_link", "manual", "bounce", "spam_complaint")
"""The sources of an unsubscribe that an operator may name; the others are for the sync and the imports to write."""


class Reviewing(Opened):
    """The Workbench's part about people, their unsubscribes and consents."""

    def people(
        self,
        *,
        unsubscribed: bool | None = None,
        source: str | None = None,
        text: str | None = None,
        domain: str | None = None,
        salesforce: str | None = None,
        mismatch: str | None = None,
        consent: bool | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        person_ids: Sequence[str] | None = None,
        limit: int | None = None,
    ) -> pd.DataFrame:
        """People who fit all filters, one row each, with the columns `views.PEOPLE`.

        ``salesforce`` is opted_out, opted_in or no_record; ``mismatch`` a kind; ``consent`` whether one is on file.

        Raises:
            InputError: a filter's value is not one that it knows.
        """
        given = {name: value for name, value in locals().items() if name not in ("self", "limit") and value is not None}
        with self.store.read() as tx:
            return views.people_table(tx, given, limit=limit)

    def review_page(
        self,
        filters: Mapping[str, Any],
        *,
        sort: str,
        descending: bool,
        after: str | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> Page:
        """One page of the people grid; see `store.review.page`."""
        with self.store.read() as tx:
            return review.page(tx, filters, sort=sort, descending=descending, after=after, before=before, limit=limit)

    def review_count(self, filters: Mapping[str, Any]) -> int:
        """How many people fit the filters."""
        with self.store.read() as tx:
            return review.count(tx, filters)

    def person(self, named: str) -> PersonCard:
        """Everything about the person whom an address or id names.

        Raises:
            InputError: nobody, or several people share the address.
        """
        with self.store.read() as tx:
            return views.card(tx, named)

    def import_people(
        self,
        file: str | Path,
        *,
        mapping: Mapping[str, str] | None = None,
        encoding: str | None = None,
        dry_run: bool = False,
        told: Told | None = None,
    ) -> ImportResult:
        """Import people from a CSV file; idempotent, and never erases an opt-out. ``encoding`` where it is not UTF-8.

        Without a ``mapping`` (field -> column) the one of the last import of a file with the same columns is taken, {} takes none.
        ``told`` hears how many lines are taken in and how many there are.

        Raises:
            InputError: the file can't be read as such a CSV; nothing was changed.
        """
        from workbench.intake import import_people

        given = {"mapping": mapping, "encoding": encoding, "dry_run": dry_run, "told": told} | self._intake(
            mappings=self._mappings
        )
        return self._compared(import_people(self.store, Path(file), **given))

    def import_unsubscribes(
        self,
        file: str | Path,
        *,
        mapping: Mapping[str, str] | None = None,
        encoding: str | None = None,
        dry_run: bool = False,
        told: Told | None = None,
    ) -> ImportResult:
        """Import unsubscribes from a CSV file; only ever adds. Arguments as for `import_people`.

        Raises:
            InputError: the file can't be read as such a CSV; nothing was changed.
        """
        from workbench.intake import import_unsubscribes

        given = {"mapping": mapping, "encoding": encoding, "dry_run": dry_run, "told": told} | self._intake(
            mappings=self._mappings
        )
        return self._compared(import_unsubscribes(self.store, Path(file), **given))

    def import_consents(
        self,
        file: str | Path,
        evidence_dir: str | Path,
        *,
        mapping: Mapping[str, str] | None = None,
        encoding: str | None = None,
        dry_run: bool = False,
        told: Told | None = None,
    ) -> ImportResult:
        """Import consents from a CSV file, one row a person, evidence by file name in a folder. ``encoding`` if not UTF-8.

        Raises:
            InputError, EvidenceError: file or folder can't be used; nothing was changed.
        """
        from workbench.intake import import_consents

        imported = import_consents(
            self.store,
            self._desk.evidence,
            Path(file),
            evidence_dir=Path(evidence_dir),
            mapping=mapping,
            encoding=encoding,
            dry_run=dry_run,
            told=told,
            mappings=self._mappings,
            defaults={"controller": self.policy.controller},
            **self._intake(append_event=lambda tx, event, person: self._desk.trail.append(tx, event, person_id=person or None)),
        )
        return self._sealed(imported)

    def preview_import(
        self, file: str | Path, kind: str, *, mapping: Mapping[str, str] | None = None, encoding: str | None = None
    ) -> Preview:
        """Which columns of a CSV file of ``people``, ``unsubscribes`` or ``consents`` are read, and its first rows with their problems.

        Raises:
            InputError: the file can't be read as such a CSV.
        """
        from workbench.intake.preview import preview

        given: Any = {"mapping": mapping, "encoding": encoding, "mappings": self._mappings}
        return preview(Path(file), kind, **given, now=self.clock())

    @property
    def _mappings(self) -> Mappings:
        from workbench.intake.mappings import Mappings

        return Mappings(self.workspace)

    def people_in_file(self, file: str | Path) -> Named:
        """The person ids that a CSV's ids or addresses name, and the lines that name nobody or several people.

        Raises:
            InputError: the file can't be read, or names nobody.
        """
        from workbench.intake import people_in_file

        return people_in_file(self.store, Path(file))

    def unsubscribe(self, person: str, *, source: str = "manual", detail: str = "", at: datetime | None = None) -> None:
        """Unsubscribe one person in the register; always allowed, also while a batch runs: it wins. `push` tells Salesforce.

        ``source`` is one of `SAID_BY_PEOPLE`; ``at`` is when the person asked (aware; now, by default).

        Raises:
            InputError: nobody is named so, the source is unknown, or ``at`` is to come or has no time zone.
        """
        if source not in SAID_BY_PEOPLE:
            raise InputError("an unsubscribe has no such source", f"Use one of: {', '.join(SAID_BY_PEOPLE)}.")
        if at is not None and at.tzinfo is None:
            raise InputError("the time of an unsubscribe needs its time zone", "Write it as 2026-11-02T09:00:00+01:00.")
        with self.store.write() as tx:
            now = self._desk.trail.moment(tx)  # an opt-out is never older than what the register knew before it
            asked = now if at is None else at.astimezone(UTC)
            if asked > now:
                raise InputError("an unsubscribe can't be later than now", "Say when the person asked, or leave the time out.")
            person_id = people.find(tx, person).person_id
            episode = people.unsubscribe(
                tx, person_id, opted_out_at=asked, source=source, detail=detail, recorded_at=now, recorded_by=self.operator
            )
            event = events.UnsubscribeRecorded(
                unsubscribe_id=episode, opted_out_at=leaf_time(asked), source=source, detail=detail
            )
            self._desk.trail.append(tx, event, person_id=person_id)
            mismatches.refresh(tx, now, append_event=self._desk.trail.append)
            self._desk.trail.checkpoint(tx, required=False)
