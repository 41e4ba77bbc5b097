"""A small honest trail for tests, and a forger who knows the formats: what he hands over is a whole export each time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import rfc8785

from workbench.trail import Frontier, Signer, TrailRow, leaf_hash, payload_digest, seal, write_export
from workbench.trail.events import (
    BatchApproved,
    CheckpointIdle,
    ConsentRecorded,
    EvidenceStored,
    KeyRotated,
    OperatorGranted,
    PersonErased,
    PersonPostponed,
    TrailExported,
    UnsubscribeRecorded,
    WorkspaceCreated,
)

ORIGIN = "workbench.example.org/trail"
START = datetime(2026, 11, 23, 2, 15, tzinfo=UTC)
ERASED = 7  # the event whose payload the honest trail has erased
ROTATED = 9  # the event that hands the signing to a second key
FORMS = (b"signed form of a person", b"mail in which a person asked")


@dataclass
class Trail:
    """A trail as an export holds it; ``known`` is a checkpoint that the auditor kept from earlier, ``signer`` the log's first key."""

    signer: Signer
    second: Signer
    rows: list[TrailRow]
    notes: list[str]
    evidence: dict[str, bytes]
    known: str
    named: str = ""  # what the forged event is called, where the verifiers can name it
    needs_known: bool = False
    unclear: bool = False  # the known checkpoint's key was cut off as well: nobody can tell whether it is of this log
    sizes: list[int] = field(default_factory=list)
    meddle: Callable[[Path], None] = lambda _: None  # what the forger does to the files themselves

    def write(self, folder: Path) -> Path:
        """The export, its manifest made anew as a careful forger would."""
        source = folder.parent / f"{folder.name}-files"
        source.mkdir(parents=True)
        for digest, content in self.evidence.items():
            (source / digest).write_bytes(content)
        files = {digest: source / digest for digest in self.evidence}
        write_export(folder, rows=self.rows, checkpoints=self.notes, vkey=self.signer.vkey, evidence=files)
        self.meddle(folder)
        return folder

    def sign_all(self, first: Signer, second: Signer) -> None:
        """Sign the rows as they are, at the sizes that had checkpoints, each with the key of its time."""
        sizes = [size for size in self.sizes if size < len(self.rows)] + [len(self.rows)]
        self.notes = [(first if size <= ROTATED + 1 else second).sign(size, root_of(self.rows[:size])) for size in sizes]


def root_of(rows: list[TrailRow]) -> bytes:
    return Frontier().extend(leaf_hash(row.leaf_bytes) for row in rows).root()


def honest_trail(random: Random, *, origin: str = ORIGIN, seed: bytes = b"") -> Trail:
    """About thirty events with checkpoints, two evidence files and one lawful erasure."""
    signer, second = Signer(origin, seed or random.randbytes(32)), Signer(origin, random.randbytes(32))
    rotated = KeyRotated(old_vkey=signer.vkey.text, vkey=second.vkey.text, key_kept_in="memory", cause="a year is over")
    digests = [hashlib.sha256(form).hexdigest() for form in FORMS]
    story = [
        WorkspaceCreated(product_version="0.1.0", vkey=signer.vkey.text, key_kept_in="memory"),
        OperatorGranted(operator="ann", role="admin"),
        *(
            EvidenceStored(sha256=digest, size=len(form), media_type="text/plain", original_name="Zustimmung für José.txt")
            for digest, form in zip(digests, FORMS, strict=True)
        ),
        ConsentRecorded(consent_id="c-1", record={"email": "jo@example.org", "notice": "ü\u2028"}, evidence=digests),
        BatchApproved(digest="0" * 64, proposed_by="bob"),
        *(
            UnsubscribeRecorded(
                unsubscribe_id=f"u-{n}", opted_out_at="2026-01-02T03:04:05Z", source="manual", detail=f"by phone {n}"
            )
            for n in range(3)
        ),
        rotated,
        *(PersonPostponed(cause="quiet_period", until=None) for _ in range(random.randrange(8, 16))),
        PersonErased(seqs=[ERASED], evidence=[], cause="request"),
        CheckpointIdle(),
        TrailExported(events=0, evidence=2),
    ]
    rows: list[TrailRow] = []
    for seq, event in enumerate(story):
        sealed = seal(
            event, log=origin, seq=seq, ts=START + timedelta(seconds=seq), actor="ann", actor_auth="os_user",
            salt=random.randbytes(16), subject=f"p-{seq % 5}", batch_id="b-1",
        )  # fmt: skip
        rows.append(TrailRow(sealed.leaf_bytes, sealed.leaf_hash, sealed.salt, sealed.payload))
    rows[ERASED] = rows[ERASED]._replace(salt=None, payload=None)
    between = sorted({ROTATED + 1, *random.sample(range(3, len(rows) - 3), 3)})
    sizes = [1, *between, len(rows)]
    trail = Trail(signer, second, rows, [], {d: f for d, f in zip(digests, FORMS, strict=True)}, known="", sizes=sizes)  # noqa: C416
    trail.sign_all(signer, second)
    trail.known = trail.notes[-2]
    return trail


# --- the forger's tools


def with_header(row: TrailRow, **changes: object) -> TrailRow:
    """The row with another header, its leaf hash made to fit."""
    leaf = rfc8785.dumps({**json.loads(row.leaf_bytes), **changes})
    return row._replace(leaf_bytes=leaf, leaf_hash=leaf_hash(leaf))


def with_payload(row: TrailRow, payload: bytes) -> TrailRow:
    """The row with another payload, its digest and leaf hash made to fit."""
    salt = row.salt or bytes(16)
    return with_header(row._replace(salt=salt, payload=payload), payload_sha256=payload_digest(salt, payload))


def renumbered(rows: list[TrailRow]) -> list[TrailRow]:
    return [with_header(row, seq=seq) for seq, row in enumerate(rows)]


def middle(trail: Trail, random: Random) -> int:
    """An event in the middle whose payload is there."""
    return random.choice([i for i in range(2, len(trail.rows) - 4) if i not in (ERASED, ERASED - 1, ROTATED, ROTATED - 1)])


FORGERIES: dict[str, Callable[[Trail, Random], None]] = {}


def forgery(function: Callable[[Trail, Random], None]) -> Callable[[Trail, Random], None]:
    FORGERIES[function.__name__] = function
    return function


@forgery
def edit_an_entry(trail: Trail, random: Random) -> None:
    i = middle(trail, random)
    trail.rows[i] = trail.rows[i]._replace(leaf_bytes=trail.rows[i].leaf_bytes.replace(b'"ann"', b'"eve"'))
    trail.named = f"event {i} "


@forgery
def edit_an_entry_and_its_hash(trail: Trail, random: Random) -> None:
    i = middle(trail, random)
    trail.rows[i] = with_header(trail.rows[i], actor="eve")


@forgery
def break_an_entry(trail: Trail, random: Random) -> None:
    i = middle(trail, random)
    trail.rows[i] = trail.rows[i]._replace(leaf_bytes=b"\xff" + trail.rows[i].leaf_bytes)
    trail.named = f"event {i} "


@forgery
def rewrite_a_payload(trail: Trail, random: Random) -> None:
    i = middle(trail, random)
    trail.rows[i] = trail.rows[i]._replace(payload=b'{"detail":"nothing"}')
    trail.named = f"event {i} "


@forgery
def rewrite_a_payload_and_its_digests(trail: Trail, random: Random) -> None:
    i = middle(trail, random)
    trail.rows[i] = with_payload(trail.rows[i], b'{"detail":"nothing"}')


@forgery
def change_a_salt(trail: Trail, random: Random) -> None:
    i = middle(trail, random)
    trail.rows[i] = trail.rows[i]._replace(salt=random.randbytes(16))
    trail.named = f"event {i} "


@forgery
def swap_two_events(trail: Trail, random: Random) -> None:
    i = middle(trail, random)
    trail.rows[i], trail.rows[i + 1] = trail.rows[i + 1], trail.rows[i]
    trail.named = f"event {i} "


@forgery
def swap_two_events_and_their_numbers(trail: Trail, random: Random) -> None:
    i = middle(trail, random)
    trail.rows[i], trail.rows[i + 1] = trail.rows[i + 1], trail.rows[i]
    trail.rows = renumbered(trail.rows)


@forgery
def swap_two_payloads(trail: Trail, random: Random) -> None:
    i = middle(trail, random)
    a, b = trail.rows[i], trail.rows[0]
    trail.rows[i], trail.rows[0] = (
        a._replace(salt=b.salt, payload=b.payload),
        b._replace(salt=a.salt, payload=a.payload),
    )
    trail.named = f"event {i} "


@forgery
def drop_an_event(trail: Trail, random: Random) -> None:
    i = middle(trail, random)
    del trail.rows[i]
    trail.named = f" {i} "


@forgery
def drop_an_event_and_renumber(trail: Trail, random: Random) -> None:
    del trail.rows[middle(trail, random)]
    trail.rows = renumbered(trail.rows)


@forgery
def insert_an_event(trail: Trail, random: Random) -> None:
    i = middle(trail, random)
    trail.rows.insert(i, with_payload(trail.rows[i], b"{}"))
    trail.rows = renumbered(trail.rows)


@forgery
def repeat_an_event(trail: Trail, random: Random) -> None:
    i = middle(trail, random)
    trail.rows.insert(i, trail.rows[i])
    trail.named = f"event {i} "


@forgery
def append_an_event(trail: Trail, random: Random) -> None:
    last = len(trail.rows)
    trail.rows.append(with_header(trail.rows[-1], seq=last))
    trail.named = str(last)


@forgery
def cut_the_tail(trail: Trail, random: Random) -> None:
    last = len(trail.rows) - 1
    del trail.rows[-random.randrange(1, 4) :]
    trail.named = str(last)


@forgery
def cut_the_tail_and_its_checkpoints(trail: Trail, random: Random) -> None:
    size = random.choice(trail.sizes[:-2])
    del trail.rows[size:]
    trail.notes = [note for note in trail.notes if int(note.split("\n")[1]) <= size]
    trail.needs_known = True
    trail.unclear = size <= ROTATED + 1 < int(trail.known.split("\n")[1]) and size != ROTATED + 1
    if size <= ERASED or size < len(trail.rows):
        trail.evidence = {}


@forgery
def wipe_everything(trail: Trail, random: Random) -> None:
    trail.rows, trail.notes, trail.evidence = [], [], {}


@forgery
def drop_all_checkpoints(trail: Trail, random: Random) -> None:
    trail.notes = []


@forgery
def drop_the_last_checkpoint(trail: Trail, random: Random) -> None:
    del trail.notes[-1]
    trail.named = str(len(trail.rows) - 1)


@forgery
def change_a_checkpoints_root(trail: Trail, random: Random) -> None:
    i = random.randrange(len(trail.notes))
    lines = trail.notes[i].split("\n")
    lines[2] = trail.signer.sign(1, random.randbytes(32)).split("\n")[2]
    trail.notes[i] = "\n".join(lines)
    trail.named = "checkpoint"


@forgery
def change_a_checkpoints_size(trail: Trail, random: Random) -> None:
    i = random.randrange(len(trail.notes))
    lines = trail.notes[i].split("\n")
    lines[1] = str(int(lines[1]) + 1)
    trail.notes[i] = "\n".join(lines)
    trail.named = "checkpoint"


@forgery
def sign_anew_with_another_key(trail: Trail, random: Random) -> None:
    trail.rows[3] = with_header(trail.rows[3], actor="eve")
    stranger = Signer(trail.signer.name, random.randbytes(32))
    trail.sign_all(stranger, stranger)


@forgery
def sign_anew_with_the_stolen_key(trail: Trail, random: Random) -> None:
    i = random.randrange(1, int(trail.known.split("\n")[1]))
    trail.rows[i] = with_header(trail.rows[i], actor="eve")
    trail.sign_all(trail.signer, trail.second)
    trail.needs_known = True


@forgery
def rewrite_an_event_and_all_roots_without_the_key(trail: Trail, random: Random) -> None:
    i, signed = middle(trail, random), list(trail.notes)
    trail.rows[i] = with_header(trail.rows[i], actor="eve")
    trail.sign_all(trail.signer, trail.second)
    pairs = zip(trail.notes, signed, strict=True)
    trail.notes = [new.partition("\n\n")[0] + "\n\n" + old.partition("\n\n")[2] for new, old in pairs]


@forgery
def turn_the_clock_back_with_the_stolen_key(trail: Trail, random: Random) -> None:
    i = middle(trail, random)
    trail.rows[i] = with_header(trail.rows[i], ts="2026-10-01T08:00:00.000Z")
    trail.sign_all(trail.signer, trail.second)
    trail.named = f"event {i} "


@forgery
def backdate_an_event(trail: Trail, random: Random) -> None:
    i = middle(trail, random)
    earlier = json.loads(trail.rows[i - 1].leaf_bytes)["ts"]
    trail.rows[i] = with_header(trail.rows[i], ts=earlier)


@forgery
def mix_in_an_event_of_another_log(trail: Trail, random: Random) -> None:
    i = middle(trail, random)
    others = honest_trail(random, origin="other.example.org/trail").rows
    trail.rows[i] = with_header(others[min(i, len(others) - 1)], seq=i)
    trail.named = f"event {i} "


@forgery
def mix_in_a_checkpoint_of_another_log(trail: Trail, random: Random) -> None:
    trail.notes[1] = honest_trail(random, origin="other.example.org/trail").notes[1]
    trail.named = "checkpoint 2 "


@forgery
def pretend_an_erasure(trail: Trail, random: Random) -> None:
    i = middle(trail, random)
    trail.rows[i] = trail.rows[i]._replace(salt=None, payload=None)
    trail.named = f"event {i} "


@forgery
def change_evidence(trail: Trail, random: Random) -> None:
    digest = random.choice(list(trail.evidence))
    trail.evidence[digest] += b" and more"
    trail.named = digest


@forgery
def drop_evidence(trail: Trail, random: Random) -> None:
    trail.named = random.choice(list(trail.evidence))
    del trail.evidence[trail.named]


@forgery
def add_evidence(trail: Trail, random: Random) -> None:
    content = random.randbytes(20)
    trail.named = hashlib.sha256(content).hexdigest()
    trail.evidence[trail.named] = content


@forgery
def fake_the_erased_payload(trail: Trail, random: Random) -> None:
    trail.rows[ERASED] = trail.rows[ERASED]._replace(salt=random.randbytes(16), payload=b'{"detail":"never said"}')
    trail.named = f"event {ERASED} "


@forgery
def excuse_a_deletion_with_a_stolen_key(trail: Trail, random: Random) -> None:
    i = random.choice([n for n in range(4, int(trail.known.split("\n")[1])) if n not in (ERASED, ROTATED)])
    trail.rows[i] = trail.rows[i]._replace(salt=None, payload=None)
    place = len(trail.rows) - 3
    trail.rows[place] = with_payload(trail.rows[place], rfc8785.dumps({"seqs": [ERASED, i], "evidence": [], "cause": "request"}))
    trail.rows[i] = with_header(trail.rows[i], actor="eve")
    trail.sign_all(trail.signer, trail.second)
    trail.needs_known = True


@forgery
def truncate_a_line(trail: Trail, random: Random) -> None:
    i, cut = middle(trail, random), random.randrange(2, 100)  # the line feed alone could be put back

    def meddle(folder: Path) -> None:
        lines = (folder / "events.jsonl").read_bytes().splitlines(keepends=True)
        lines[i] = lines[i][:-cut] + b"\n" * random.randrange(2)
        (folder / "events.jsonl").write_bytes(b"".join(lines))

    trail.meddle = meddle
    trail.named = f"event {i} "


@forgery
def reorder_checkpoints(trail: Trail, random: Random) -> None:
    i = random.randrange(len(trail.notes) - 1)
    trail.notes[i], trail.notes[i + 1] = trail.notes[i + 1], trail.notes[i]
    trail.named = "checkpoint"


@forgery
def repeat_a_checkpoint(trail: Trail, random: Random) -> None:
    i = random.randrange(len(trail.notes))
    trail.notes.insert(i, trail.notes[i])
    trail.named = "is out of its order"


@forgery
def drop_the_checkpoint_that_is_known(trail: Trail, random: Random) -> None:
    trail.notes.remove(trail.known)
    trail.needs_known = True
    if int(trail.known.split("\n")[1]) == ROTATED + 1:
        trail.needs_known = False


@forgery
def hand_the_signing_to_an_own_key(trail: Trail, random: Random) -> None:
    thief = Signer(trail.signer.name, random.randbytes(32))
    payload = {"old_vkey": trail.signer.vkey.text, "vkey": thief.vkey.text, "key_kept_in": "memory", "cause": "a year is over"}
    trail.rows[ROTATED] = with_payload(trail.rows[ROTATED], rfc8785.dumps(payload))
    trail.sign_all(thief, thief)


@forgery
def slip_in_a_second_change_of_key(trail: Trail, random: Random) -> None:
    thief, last = Signer(trail.signer.name, random.randbytes(32)), len(trail.rows)
    payload = {"old_vkey": trail.second.vkey.text, "vkey": thief.vkey.text, "key_kept_in": "memory", "cause": "stolen"}
    row = with_payload(with_header(trail.rows[-1], seq=last, action="key_rotated"), rfc8785.dumps(payload))
    trail.rows.append(row)
    trail.notes.append(thief.sign(last + 1, root_of(trail.rows)))


@forgery
def go_on_with_the_retired_key(trail: Trail, random: Random) -> None:
    last = len(trail.rows)
    trail.rows.append(with_header(trail.rows[-1], seq=last))
    trail.notes.append(trail.signer.sign(last + 1, root_of(trail.rows)))


@forgery
def replace_the_key_in_the_folder(trail: Trail, random: Random) -> None:
    thief = Signer(trail.signer.name, random.randbytes(32))
    trail.sign_all(thief, thief)
    trail.meddle = lambda folder: (folder / "vkey.txt").write_text(f"{thief.vkey.text}\n") and None


@forgery
def hide_an_event_behind_its_hash(trail: Trail, random: Random) -> None:
    i = middle(trail, random)

    def meddle(folder: Path) -> None:
        lines = (folder / "events.jsonl").read_bytes().splitlines(keepends=True)
        lines[i] = b'{"hidden":1,"root":"%b"}\n' % trail.rows[i].leaf_hash.hex().encode()
        (folder / "events.jsonl").write_bytes(b"".join(lines))

    trail.meddle = meddle


def forged(kind: str, number: int, honest: Trail | None = None) -> Trail:
    """Forgery ``number`` of a kind; the verifier key and the known checkpoint are those of the honest trail."""
    random = Random(f"{kind} {number}")
    honest = honest or honest_trail(random)
    trail = replace(honest, rows=list(honest.rows), notes=list(honest.notes), evidence=dict(honest.evidence))
    FORGERIES[kind](trail, random)
    return trail
