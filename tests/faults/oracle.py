"""What must be true at the end, whatever happened: read from the databases and the journal, without asking the engine.

The register and the org are opened with sqlite3 alone. An opt-out that came before the last look at its side must have stopped
the resubscription on both sides; one that came later must stand on its own side, for the nightly sync to carry over.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from faults.scene import Scene

Row = dict[str, Any]
ON_FILE = ("clear_intended", "abort_intended", "opt_out_intended")


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Where the traces of one trial lie, and what its processes returned."""

    scene: Scene
    folder: Path
    victim: str
    exits: tuple[int, ...]
    said: Row
    hooked: bool


@dataclass(frozen=True)
class Judgement:
    """``losses`` are sentences; empty means that all is well. ``journal`` are the boundaries of all processes in order."""

    losses: tuple[str, ...]
    states: Counter[str]
    journal: tuple[Row, ...]
    exits: tuple[int, ...]
    injected: int


class Traces:
    """Both sides as they stand at the end, and as they stood in the beginning."""

    def __init__(self, evidence: Evidence) -> None:
        register, org = evidence.folder / "workspace" / "register.db", evidence.folder / "org.db"
        self.scene, self.victim = evidence.scene, evidence.scene.people[evidence.victim]
        self.before, self.rows = _org_rows(evidence.scene.database), _org_rows(org)
        self.episodes_before = _episodes(evidence.scene.workspace / "register.db")
        self.episodes = _episodes(register)
        self.intents = {i["person_id"]: i for i in _select(register, "SELECT * FROM intent")}
        self.ledger = _select(org, "SELECT * FROM opt_out_ledger ORDER BY number")
        self.requests = [json.loads(r["entry"]) for r in _select(org, "SELECT entry FROM request_log ORDER BY number")]
        self.us = _select(org, """SELECT "Id" FROM "User" WHERE "Name" = 'Workbench Integration'""")[0]["Id"]
        self.events = [
            r | {"payload": json.loads(r["payload"])}
            for r in _select(register, "SELECT e.seq, e.action, p.payload FROM trail_event e JOIN trail_payload p USING (seq)")
        ]
        text = (evidence.folder / "journal.jsonl").read_text(encoding="utf-8")
        self.journal = tuple(json.loads(line) for line in text.splitlines())

    def open_episodes(self, person_id: str) -> list[Row]:
        """What keeps a person unsubscribed in the register."""
        return [e for e in self.episodes if e["person_id"] == person_id and e["closed_at"] is None]

    def flags(self, person_id: str) -> dict[str, bool]:
        """The opt-out of a person's records."""
        return {r: bool(self.rows[r]["HasOptedOutOfEmail"]) for r in self.scene.eligible[person_id]}

    @property
    def injections(self) -> list[int]:
        """Where in the journal something befell the victim."""
        return [i for i, line in enumerate(self.journal) if line.get("injected") in ("local", "salesforce")]


def judge(evidence: Evidence) -> Judgement:
    """Everything that is wrong at the end of a trial."""
    traces = Traces(evidence)
    losses = [*_process(evidence), *_others(traces), *_cleared_again(traces), *_closed_again(traces), *_unannounced(traces)]
    for person_id in evidence.scene.eligible:
        disturbed = person_id == traces.victim and (evidence.hooked or any("injected" in line for line in traces.journal))
        losses += _victim(traces, lenient=evidence.hooked) if disturbed else _undisturbed(traces, person_id)
    states = Counter(i["state"] for i in traces.intents.values())
    injected = len(traces.injections) + any(e["by"] != traces.us for e in traces.ledger)
    return Judgement(tuple(losses), states, traces.journal, evidence.exits, injected)


def _process(evidence: Evidence) -> list[str]:
    said = evidence.said
    wrong = [f"the last process ended with {evidence.exits[-1]}"] if evidence.exits[-1] else []
    wrong += [f"the batch is {said.get('state')}: {said.get('cause')}"] if said.get("state") != "finished" else []
    wrong += ["the trail does not verify"] if not said.get("trail_ok") else []
    wrong += [f"running again reached {said.get('again')} boundaries"] if said.get("again") or not said.get("same_again") else []
    return wrong


def _others(traces: Traces) -> list[str]:
    """Everybody who is not eligible in the batch is exactly as before, on both sides."""
    ours = {r for records in traces.scene.eligible.values() for r in records}
    wrong = [f"{r} of somebody else was touched" for r, row in traces.before.items() if r not in ours and traces.rows[r] != row]
    mine = traces.scene.eligible.keys()
    kept = [e for e in traces.episodes if e["person_id"] not in mine]
    return wrong + (
        ["an episode of somebody else was touched"]
        if kept != [e for e in traces.episodes_before if e["person_id"] not in mine]
        else []
    )


def _cleared_again(traces: Traces) -> list[str]:
    """No opt-out that somebody else made in Salesforce was cleared by us."""
    opted_out: set[str] = set()
    lost = []
    for entry in traces.ledger:
        if entry["by"] != traces.us:
            (opted_out.add if entry["new"] else opted_out.discard)(entry["id"])
        elif not entry["new"] and entry["id"] in opted_out:
            lost.append(f"LOST: the opt-out of {entry['id']} in Salesforce was cleared")
    return lost


def _closed_again(traces: Traces) -> list[str]:
    """No unsubscribe that came after the batch was approved was closed; none ever vanished."""
    known = {e["unsubscribe_id"] for e in traces.episodes_before}
    lost = [
        f"LOST: the unsubscribe {e['unsubscribe_id']} was closed"
        for e in traces.episodes
        if e["unsubscribe_id"] not in known and e["closed_at"]
    ]
    return lost + (["an unsubscribe vanished"] if known - {e["unsubscribe_id"] for e in traces.episodes} else [])


def _unannounced(traces: Traces) -> list[str]:
    """Every write was on the trail before it left; every clear that reached the org had the announced stamp as condition."""
    wrong = []
    for line in traces.journal:
        for record in line.get("rows", ()):
            told = [e for e in traces.events if e["seq"] < line["trail"] and _announces(e, record, line["what"])]
            wrong += [] if told else [f"nothing on the trail announced the {line['what']} of {record}"]
    stamps = {
        (r["record_id"], datetime.fromisoformat(r["base"]))
        for e in traces.events
        if e["action"] == "clear_intended"
        for r in e["payload"]["rows"]
    }
    for write in (w for request in traces.requests for w in request["writes"]):
        if any(new is False for _, new in write.get("opt_out", {}).values()):
            condition = write["condition"] and parsedate_to_datetime(write["condition"])
            wrong += [] if (write["id"], condition) in stamps else [f"{write['id']} was cleared without its condition"]
    return wrong


def _announces(event: Row, record: str, what: str) -> bool:
    if what == "clear":
        return event["action"] == "clear_intended" and record in {r["record_id"] for r in event["payload"]["rows"]}
    return event["action"] in ON_FILE[1:] and record in event["payload"]["rows"]


def _undisturbed(traces: Traces, person_id: str) -> list[str]:
    """The consent is the latest word: resubscribed on both sides."""
    state = traces.intents[person_id]["state"]
    wrong = [] if state == "DONE" else [f"{person_id} is {state} ({traces.intents[person_id]['cause']}) for no reason"]
    return wrong + _resubscribed(traces, person_id)


def _resubscribed(traces: Traces, person_id: str) -> list[str]:
    wrong = [f"{person_id} is done and {r} opted out" for r, flag in traces.flags(person_id).items() if flag]
    return wrong + ([f"{person_id} is done and unsubscribed"] if traces.open_episodes(person_id) else [])


def _victim(traces: Traces, *, lenient: bool) -> list[str]:
    """The opt-out is the latest word, unless it was an edit or a late request only, which may end either way but not half."""
    state = traces.intents[traces.victim]["state"]
    if state in ("ABORTED", "REFUSED"):
        return _kept_out(traces, state)
    if state != "DONE":
        return [f"the victim is {state}"]
    if not traces.injections and not lenient:
        return _resubscribed(traces, traces.victim)
    return _later(traces, lenient=lenient)


def _kept_out(traces: Traces, state: str) -> list[str]:
    flags, before = traces.flags(traces.victim), {r: bool(v["HasOptedOutOfEmail"]) for r, v in traces.before.items()}
    wanted = dict.fromkeys(flags, True) if state == "ABORTED" else {r: before[r] for r in flags}
    there = any(e["id"] in flags and e["by"] != traces.us for e in traces.ledger)
    wrong = [f"the victim is {state} and {r} is not opted out" for r in flags if wanted[r] and not flags[r]]
    unsubscribed = bool(traces.open_episodes(traces.victim))
    had_none = traces.victim not in {e["person_id"] for e in traces.episodes_before}
    if not unsubscribed and not (state == "REFUSED" and had_none and (there or any(flags.values()))):
        wrong.append(f"LOST: the victim is {state} and subscribed in the register")
    return wrong


def _later(traces: Traces, *, lenient: bool) -> list[str]:
    """Done although something came: it came after the last look at its side, and stands there."""
    for at in traces.injections:
        what, was_done = traces.journal[at]["injected"], traces.journal[at]["victim"] == "DONE"
        if was_done:
            continue
        until = next((i for i, line in enumerate(traces.journal) if i > at and line.get("victim") == "DONE"), len(traces.journal))
        looked = any(line.get("at") == "http:after" and line["what"] == "read" for line in traces.journal[at:until])
        if what == "local" or looked:
            return [f"LOST: the victim was done although the {what} opt-out came before the last look"]
    stands = any(traces.flags(traces.victim).values()) or bool(traces.open_episodes(traces.victim))
    last = {e["id"]: e for e in traces.ledger if e["id"] in traces.flags(traces.victim)}
    opted_out_there = any(e["new"] and e["by"] != traces.us for e in last.values())
    if lenient and not opted_out_there:
        return _resubscribed(traces, traces.victim)
    return [] if stands else ["LOST: the opt-out after the resubscription does not stand"]


def _org_rows(database: Path) -> dict[str, Row]:
    rows: dict[str, Row] = {}
    for kind in ("Lead", "Contact"):
        rows |= {r["Id"]: r for r in _select(database, f'SELECT * FROM "{kind}"')}
    return rows


def _episodes(register: Path) -> list[Row]:
    return _select(register, "SELECT * FROM unsubscribe ORDER BY unsubscribe_id")


def _select(database: Path, query: str) -> list[Row]:
    connection = sqlite3.connect(database)
    connection.row_factory = sqlite3.Row
    try:
        return [dict(row) for row in connection.execute(query)]
    finally:
        connection.close()
