"""The trail as an auditor and an analyst use it: verify, look things up, checkpoint, export, prove one person's part."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench import anchoring, anchors
from workbench.desk import Desk
from workbench.errors import NotAllowedError, TrailError
from workbench.said import said
from workbench.signing import create_next_signer, keyring_allowed, take_over
from workbench.store import consents, operators, people, trail_log
from workbench.store.trail_log import StoredEvent
from workbench.trail import (
    TrailRow,
    TrailVerdict,
    VerifierKey,
    events,
    inclusion_proof,
    leaf_hash,
    parse_checkpoint,
    read_leaf,
    verify_trail,
    write_excerpt,
    write_export,
)

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("seq", "at", "operator", "action", "batch_id", "person_id", "payload")


class Audit:
    """One workspace's trail."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def __repr__(self) -> str:
        return f"Audit({self._desk.trail.signer.name})"

    @property
    def vkey(self) -> str:
        """The key that verifies this trail's checkpoints; give it to the auditor once, by another way than the export."""
        return self._first_key().text

    def _first_key(self) -> VerifierKey:
        with self._desk.store.read() as tx:
            text = trail_log.vkey(tx)
        return VerifierKey.parse(text) if text else self._desk.trail.signer.vkey

    @property
    def key_kept_in(self) -> str:
        """Where the key that signs lives, a sentence part for the operator.

        Raises:
            TrailError: it can't be fetched.
        """
        return self._desk.trail.signer.kept_in

    def rotate_key(self, *, cause: str) -> str:
        """Replace the key that signs: the old one signs the event that names the new one, and is destroyed. Returns that checkpoint.

        The trail is still verified by its first key; verifiers follow from key to key. For administrators.

        Raises:
            NotAllowedError: the operator is no administrator.
            TrailError: the old key can't be fetched, or a new one not be kept; the old one goes on then.
        """
        with self._desk.store.read() as tx:
            if "admin" not in operators.roles(tx, self._desk.operator.name):
                raise NotAllowedError(said("this needs the role admin"))
        trail, place = self._desk.trail, {"keyring_allowed": keyring_allowed()}
        following = create_next_signer(trail.signer.name, self._desk.folder, **place)
        with self._desk.store.write() as tx:
            rotated = events.KeyRotated(
                old_vkey=trail.signer.vkey.text, vkey=following.vkey.text, key_kept_in=following.kept_in, cause=cause
            )
            trail.append(tx, rotated)
            note = trail.checkpoint(tx)
            trail_log.remember_signing_vkey(tx, following.vkey.text)
        take_over(trail.signer.name, self._desk.folder, vkey=following.vkey, **place)
        trail.signer.follow(following.vkey)
        return note or ""

    def verify(self, *, known: Iterable[str] = ()) -> TrailVerdict:
        """Verify every event, payload and checkpoint; ``known`` are checkpoint notes that were kept elsewhere.

        Raises:
            TrailError: a known checkpoint is not one, or of another key.
        """
        with self._desk.store.read() as tx:
            rows = (_row(e) for e in trail_log.events(tx))
            notes = [note for _, note, _ in trail_log.checkpoints(tx)]
            return verify_trail(rows, checkpoints=notes, vkey=self._first_key(), known=known)

    def events(
        self,
        *,
        person: str | None = None,
        operator: str | None = None,
        batch_id: str | None = None,
        action: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        newest: int | None = 500,
    ) -> pd.DataFrame:
        """Events, oldest first: seq (int), at (UTC), operator, action, batch_id, person_id, payload (JSON text, "" once erased)."""
        import pandas as pd

        with self._desk.store.read() as tx:
            person_id = people.find(tx, person).person_id if person else None
            filters = {"person_id": person_id, "batch_id": batch_id, "actor": operator, "action": action}
            found = [
                (e, read_leaf(e.leaf_bytes)) for e in trail_log.events(tx, **filters, since=since, until=until, newest=newest)
            ]
            who = trail_log.person_of(tx, [h.subject for _, h in found if h.subject])
        rows = [
            (
                h.seq,
                h.ts,
                h.actor,
                h.action,
                h.batch_id or "",
                who.get(h.subject or "", ""),
                e.payload.decode() if e.payload else "",
            )
            for e, h in found
        ]
        table = pd.DataFrame(rows, columns=list(COLUMNS))
        return table.assign(at=pd.to_datetime(table["at"], utc=True), seq=table["seq"].astype("int64"))

    def tally(self) -> pd.DataFrame:
        """How often each operator did what, by the signed leaves: operator, action, events (int), first_at, last_at (UTC)."""
        import pandas as pd

        found: dict[tuple[str, str], list[Any]] = {}
        with self._desk.store.read() as tx:
            for event in trail_log.events(tx):
                header = read_leaf(event.leaf_bytes)
                seen = found.setdefault((header.actor, header.action), [0, header.ts, header.ts])
                seen[0], seen[2] = seen[0] + 1, header.ts
        rows = [(*who, *seen) for who, seen in sorted(found.items())]
        table = pd.DataFrame(rows, columns=["operator", "action", "events", "first_at", "last_at"])
        moments = {name: pd.to_datetime(table[name], utc=True) for name in ("first_at", "last_at")}
        return table.assign(**moments, events=table["events"].astype("int64"))

    def checkpoint(self) -> str:
        """Sign the trail as it stands and return the note. An idle trail gets an event first, so that silence shows.

        Raises:
            NotAllowedError: the login to the database has no role that signs.
            StoreError: the register can't be written.
        """
        with self._desk.store.write() as tx:
            if not trail_log.may_sign(tx):
                raise NotAllowedError(
                    said("this login's database role signs no checkpoints"),
                    said("The sync signs every night; or ask who has the role signer."),
                )
            if any(size == trail_log.size(tx) for size, _, _ in trail_log.checkpoints(tx)):
                self._desk.trail.append(tx, events.CheckpointIdle())
            note = self._desk.trail.checkpoint(tx)
        if note is None:
            raise TrailError(said("this trail has no events yet"))
        return note

    def _up_to_date(self) -> str:
        """A checkpoint of the trail as it stands, or the newest that there is for a login that may not sign."""
        with self._desk.store.read() as tx:
            signs = trail_log.may_sign(tx)
        return self.checkpoint() if signs else self.newest_checkpoint()

    def keep_checkpoint(self, file: Path, note: str) -> bool:
        """Add a checkpoint to a file outside the workspace; False where it is its last one already.

        Raises:
            TrailError: the file lies in the workspace, holds something else, or can't be written.
        """
        return anchors.add_to_file(file, note, workspace=self._desk.folder)

    def keep_in_salesforce(self, note: str) -> str:
        """Insert a checkpoint into Salesforce, as a record of the object that workbench.toml names for it; the record's id.

        Raises:
            SettingsError: none is named.
            OrgError: it was not kept, or that can't be told; to run it again is harmless.
        """
        return anchoring.keep_in_salesforce(self._desk, note)

    def kept_in_salesforce(self) -> tuple[str, ...]:
        """The checkpoints of this trail that Salesforce keeps, for `verify`.

        Raises:
            SettingsError: workbench.toml names no object for them.
            OrgError: they could not be read.
            TrailError: there is none.
        """
        return anchoring.kept_in_salesforce(self._desk)

    def request_timestamp(self, file: Path) -> str:
        """Sign a checkpoint, write a request for a time stamp of it (RFC 3161) to a new file, and return the note. Nothing is sent.

        Raises:
            TrailError: the file exists already, or can't be written.
        """
        note = self.checkpoint()
        anchoring.request_timestamp(self._desk, note, file)
        return note

    def add_timestamp(self, response: Path, *, ca: Path) -> tuple[int, datetime]:
        """Verify an authority's answer under its root certificate and file it; the checkpoint's size, and the moment (UTC).

        Raises:
            TrailError: it can't be read, was not asked for, or does not hold; nothing was filed.
        """
        return anchoring.add_timestamp(self._desk, response, ca)

    def newest_checkpoint(self) -> str:
        """The newest signed note, as reports print it; "" before the first."""
        with self._desk.store.read() as tx:
            notes = trail_log.checkpoints(tx)
        return notes[-1][1] if notes else ""

    def checkpoints(self) -> pd.DataFrame:
        """All checkpoints, oldest first: size (int), made_at (UTC), note."""
        import pandas as pd

        with self._desk.store.read() as tx:
            table = pd.DataFrame(trail_log.checkpoints(tx), columns=["size", "note", "made_at"])
        return table.assign(made_at=pd.to_datetime(table["made_at"], utc=True))[["size", "made_at", "note"]]

    def export(self, folder: str | Path) -> Path:
        """Write the whole trail with its evidence files and a verifier to a new folder, for an auditor. Holds personal data.

        Under a login that may not sign it is the trail up to the newest checkpoint: what nobody vouches for proves nothing.

        Raises:
            NotAllowedError: the operator has no role.
            TrailError: the folder exists already or can't be written.
        """
        folder = Path(folder)
        with self._desk.store.read() as tx:
            operators.require_any(tx, self._desk.operator.name, what="an export of the trail")
        if folder.exists():
            raise TrailError(
                said("the folder {name} exists already", name=folder.name), said("Name a folder that does not exist yet.")
            )
        with self._desk.store.write() as tx:
            digests = consents.all_digests(tx, now=self._desk.clock())
            self._desk.trail.append(tx, events.TrailExported(events=trail_log.size(tx) + 1, evidence=len(digests)))
            self._desk.trail.checkpoint(tx)
        with self._desk.store.read() as tx:
            notes = trail_log.checkpoints(tx)
            until = trail_log.size(tx) if trail_log.may_sign(tx) else notes[-1][0]
            return write_export(
                folder,
                rows=(_row(e) for e in trail_log.events(tx) if e.seq < until),
                checkpoints=[note for _, note, _ in notes],
                vkey=self._first_key(),
                evidence={d: self._desk.evidence.path(d) for d in digests},
            )

    def excerpt(self, folder: str | Path, *, known: Iterable[str]) -> Path:
        """Prove to whoever holds these checkpoints that the trail goes on from them, in a new folder and without showing the events.

        Shown are only the events that handed the signing to a new key, without which the newest checkpoint can't be verified.

        Raises:
            NotAllowedError: the operator has no role.
            TrailError: a checkpoint is not one of this trail's, or the folder exists already or can't be written.
        """
        with self._desk.store.read() as tx:
            operators.require_any(tx, self._desk.operator.name, what="an excerpt of the trail")
        newest = parse_checkpoint(self._up_to_date()).size
        held = [parse_checkpoint(note) for note in known]
        if not held or any(one.origin != self._desk.trail.signer.name or not 0 < one.size <= newest for one in held):
            raise TrailError(
                said("there is no checkpoint of this trail to begin at"), said("Name a file with checkpoints of this trail.")
            )
        with self._desk.store.read() as tx:
            rows = [_row(e) for e in trail_log.events(tx)][:newest]
            shown = {e.seq for e in trail_log.events(tx, action=events.KeyRotated.action) if e.seq < newest}
            notes = {size: note for size, note, _ in trail_log.checkpoints(tx)}
        sizes = {one.size for one in held} | {seq + 1 for seq in shown} | {newest}
        own = [notes[size] for size in sorted(sizes & notes.keys())]
        return write_excerpt(Path(folder), rows=rows, shown=shown, sizes=sizes, checkpoints=own, vkey=self._first_key())

    def proof(self, person: str) -> dict[str, Any]:
        """That one person's events are on the trail, without showing anybody else's.

        Returns checkpoint, vkey (the trail's first key) and, for each event, its leaf text, salt, payload and inclusion proof
        (hexadecimal hashes); ``key_changes`` holds for each later key the event that names it and the checkpoint that signed it in.

        Raises:
            InputError: nobody, or several people, are named so.
        """
        self._up_to_date()
        with self._desk.store.read() as tx:
            person_id = people.find(tx, person).person_id
            notes = {size: note for size, note, _ in trail_log.checkpoints(tx)}
            size = max(notes)
            hashes = [leaf_hash(e.leaf_bytes) for e in trail_log.events(tx)][:size]
            mine = list(trail_log.events(tx, person_id=person_id))
            rotations = list(trail_log.events(tx, action=events.KeyRotated.action))
        changes = [{"checkpoint": notes[e.seq + 1], "event": _proven(e, hashes[: e.seq + 1])} for e in rotations]
        proven = [_proven(e, hashes) for e in mine if e.seq < size]
        return {"checkpoint": notes[size], "vkey": self.vkey, "key_changes": changes, "events": proven}


def _proven(event: StoredEvent, hashes: list[bytes]) -> dict[str, Any]:
    return {
        "seq": event.seq,
        "leaf": event.leaf_bytes.decode(),
        "salt": event.salt.hex() if event.salt else None,
        "payload": json.loads(event.payload) if event.payload else None,
        "proof": [h.hex() for h in inclusion_proof(hashes, event.seq)],
    }


def _row(event: StoredEvent) -> TrailRow:
    return TrailRow(event.leaf_bytes, event.leaf_hash, event.salt, event.payload)
