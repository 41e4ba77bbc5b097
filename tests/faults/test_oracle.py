"""The oracle finds what is wrong: traces of a sound run, each forged in one way, and the sentence that has to be said of it."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from faults.harness import Event, Process, Trial
from faults.oracle import judge
from faults.programme import Stage
from faults.traces import Evidence, Traces

ABORTED, LATE_HERE, LATE_THERE, DONE = "bea", "carl", "dora", "emil"
"""Opted out during the run; done and opted out in the register, and in Salesforce, after that; done and undisturbed."""


@dataclass(frozen=True)
class Sound:
    """The traces of one sound trial, to be copied and forged."""

    evidence: Evidence
    traces: Traces

    def person(self, name: str) -> str:
        """A person's id."""
        return self.evidence.scene.people[name]

    def record(self, name: str) -> str:
        """A person's first record."""
        return self.evidence.scene.records[name][0]

    def seq(self, name: str, action: str) -> int:
        """Where on the trail something is said of a person."""
        return int(self.traces.event(self.person(name), action)[0]["seq"])


@pytest.fixture(scope="module")
def sound(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Sound:
    """A run in which one opted out on the way and two afterwards, before the process ended."""
    folder = tmp_path_factory.mktemp("sound")
    undisturbed = stage.play(Trial())
    judged = next(line["n"] for line in undisturbed.journal if line["what"] == "read" and line["at"] == "http:after")
    last = undisturbed.journal[-1]["n"]
    events = (
        Event(what="salesforce", who=ABORTED, at=judged),
        Event(what="local", who=LATE_HERE, at=last),
        Event(what="salesforce", who=LATE_THERE, at=last),
    )
    found = stage.play(Trial(processes=(Process(events=events),)), keep=folder)
    assert not found.losses
    evidence = Evidence(scene=stage.scene, folder=folder, exits=found.exits, said=found.said)
    return Sound(evidence, Traces(evidence))


Forgery = Callable[[Sound, Path], None]


def in_database(name: str, statement: str, *values: Callable[[Sound], Any]) -> Forgery:
    """One SQL statement on the register or the org, behind all triggers."""

    def forge(sound: Sound, folder: Path) -> None:
        connection = sqlite3.connect(folder / name, isolation_level=None)
        for (trigger,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f'DROP TRIGGER "{trigger}"')
        changed = connection.execute(statement, [value(sound) for value in values])
        assert changed.rowcount > 0, "nothing was forged"
        connection.close()

    return forge


def in_register(statement: str, *values: Callable[[Sound], Any]) -> Forgery:
    """One SQL statement on the register."""
    return in_database("workspace/register.db", statement, *values)


def in_org(statement: str, *values: Callable[[Sound], Any]) -> Forgery:
    """One SQL statement on the org."""
    return in_database("org.db", statement, *values)


def both(*forgeries: Forgery) -> Forgery:
    """Several forgeries together."""

    def forge(sound: Sound, folder: Path) -> None:
        for one in forgeries:
            one(sound, folder)

    return forge


def in_journal(change: Callable[[dict[str, Any]], dict[str, Any] | None]) -> Forgery:
    """Every line of the journal changed, or left out."""

    def forge(_: Sound, folder: Path) -> None:
        path = folder / "journal.jsonl"
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        path.write_text("".join(json.dumps(line) + "\n" for line in map(change, lines) if line), encoding="utf-8")

    return forge


def cleared(line: dict[str, Any]) -> bool:
    return bool(line.get("what") == "clear" and line["at"] == "http:before")


def seq(name: str, action: str) -> Callable[[Sound], int]:
    return lambda sound: sound.seq(name, action)


def record(name: str) -> Callable[[Sound], str]:
    return lambda sound: sound.record(name)


def person(name: str) -> Callable[[Sound], str]:
    return lambda sound: sound.person(name)


def late_episode(sound: Sound) -> str:
    return str(sound.traces.local(sound.person(LATE_HERE))[0]["unsubscribe_id"])


OF_ANOTHER_INTENT = """UPDATE trail_event SET leaf_bytes = replace(leaf_bytes, '"intent_id":"', '"intent_id":"0') WHERE seq = ?"""
UNCONDITIONAL = """UPDATE request_log SET entry = replace(entry, '"condition": "', '"condition": null, "was": "')
    WHERE entry LIKE '%"condition": "%'"""
FORGERIES: dict[str, tuple[Forgery, str]] = {
    "a flag that no entry of the ledger explains": (
        in_org('UPDATE "Contact" SET "HasOptedOutOfEmail" = 1 WHERE "Id" = ?', record(DONE)),
        "the org's ledger does not explain",
    ),
    "an opt-out that was there at the last look": (
        in_journal(lambda line: line | ({"ledger": 10_000} if "ledger" in line else {})),
        "LOST: {LATE_THERE} was done although the opt-out in Salesforce came before the last look",
    ),
    "flags that were not false at the last look": (
        in_journal(lambda line: line | ({"ledger": 0} if "ledger" in line else {})),
        "LOST: {DONE} is done and not every record was clear at the last look",
    ),
    "no look before the end": (
        in_journal(lambda line: line | ({"status": 503} if line.get("status") else {})),
        "{DONE} is done without one event and a last look",
    ),
    "an unsubscribe that came before the end": (
        both(
            in_register("UPDATE trail_event SET seq = 10000 WHERE seq = ?", seq(LATE_HERE, "person_resubscribed")),
            in_register("UPDATE trail_payload SET seq = 10000 WHERE seq = ?", seq(LATE_HERE, "person_resubscribed")),
        ),
        "LOST: {LATE_HERE} was done although the local opt-out came before",
    ),
    "an unsubscribe that is not on the trail": (
        in_register("DELETE FROM trail_payload WHERE CAST(payload AS TEXT) LIKE '%' || ? || '%'", late_episode),
        "is not on the trail",
    ),
    "an unsubscribe that was closed": (
        in_register("UPDATE unsubscribe SET closed_at = recorded_at WHERE unsubscribe_id = ?", late_episode),
        "LOST: the unsubscribe",
    ),
    "an unsubscribe that vanished": (
        in_register("DELETE FROM unsubscribe WHERE person_id = ?", person(DONE)),
        "LOST: an unsubscribe vanished",
    ),
    "a change that nothing announced": (
        in_register("DELETE FROM trail_event WHERE seq = ?", seq(DONE, "clear_intended")),
        "nothing on the trail announced the clear of {record}",
    ),
    "a change announced for somebody else's intent": (
        in_register(OF_ANOTHER_INTENT, seq(DONE, "clear_intended")),
        "nothing on the trail announced the clear of {record}",
    ),
    "a change announced only after it left": (
        in_journal(lambda line: line | ({"trail": 0} if cleared(line) else {})),
        "nothing on the trail announced the clear of {record}",
    ),
    "a change that left before its person was sent": (
        in_journal(lambda line: line | ({"states": dict.fromkeys(line["states"], "PLANNED")} if cleared(line) else {})),
        "the clear of {record} left while its person was PLANNED",
    ),
    "a change without its condition": (in_org(UNCONDITIONAL), "{record} was cleared without its condition"),
    "a change that nobody was seen to send": (
        in_journal(lambda line: None if cleared(line) else line),
        "wrote what nobody was seen to send",
    ),
    "a done person whose event says something else": (
        in_register("UPDATE trail_payload SET payload = replace(payload, 'false', 'true') WHERE seq = ?", seq(DONE, "person_resubscribed")),
        "{DONE} is done and the trail does not say that every record was clear",
    ),
    "somebody kept out for no reason": (
        in_register("UPDATE intent SET state = 'ABORTED' WHERE person_id = ?", person(DONE)),
        "{DONE} is ABORTED () for no reason",
    ),
    "somebody left on the way": (
        in_register("UPDATE intent SET state = 'SENT' WHERE person_id = ?", person(DONE)),
        "{DONE} is SENT",
    ),
    "an opt-out that we cleared": (
        in_org(
            """INSERT INTO opt_out_ledger ("object", "id", "field", "old", "new", "by", "at")
               SELECT "object", "id", "field", 1, 0, (SELECT "Id" FROM "User" WHERE "Name" = 'Workbench Integration'), "at"
               FROM opt_out_ledger WHERE "id" = ? LIMIT 1""",
            record(LATE_THERE),
        ),
        "LOST: the opt-out of",
    ),
    "somebody who is not in the batch": (
        in_org('UPDATE "Lead" SET "Title" = \'Director\' WHERE "Id" = ?', record("olaf")),
        "of somebody else was touched",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FORGERIES)
def test_forged_traces_are_found(sound: Sound, tmp_path: Path, name: str) -> None:
    forge, sentence = FORGERIES[name]
    folder = Path(shutil.copytree(sound.evidence.folder, tmp_path / "forged"))
    forge(sound, folder)
    told = {who: sound.person(globals()[who]) for who in ("DONE", "LATE_HERE", "LATE_THERE")} | {"record": sound.record(DONE)}
    evidence = Evidence(scene=sound.evidence.scene, folder=folder, exits=sound.evidence.exits, said=sound.evidence.said)
    losses = judge(evidence).losses
    assert any(sentence.format(**told) in loss for loss in losses), losses


def test_the_traces_as_they_are_have_nothing_against_them(sound: Sound) -> None:
    assert judge(sound.evidence).losses == ()
    assert {sound.traces.intents[sound.person(n)]["state"] for n in (LATE_HERE, LATE_THERE, DONE)} == {"DONE"}
