"""What the machine knows by itself of opt-outs and consents, and what has to hold after every step.

Nothing here asks the engine's rules: it compares what was done (by the machine, and by the org's own ledger) with the register's
tables and the org's ledger as they are afterwards. A wrong is a sentence; an empty list means that all is well.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

Row = dict[str, Any]
OPEN_BATCH = ("proposed", "approved", "running", "paused")
ON_THE_WAY = ("PROPOSED", "POSTPONED", "PLANNED", "SENT", "VERIFIED", "ABORTING")
WROTE = ("SENT", "VERIFIED", "DONE", "ABORTING", "ABORTED", "UNDOING", "UNDONE")


@dataclass
class OptOut:
    """Somebody opted out: when in truth, where ("" is the register), and whether a later change took it out of our sight."""

    person: str
    at: datetime
    record: str = ""
    out_of_sight: bool = False


@dataclass
class Record:
    """One org record as the machine made it; ``email`` and its fate are what others did with it."""

    record_id: str
    kind: str
    email: str
    gone: str = ""


@dataclass
class Book:
    """Everything that was done, and the last look at both sides."""

    register: Path
    us: str
    ledger_begins: int
    addresses: dict[str, str] = field(default_factory=dict)
    """person id -> address"""
    stored: dict[str, set[str]] = field(default_factory=dict)
    """person id -> record ids that a file named"""
    records: dict[str, Record] = field(default_factory=dict)
    opt_outs: list[OptOut] = field(default_factory=list)
    given: dict[str, datetime] = field(default_factory=dict)
    """consent id -> when it was given"""
    withdrawn: set[str] = field(default_factory=set)
    erased: dict[str, set[str]] = field(default_factory=dict)
    """address -> the records known to be that person's"""
    episodes: dict[str, Row] = field(default_factory=dict)
    leaves: list[bytes] = field(default_factory=list)
    ledger: list[Row] = field(default_factory=list)
    resubscribed: dict[str, str] = field(default_factory=dict)
    """intent id -> the consent that it was done on"""

    def owners(self, record_id: str) -> list[str]:
        """Whose record it is: by a stored id or by the address."""
        email = self.records[record_id].email.lower()
        return [p for p, a in self.addresses.items() if a == email or record_id in self.stored.get(p, ())]

    def opt_out(self, person: str, at: datetime, record: str = "") -> None:
        """Somebody opted out."""
        self.opt_outs.append(OptOut(person, at, record))

    def rows(self, sql: str, *values: Any) -> list[Row]:
        """Rows of the register, read past the engine."""
        with sqlite3.connect(f"file:{self.register}?mode=ro", uri=True) as db:
            db.row_factory = sqlite3.Row
            found = [dict(r) for r in db.execute(sql, values)]
        db.close()
        return found

    def wrongs(self, ledger: list[Row], *, began: datetime) -> list[str]:
        """Everything that is wrong after a step which began at this time; then this is what the next one is compared with."""
        news = [e for e in ledger if e["number"] > (self.ledger[-1]["number"] if self.ledger else self.ledger_begins)]
        found = [*self._cleared(news, began), *self._closed(began), *self._rewritten(), *self._twice(), *self._came_back()]
        found += self._trail()
        self._take_over(news)
        self.ledger += news
        self.episodes = {e["unsubscribe_id"]: e for e in self.rows("SELECT * FROM unsubscribe")}
        return found

    def _take_over(self, news: list[Row]) -> None:
        """What other users ticked is an opt-out of everybody whose record it is."""
        for entry in news:
            if entry["by"] != self.us and entry["new"] and entry["id"] in self.records:
                for person in self.owners(entry["id"]):
                    self.opt_out(person, datetime.fromisoformat(entry["at"]), entry["id"])

    def _before(self, person: str, began: datetime) -> datetime | None:
        """The latest opt-out of somebody that was made before this step and that nothing took out of our sight."""
        return max((o.at for o in self.opt_outs if o.person == person and o.at <= began and not o.out_of_sight), default=None)

    def _cleared(self, news: list[Row], began: datetime) -> Iterator[str]:
        """Whatever we cleared, we cleared on a consent that is later than every opt-out known by then."""
        ticked: set[str] = set()
        for entry in news:
            if entry["by"] != self.us:
                (ticked.add if entry["new"] else ticked.discard)(entry["id"])
            elif not entry["new"]:
                if entry["id"] in ticked:
                    yield f"LOST: {entry['id']} was opted out during this step, and cleared by us"
                intents = self.rows(
                    f"SELECT * FROM intent WHERE base LIKE ? AND state IN ({_marks(WROTE)}) ORDER BY intent_id DESC",
                    f"%{entry['id']}%",
                    *WROTE,
                )
                if not intents:
                    yield f"LOST: {entry['id']} was cleared by us without a batch"
                else:
                    yield from self._judged(intents[0], began, f"{entry['id']} was cleared")

    def _judged(self, intent: Row, began: datetime, what: str) -> Iterator[str]:
        consent = intent["consent_id"]
        if consent not in self.given:
            yield f"LOST: {what} on no consent"
            return
        latest = self._before(intent["person_id"], began)
        if latest is not None and self.given[consent] <= latest:
            yield f"LOST: {what} on a consent that is older than an opt-out"
        if consent in self.withdrawn:
            yield f"LOST: {what} on a consent that was withdrawn"

    def _closed(self, began: datetime) -> Iterator[str]:
        """Episodes are closed, and people done, on such consents only."""
        intents = {i["intent_id"]: i for i in self.rows("SELECT * FROM intent")}
        for episode in self.rows("SELECT * FROM unsubscribe WHERE closed_at IS NOT NULL"):
            if (self.episodes.get(episode["unsubscribe_id"]) or {"closed_at": None})["closed_at"] is None:
                intent = intents.get(episode["closed_by_intent"] or "")
                if intent is None or intent["state"] != "DONE":
                    yield f"LOST: the unsubscribe {episode['unsubscribe_id']} was closed without somebody being done"
                elif self.given.get(intent["consent_id"], began) <= _moment(episode["opted_out_at"]):
                    yield f"LOST: the unsubscribe {episode['unsubscribe_id']} was closed on an older consent"
        for intent in intents.values():
            if intent["state"] == "DONE" and intent["intent_id"] not in self.resubscribed:
                self.resubscribed[intent["intent_id"]] = intent["consent_id"]
                yield from self._judged(intent, began, f"{intent['person_id']} was done")

    def _rewritten(self) -> Iterator[str]:
        """No unsubscribe vanishes, changes its source or time, or is opened again."""
        now = {e["unsubscribe_id"]: e for e in self.rows("SELECT * FROM unsubscribe")}
        for key, before in self.episodes.items():
            if key not in now:
                yield f"LOST: the unsubscribe {key} vanished"
                continue
            for name in ("source", "opted_out_at", "person_id", "recorded_at"):
                if now[key][name] != before[name]:
                    yield f"the {name} of the unsubscribe {key} was rewritten"
            if before["closed_at"] and now[key]["closed_at"] != before["closed_at"]:
                yield f"the unsubscribe {key} was opened again"

    def _twice(self) -> Iterator[str]:
        """Nobody is in two open batches."""
        sql = f"""SELECT person_id, count(DISTINCT batch_id) AS n FROM intent JOIN batch USING (batch_id)
            WHERE batch.state IN ({_marks(OPEN_BATCH)}) AND intent.state IN ({_marks(ON_THE_WAY)}) GROUP BY person_id"""
        yield from (
            f"{r['person_id']} is in {r['n']} open batches" for r in self.rows(sql, *OPEN_BATCH, *ON_THE_WAY) if r["n"] > 1
        )

    def _came_back(self) -> Iterator[str]:
        """Nobody who was erased is in the register again."""
        for address in self.erased:
            if self.rows("SELECT person_id FROM person WHERE email = ? AND erased_at IS NULL", address):
                yield f"LOST: somebody erased is back ({len(self.erased)} erased)"

    def _trail(self) -> Iterator[str]:
        """The trail only grows."""
        leaves = [r["leaf_hash"] for r in self.rows("SELECT leaf_hash FROM trail_event ORDER BY seq")]
        if leaves[: len(self.leaves)] != self.leaves:
            yield "the trail was rewritten"
        self.leaves = leaves

    def at_rest(self, flags: dict[str, dict[str, bool]]) -> Iterator[str]:
        """After a resume and two syncs: both sides say the same, and it is the latest word. ``flags`` by living record."""
        people = {r["person_id"]: r for r in self.rows("SELECT * FROM person WHERE erased_at IS NULL")}
        used: dict[str, datetime] = {}
        for intent in self.rows("SELECT * FROM intent WHERE state = 'DONE'"):
            if intent["person_id"] in people:  # of the others nothing is kept
                at = self.given[intent["consent_id"]]
                used[intent["person_id"]] = max(at, used.get(intent["person_id"], at))
        for person in people.keys() & self.addresses.keys():
            out = people[person]["unsubscribed_at"] is not None
            for record in (r for r in flags if person in self.owners(r)):
                if out != all(flags[record].values()) or out != any(flags[record].values()):
                    yield f"LOST: at rest {record} says {flags[record]} and the register {'out' if out else 'in'}"
            spoken = [o.at for o in self.opt_outs if o.person == person and not o.out_of_sight]
            if spoken and not out and max(spoken) >= used.get(person, max(spoken)):
                yield f"LOST: at rest {person} is mailed although an opt-out was the last word"
        for records in self.erased.values():
            yield from (
                f"LOST: {r} of somebody erased is not opted out" for r in records & flags.keys() if not any(flags[r].values())
            )


def _marks(values: tuple[str, ...]) -> str:
    return ", ".join("?" for _ in values)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text) - timedelta(0)


def standing(ledger: list[Row]) -> str:
    """The ledger as one text, for a failure's message."""
    return json.dumps(ledger[-6:])
