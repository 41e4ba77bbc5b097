"""An unsubscribe that was recorded here reaches Salesforce at once, where Salesforce can be reached; else the next sync does it.

The register comes first and waits for nothing. Nobody's lease is asked for: writing an opt-out is always allowed, and wins over a
batch that has the person at this moment (a record that moved is never cleared on an older stamp, and the batch turns the person back).
"""

from __future__ import annotations

from dataclasses import dataclass

from workbench.counted import counted
from workbench.desk import Desk, read_people
from workbench.org import OrgRow, Reading
from workbench.person import Person, unsubscribed
from workbench.resubscription import linked_rows, living
from workbench.store import mismatches, people, records
from workbench.trail import events


@dataclass(frozen=True, kw_only=True)
class Push:
    """What became of one person's Salesforce records; ``failed`` are left to the next sync."""

    written: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """One plain sentence."""
        if not self.written and not self.failed:
            return "No Salesforce record had to be opted out."
        left = (
            f"; {len(self.failed)} could not be written, the next sync does it: {', '.join(self.failed)}" if self.failed else ""
        )
        return f"{counted(len(self.written), 'Salesforce record')} opted out{left}."


def push(desk: Desk, named: str) -> Push:
    """Opt out every living Salesforce record of a person who is unsubscribed; of anybody else none.

    Raises:
        InputError: nobody, or several people are named so.
        OrgError: Salesforce can't be read or written; the register is as it was, and the next sync does the rest.
    """
    with desk.store.read() as tx:
        person = people.find(tx, named)
        if not unsubscribed(people.unsubscribes(tx, [person.person_id]).get(person.person_id, ())):
            return Push()
    before = _read(desk, person)
    rows = [row for row in before.values() if not all(row.opt_outs.values())]
    if not rows:
        return Push()
    _announce(desk, person, rows)
    answers = {a.record_id: a for a in desk.org.opt_out(sorted((row.object, row.record_id) for row in rows))}
    after = _read(desk, person)
    done = {row.record_id: row.record_id not in after or all(after[row.record_id].opt_outs.values()) for row in rows}
    parts = {i: events.RowAnswer(record_id=i, status=None, code=a.code or a.outcome) for i, a in answers.items()}
    result = Push(written=tuple(sorted(i for i in done if done[i])), failed=tuple(sorted(i for i in done if not done[i])))
    with desk.store.write() as tx:
        if result.written:
            written = events.OptOutWritten(rows=tuple(parts[i] for i in result.written))
            desk.trail.append(tx, written, person_id=person.person_id)
        if result.failed:
            failed = events.OptOutFailed(cause="not_written", rows=tuple(parts[i] for i in result.failed))
            desk.trail.append(tx, failed, person_id=person.person_id)
        mismatches.refresh(tx, desk.clock(), append_event=desk.trail.append)
        desk.trail.checkpoint(tx, required=False)
    return result


def _read(desk: Desk, person: Person) -> dict[str, OrgRow]:
    """The person's living rows as they are now, by id; the register keeps what was read."""
    with desk.store.read() as tx:
        ids = {link.record_id for link in records.linked(tx, [person.person_id]).get(person.person_id, ())}
    ids.update(person.salesforce_ids)
    asked_at = desk.clock()
    reading: Reading = read_people(desk, [person], ids)
    with desk.store.write() as tx:
        records.store_reading(tx, reading, seen_at=desk.clock(), asked_at=asked_at)
        records.relink(tx, [person.person_id])
        ids.update(mismatches.left_with_former_address(tx, person.person_id))
    return living(linked_rows(reading, person, ids))


def _announce(desk: Desk, person: Person, rows: list[OrgRow]) -> None:
    """Durable before the request leaves: which records are to be opted out."""
    us = desk.org.identity().user_id
    with desk.store.write() as tx:
        records.remember_own_user(tx, us)
        intended = events.OptOutIntended(by="unsubscribe", rows=tuple(sorted(row.record_id for row in rows)))
        desk.trail.append(tx, intended, person_id=person.person_id)
        desk.trail.checkpoint(tx, required=False)
