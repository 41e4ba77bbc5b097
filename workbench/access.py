"""Everything that is known about one person, for them (GDPR Art. 15), with proof that the trail holds it; nobody else is shown.

| file | holds |
|---|---|
| report.html | all of it for a person to read |
| person.json | the same for a machine |
| consents.json | the consents by ISO/IEC TS 27560 |
| trail.json | the person's events on the trail with their inclusion proofs; `workbench trail check` verifies it anywhere |
| evidence/ | the files that prove the consents, each named by its SHA-256 |
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench import exchange, views
from workbench.audit import Audit
from workbench.desk import Desk
from workbench.errors import EvidenceError, InputError, TrailError
from workbench.handout import Section, page
from workbench.store import consents, mismatches, operators
from workbench.trail import (
    VerifierKey,
    events,
    inclusion_holds,
    leaf_hash,
    open_checkpoint,
    payload_digest,
    read_leaf,
)
from workbench.trail.event import canonical

if TYPE_CHECKING:
    import pandas as pd


def report(desk: Desk, trail: Audit, named: str, folder: Path) -> Path:
    """Write the report to a folder that does not exist yet; it appears whole or not at all, and private.

    Raises:
        NotAllowedError: the operator has no role.
        InputError: nobody is named so, or the folder exists or can't be written.
    """
    with desk.store.read() as tx:
        operators.require_any(tx, desk.operator.name, what="a report on everything that is known about a person")
        card = views.card(tx, named)
    person_id = card.person.person_id
    if folder.exists():
        raise InputError(f"the folder {folder.name} exists already", "Name a folder that does not exist yet.")
    with desk.store.write() as tx:
        desk.trail.append(tx, events.AccessReported(), person_id=person_id)
        held = consents.of_people(tx, [person_id]).get(person_id, ())
        disagreeing = [*mismatches.list_(tx, person_id=person_id), *mismatches.list_(tx, person_id=person_id, resolved=True)]
    proof = trail.proof(person_id)
    known = _known(card, proof) | {
        "mismatches": [{"kind": m.kind, "detail": m.detail, "first_seen": _said(m.first_seen)} for m in disagreeing]
    }
    beside = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    try:
        beside.mkdir(mode=0o700, parents=True)
        _write(beside / "person.json", json.dumps(known, ensure_ascii=False, indent=1))
        _write(beside / "consents.json", exchange.written(held, "json"))
        _write(beside / "trail.json", json.dumps(proof, ensure_ascii=False, indent=1))
        known["evidence"] = _evidence(desk, {e.sha256: e.original_name for c in held for e in c.evidence}, beside / "evidence")
        _write(beside / "report.html", _page(known, at=desk.clock()))
        beside.rename(folder)
    except OSError as error:
        raise InputError(f"the report can't be written ({error.strerror})", "Check the folder and its permissions.") from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return folder


def check_proof(proof: Any, vkey: str) -> tuple[str, ...]:
    """What does not fit in a file of a person's events with inclusion proofs, in sentences; empty when all is proved.

    Raises:
        TrailError: this is no such file, no verifier key, or the checkpoint is not signed by it: nothing can be told.
    """
    try:
        key = _followed(VerifierKey.parse(vkey), proof.get("key_changes", ()))
        checkpoint = open_checkpoint(proof["checkpoint"], key)
        entries = [_entry(event) for event in proof["events"]]
    except (KeyError, TypeError, ValueError, AttributeError):
        raise TrailError("This is no file of events with their proofs.", "Name the trail.json of an access report.") from None
    problems = []
    for leaf, salt, payload, path in entries:
        header = read_leaf(leaf)
        if not inclusion_holds(leaf_hash(leaf), header.seq, size=checkpoint.size, proof=path, root=checkpoint.root):
            problems.append(f"event {header.seq} is not in the tree that the checkpoint signs")
        elif salt is not None and payload_digest(salt, canonical(payload, "the payload")) != header.payload_sha256:
            problems.append(f"the payload of event {header.seq} is not the one that was written")
    return tuple(problems)


def _followed(key: VerifierKey, changes: Iterable[dict[str, Any]]) -> VerifierKey:
    """The key that signs after these changes: each is the last event of a tree that the key before it signed.

    Raises:
        TrailError: a change that the key before it did not sign in.
    """
    for change in changes:
        signed = open_checkpoint(change["checkpoint"], key)
        leaf, salt, payload, path = _entry(change["event"])
        header = read_leaf(leaf)
        digest = payload_digest(salt or b"", canonical(payload, "the payload"))
        included = inclusion_holds(leaf_hash(leaf), header.seq, size=signed.size, proof=path, root=signed.root)
        if not included or header.seq != signed.size - 1 or header.action != "key_rotated" or digest != header.payload_sha256:
            raise TrailError(f"Event {header.seq} names a new key, but the key before it did not sign it in.")
        key = VerifierKey.parse(payload["vkey"])
    return key


def _entry(event: dict[str, Any]) -> tuple[bytes, bytes | None, Any, list[bytes]]:
    """Leaf, salt, payload and path of one proved event."""
    salt = None if event["salt"] is None else bytes.fromhex(event["salt"])
    return event["leaf"].encode(), salt, event["payload"], [bytes.fromhex(text) for text in event["proof"]]


def _known(card: views.PersonCard, proof: dict[str, Any]) -> dict[str, Any]:
    who = {name: value for name, value in vars(card.person).items() if name != "version"}
    trail = [
        {"event": e["seq"], "at": json.loads(e["leaf"])["ts"], "what": json.loads(e["leaf"])["action"], "payload": e["payload"]}
        for e in proof["events"]
    ]
    return {
        "person": {name: list(value) if isinstance(value, tuple) else value for name, value in who.items()},
        "unsubscribes": _rows(card.unsubscribes),
        "salesforce_records": _rows(card.records),
        "consents": _rows(card.consents),
        "history": _rows(card.history),
        "trail": trail,
    }


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): _said(value) for name, value in row.items()} for row in table.to_dict("records")]


def _said(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat() if value == value else None  # noqa: PLR0124 - NaT differs from itself
    return value.item() if hasattr(value, "item") else value


def _evidence(desk: Desk, names: dict[str, str], folder: Path) -> list[dict[str, str]]:
    """Copy the files; what can't be handed out is said."""
    folder.mkdir(mode=0o700)
    told = []
    for digest, name in sorted(names.items()):
        try:
            with desk.evidence.open(digest) as source, (folder / digest).open("xb") as target:
                shutil.copyfileobj(source, target)
            state = "enclosed"
        except EvidenceError as error:
            state = str(error)
        told.append({"file": name, "sha256": digest, "state": state})
    return told


def _page(known: dict[str, Any], *, at: datetime) -> str:
    sections = [
        Section("About this report", [("Made", at), ("Holds", "everything that this register knows about the person below")])
    ]
    sections.append(Section("Person", [(name.replace("_", " "), _cell(value)) for name, value in known["person"].items()]))
    for key in ("unsubscribes", "salesforce_records", "consents", "evidence", "mismatches", "history", "trail"):
        rows = known[key]
        columns = list(rows[0]) if rows else []
        cells = [[_cell(row[name]) for name in columns] for row in rows]
        sections.append(Section(key.replace("_", " ").capitalize(), cells, [name.replace("_", " ") for name in columns]))
    return page("What is known about you", sections)


def _cell(value: Any) -> str:
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False)
    return "" if value is None else str(value)


def _write(path: Path, text: str) -> None:
    with os.fdopen(
        os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8", errors="backslashreplace"
    ) as file:
        file.write(text)
