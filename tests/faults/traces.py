"""What a trial leaves: both databases as they are at the end and were in the beginning, the org's log and ledger, the journal.

Everything is read with sqlite3 and json alone; the engine is not asked.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from faults.scene import Scene

Row = dict[str, Any]
OPT_OUT = "HasOptedOutOfEmail"
UNSUBSCRIBES = ("unsubscribe_recorded", "person_unsubscribed_by_sync")


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Where the traces of one trial lie, and what its processes returned. ``faulty``: requests were made to fail."""

    scene: Scene
    folder: Path
    exits: tuple[int, ...]
    said: tuple[Row, ...]
    faulty: bool = False
    synced: bool = False


class Traces:
    """The traces, joined as far as the rules need it; ``number`` of a ledger entry and ``seq`` of an event give their order."""

    def __init__(self, evidence: Evidence) -> None:
        register, org = evidence.folder / "workspace" / "register.db", evidence.folder / "org.db"
        beginning = evidence.scene.workspace / "register.db"
        self.scene = evidence.scene
        self.records = evidence.scene.eligible
        self.before, self.rows = org_rows(evidence.scene.database), org_rows(org)
        self.episodes_before, self.episodes = episodes(beginning), episodes(register)
        self.intents = {i["person_id"]: i for i in select(register, "SELECT * FROM intent")}
        self.given = _consents(register)
        self.events = _events(register)
        self.first_entry = _last(evidence.scene.database, "opt_out_ledger")
        self.first_request = _last(evidence.scene.database, "request_log")
        entries = select(org, "SELECT * FROM opt_out_ledger ORDER BY number")
        self.ledger = [entry for entry in entries if entry["number"] > self.first_entry]
        log = [json.loads(r["entry"]) for r in select(org, "SELECT entry FROM request_log ORDER BY number")]
        self.requests = [request for request in log if request["number"] > self.first_request]
        self.us = select(org, """SELECT "Id" FROM "User" WHERE "Name" = 'Workbench Integration'""")[0]["Id"]
        text = (evidence.folder / "journal.jsonl").read_text(encoding="utf-8")
        self.journal = tuple(json.loads(line) for line in text.splitlines())
        self.owner = {record: person for person, records in self.records.items() for record in records}

    def foreign(self, person_id: str) -> list[Row]:
        """The opt-outs of a person's records that somebody else made in Salesforce."""
        mine = self.records[person_id]
        return [e for e in self.ledger if e["by"] != self.us and e["new"] and e["id"] in mine]

    def local(self, person_id: str) -> list[Row]:
        """The unsubscribes of a person that came after the batch was approved."""
        known = {e["unsubscribe_id"] for e in self.episodes_before}
        return [e for e in self.episodes if e["person_id"] == person_id and e["unsubscribe_id"] not in known]

    def open_episodes(self, person_id: str) -> list[Row]:
        """What keeps a person unsubscribed in the register."""
        return [e for e in self.episodes if e["person_id"] == person_id and e["closed_at"] is None]

    def flags(self, person_id: str) -> dict[str, bool]:
        """The opt-out of a person's records at the end."""
        return {r: bool(self.rows[r][OPT_OUT]) for r in self.records[person_id]}

    def flags_at(self, person_id: str, entry: int) -> dict[str, bool]:
        """The opt-out of a person's records after some entry of the org's ledger."""
        flags = {r: bool(self.before[r][OPT_OUT]) for r in self.records[person_id]}
        flags |= {e["id"]: bool(e["new"]) for e in self.ledger if e["number"] <= entry and e["id"] in flags}
        return flags

    def latest_opt_out(self, person_id: str) -> datetime:
        """By the register's episodes, closed ones too, the org's ledger, and the rows of the beginning."""
        moments = [moment(e["opted_out_at"]) for e in self.episodes if e["person_id"] == person_id]
        moments += [moment(e["at"]) for e in self.foreign(person_id)]
        rows = (self.before[r] for r in self.records[person_id])
        return max(moments + [moment(row["LastModifiedDate"]) for row in rows if row[OPT_OUT]])

    def latest_consent(self, person_id: str) -> datetime:
        """When the person last said yes, by the consents on file."""
        return max(self.given[person_id])

    def event(self, person_id: str, *actions: str) -> list[Row]:
        """The events of these kinds that name the person's intent, in order."""
        intent = self.intents[person_id]["intent_id"]
        return [e for e in self.events if e["intent_id"] == intent and e["action"] in actions]

    def recorded(self, unsubscribe_id: str) -> int:
        """At which place of the trail an unsubscribe was recorded; -1 if nowhere."""
        told = (e["seq"] for e in self.events if e["action"] in UNSUBSCRIBES and e["payload"]["unsubscribe_id"] == unsubscribe_id)
        return next(told, -1)

    def last_look(self, person_id: str) -> tuple[int, int] | None:
        """Between which entries of the ledger the org was read for the last time before the person was done; None if never.

        A reading of several requests begins with its first one; a request without a good answer is no look.
        """
        done = next((i for i, line in enumerate(self.journal) if line.get("states", {}).get(person_id) == "DONE"), None)
        end = next((i for i in range((done or 0) - 1, -1, -1) if _looked(self.journal[i])), None)
        if end is None:
            return None
        begin = end
        for i in range(end - 1, -1, -1):
            line = self.journal[i]
            if "injected" in line:
                continue
            if line["what"] != "read" or line["run"] != self.journal[end]["run"] or line.get("status", 200) != 200:
                break
            begin = i if line["at"] == "http:before" else begin
        return self.journal[begin]["ledger"], self.journal[end]["ledger"]

    def befell(self, person_id: str, *what: str) -> bool:
        """Whether one of these was begun on the person or their records."""
        noted = (line for line in self.journal if line.get("injected") in what)
        return any(line["who"] == person_id or set(line["rows"]) & set(self.records[person_id]) for line in noted)


def _looked(line: Row) -> bool:
    return line.get("at") == "http:after" and line["what"] == "read" and line["status"] == 200


def moment(text: str) -> datetime:
    """A stored moment of either side, in UTC."""
    value = datetime.fromisoformat(text)
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def org_rows(database: Path) -> dict[str, Row]:
    """Leads and contacts by id."""
    rows: dict[str, Row] = {}
    for kind in ("Lead", "Contact"):
        rows |= {r["Id"]: r for r in select(database, f'SELECT * FROM "{kind}"')}
    return rows


def episodes(register: Path) -> list[Row]:
    """All unsubscribes."""
    return select(register, "SELECT * FROM unsubscribe ORDER BY unsubscribe_id")


def _consents(register: Path) -> dict[str, list[datetime]]:
    given = defaultdict(list)
    for row in select(register, "SELECT person_id, given_at FROM consent"):
        given[row["person_id"]].append(moment(row["given_at"]))
    return given


def _events(register: Path) -> list[Row]:
    rows = select(
        register, "SELECT e.seq, e.leaf_bytes, p.payload FROM trail_event e JOIN trail_payload p USING (seq) ORDER BY seq"
    )
    return [json.loads(r["leaf_bytes"]) | {"seq": r["seq"], "payload": json.loads(r["payload"])} for r in rows]


def _last(database: Path, table: str) -> int:
    return int(select(database, f'SELECT coalesce(max("number"), 0) AS n FROM "{table}"')[0]["n"])


def select(database: Path, query: str) -> list[Row]:
    """Rows as dicts."""
    connection = sqlite3.connect(database)
    connection.row_factory = sqlite3.Row
    try:
        return [dict(row) for row in connection.execute(query)]
    finally:
        connection.close()
