"""What the auditor's verifier says, to the letter, and what it must not trust or fall over; all in this process.

`tests/test_verify_trail.py` runs it as the program that auditors get. Here every check is held to the very sentence it gives, so
that one left out, or off by one, is noticed by its own test and not only where another check happens to find the same.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tampering import lay_out
from trail_samples import ERASED, ORIGIN, ROTATED, Trail, honest_trail, root_of, with_header, with_payload

from workbench import verify_trail
from workbench.trail import Signer, export, leaf_hash

SMALL_ORDER_EIGHT = (  # RFC 7748's sister curve: the two points of order 8 with an even x, as every Ed25519 test suite lists them
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
)


@pytest.fixture
def trail() -> Trail:
    return honest_trail(Random(21))


def said(trail: Trail, folder: Path, known: str = "", *, excerpt: bool = False) -> list[str]:
    """Every sentence of the verifier about this trail."""
    lay_out(trail, folder)
    (folder / "held").write_text(known, encoding="utf-8")
    return verify_trail.verify(folder, trail.signer.vkey.text, [str(folder / "held")] if known else [], excerpt=excerpt)


def size_of(note: str) -> int:
    return int(note.split("\n")[1])


def signed_by(seed: bytes, name: str, body: str) -> str:
    """A note with any body, signed as the owner of the seed would."""
    key = Ed25519PrivateKey.from_private_bytes(seed)
    public = b"\x01" + key.public_key().public_bytes_raw()
    key_id = hashlib.sha256(name.encode() + b"\n" + public).digest()[:4]
    blob = base64.b64encode(key_id + key.sign(body.encode() + b"\n")).decode()
    return f"{body}\n\n— {name} {blob}\n"


# --- events


def test_a_gap_is_named_from_its_first_event_to_its_last(trail: Trail, tmp_path: Path) -> None:
    del trail.rows[4:6]
    assert said(trail, tmp_path)[0] == "events 4 to 5 are missing"


def test_an_event_that_comes_too_late_is_out_of_its_order_and_hides_no_later_gap(trail: Trail, tmp_path: Path) -> None:
    rows = trail.rows
    trail.rows = [*rows[:5], rows[3], *rows[5:]]
    assert [s for s in said(trail, tmp_path) if "order" in s or "missing" in s] == ["event 3 is out of its order"]


def test_a_payload_without_its_salt_is_no_erasure(trail: Trail, tmp_path: Path) -> None:
    trail.rows[ERASED] = trail.rows[ERASED]._replace(salt=bytes(16))
    assert said(trail, tmp_path) == [f"event {ERASED} was changed: its payload does not have its digest"]


def test_an_erased_payload_needs_an_event_that_names_it(trail: Trail, tmp_path: Path) -> None:
    trail.rows[4] = trail.rows[4]._replace(salt=None, payload=None)
    assert said(trail, tmp_path) == ["event 4 was changed: its payload is missing, no erasure names it"]


def test_an_erasure_excuses_the_evidence_that_it_names(trail: Trail, tmp_path: Path) -> None:
    digest = next(iter(trail.evidence))
    place = len(trail.rows) - 3
    erasure = {"cause": "request", "evidence": [digest, "f" * 64], "seqs": [ERASED]}
    trail.rows[place] = with_payload(trail.rows[place], rfc8785.dumps(erasure))
    trail.sign_all(trail.signer, trail.second)
    del trail.evidence[digest]
    assert said(trail, tmp_path) == []
    trail.evidence[digest] = b"it should have gone"
    assert said(trail, tmp_path) == [f"evidence '{digest}' is named by no event"]


def test_evidence_named_twice_is_told_with_the_event_that_stored_it_first(trail: Trail, tmp_path: Path) -> None:
    digest = next(iter(trail.evidence))
    again = trail.rows[2]
    trail.rows.append(with_header(again, seq=len(trail.rows), ts="2026-11-24T00:00:00.000Z"))
    trail.sign_all(trail.signer, trail.second)
    del trail.evidence[digest]
    assert said(trail, tmp_path) == [f"'evidence/{digest}' is missing, or not the file that was exported; event 2 names it"]


def test_a_file_that_no_event_names_is_told_without_one(trail: Trail, tmp_path: Path) -> None:
    lay_out(trail, tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    manifest["files"]["table.csv"] = {"sha256": "0" * 64}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    found = verify_trail.verify(tmp_path, trail.signer.vkey.text, [], excerpt=False)
    assert found == ["'table.csv' is missing, or not the file that was exported"]


# --- excerpts: perfect subtrees shown as their root


def hidden(trail: Trail, *spans: tuple[int, int]) -> None:
    """Show these events (first, how many) as the root of their subtree."""

    def meddle(folder: Path) -> None:
        lines = [export._line(row) for row in trail.rows]
        for first, width in sorted(spans, reverse=True):
            root = root_of(trail.rows[first : first + width]) if width else leaf_hash(trail.rows[first].leaf_bytes)
            lines[first : first + max(width, 1)] = [b'{"hidden":%d,"root":"%b"}\n' % (width, root.hex().encode())]
        (folder / "events.jsonl").write_bytes(b"".join(lines))

    trail.meddle = meddle


@pytest.fixture
def excerpt() -> Trail:
    """A trail without evidence or a change of keys, so that any part of it may be hidden."""
    whole = honest_trail(Random(22))
    rows = [with_payload(whole.rows[11], b"{}")] * 23
    rows = [with_header(row, seq=seq) for seq, row in enumerate(rows)]
    trail = replace(whole, rows=rows, sizes=[5, 12, 23], evidence={})
    trail.sign_all(whole.signer, whole.signer)
    trail.known = trail.notes[1]
    return trail


def test_an_excerpt_is_verified_and_counts_what_it_hides(excerpt: Trail, tmp_path: Path) -> None:
    hidden(excerpt, (0, 4), (5, 1), (8, 4), (16, 4))
    assert said(excerpt, tmp_path, excerpt.known, excerpt=True) == []
    assert said(excerpt, tmp_path, excerpt.known) == [
        "13 of 23 events are hidden: give --excerpt where it need not show them all"
    ]


@pytest.mark.parametrize(("first", "width"), [(0, 3), (2, 4), (6, 3), (4, 8), (1, 2)])
def test_only_a_whole_subtree_can_be_hidden(first: int, width: int, excerpt: Trail, tmp_path: Path) -> None:
    hidden(excerpt, (first, width))
    assert said(excerpt, tmp_path, excerpt=True)[0] == f"event {first} was changed: its line is not as it was written"


def test_a_subtree_of_nothing_is_no_crash(excerpt: Trail, tmp_path: Path) -> None:
    hidden(excerpt, (6, 0))
    assert said(excerpt, tmp_path)[-1].startswith("1 of 23 events are hidden")


def test_events_missing_behind_a_hidden_part_are_named(excerpt: Trail, tmp_path: Path) -> None:
    hidden(excerpt, (0, 4))
    tail = excerpt.meddle

    def meddle(folder: Path) -> None:
        tail(folder)
        lines = (folder / "events.jsonl").read_bytes().splitlines(keepends=True)
        (folder / "events.jsonl").write_bytes(b"".join([lines[0], *lines[3:]]))

    excerpt.meddle = meddle
    assert said(excerpt, tmp_path, excerpt=True)[0] == "events 4 to 5 are missing"


def test_an_excerpt_that_covers_a_held_size_in_one_piece_can_not_be_compared(excerpt: Trail, tmp_path: Path) -> None:
    hidden(excerpt, (0, 16))
    excerpt.notes = excerpt.notes[-1:]
    with pytest.raises(ValueError, match=r"this excerpt can't be compared with a checkpoint of size 12: ask for one that can"):
        said(excerpt, tmp_path, excerpt.known, excerpt=True)


# --- checkpoints


def test_each_checkpoint_that_can_not_be_trusted_is_named_and_the_others_are_looked_at(trail: Trail, tmp_path: Path) -> None:
    stranger = Signer(ORIGIN, bytes(32))
    first, last = len(trail.notes) - 3, len(trail.notes) - 1
    for place in (first, last):
        size = size_of(trail.notes[place])
        trail.notes[place] = stranger.sign(size, root_of(trail.rows[:size]))
    why = "it is not of this log, or not signed by the key of its time"
    newest = size_of(trail.notes[-2])
    assert said(trail, tmp_path) == [
        f"checkpoint {first + 1} can't be trusted: {why}",
        f"checkpoint {last + 1} can't be trusted: {why}",
        f"no signed checkpoint vouches for the events {newest} to {len(trail.rows) - 1}",
    ]


def test_a_change_before_the_first_checkpoint_is_named_from_event_0_and_told_once(trail: Trail, tmp_path: Path) -> None:
    trail.rows[0] = with_header(trail.rows[0], actor="eve")
    told = [s for s in said(trail, tmp_path) if "does not fit" in s]
    assert told == ["a checkpoint does not fit: one of the events 0 to 0 was changed, added or removed"]


def test_a_change_between_two_checkpoints_is_named_between_them_and_told_once(trail: Trail, tmp_path: Path) -> None:
    trail.rows = trail.rows[: ROTATED - 1]
    trail.sizes = [2, 5, 7]
    trail.sign_all(trail.signer, trail.signer)
    trail.rows[3] = with_header(trail.rows[3], actor="eve")
    told = [s for s in said(trail, tmp_path) if "does not fit" in s]
    assert told == ["a checkpoint does not fit: one of the events 2 to 4 was changed, added or removed"]


def test_a_checkpoint_fits_again_by_chance_only_where_all_before_it_fit(trail: Trail, tmp_path: Path) -> None:
    """One that says something else, between two that are right: the key signed two histories."""
    place = 2
    size = size_of(trail.notes[place])
    signer = trail.signer if size <= ROTATED + 1 else trail.second
    trail.notes[place] = signer.sign(size, bytes(32))
    before = size_of(trail.notes[place - 1])
    assert f"a checkpoint does not fit: one of the events {before} to {size - 1} was changed, added or removed" in said(
        trail, tmp_path
    )


def test_a_new_key_that_the_old_one_did_not_sign_in_is_named(trail: Trail, tmp_path: Path) -> None:
    trail.notes = [note for note in trail.notes if size_of(note) <= ROTATED]
    trail.rows = trail.rows[: ROTATED + 1]
    assert f"event {ROTATED} names a new key, but the old one did not sign there" in said(trail, tmp_path)


def test_events_behind_the_last_checkpoint_and_a_checkpoint_behind_the_last_event_are_named(trail: Trail, tmp_path: Path) -> None:
    length = len(trail.rows)
    short = replace(trail, notes=trail.notes[:-1])
    newest = size_of(short.notes[-1])
    assert said(short, tmp_path) == [f"no signed checkpoint vouches for the events {newest} to {length - 1}"]
    del trail.rows[-2:]
    assert said(trail, tmp_path) == [
        f"events {length - 2} to {length - 1} are missing: a signed checkpoint covers more than there is"
    ]


def test_only_signatures_on_which_something_rests_are_computed(
    trail: Trail, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest, and the one that handed the key on; with a held checkpoint that one, too."""
    checked: list[int] = []

    def counted(public: bytes, message: bytes, signature: bytes, real=verify_trail.is_signed) -> bool:  # type: ignore[no-untyped-def]
        checked.append(int(message.split(b"\n")[1]))
        return bool(real(public, message, signature))

    monkeypatch.setattr(verify_trail, "is_signed", counted)
    assert said(trail, tmp_path, trail.known) == []
    assert checked == [ROTATED + 1, len(trail.rows), size_of(trail.known)]


def test_signatures_of_others_on_a_checkpoint_count_for_nothing(trail: Trail, tmp_path: Path) -> None:
    witness = signed_by(bytes(32), "witness.example.org", trail.notes[-1].partition("\n\n")[0]).partition("\n\n")[2]
    namesake = signed_by(bytes(32), ORIGIN, trail.notes[-1].partition("\n\n")[0]).partition("\n\n")[2]
    body, _, signatures = trail.notes[-1].partition("\n\n")
    odd = "— x.example.org and something that is no base64 = at all\n"
    trail.notes[-1] = f"{body}\n\n{witness}{odd}{namesake}{signatures}"
    assert said(trail, tmp_path) == []
    trail.notes[-1] = f"{body}\n\n{witness}{namesake}"
    assert said(trail, tmp_path)[0].startswith(f"checkpoint {len(trail.notes)} can't be trusted")


def test_a_root_with_rubbish_in_it_is_not_read_as_one_without(tmp_path: Path) -> None:
    seed = bytes(range(32))
    key = Signer(ORIGIN, seed)
    keys = {0: verify_trail.read_key(key.vkey.text)}
    root = base64.b64encode(bytes(32)).decode()
    assert verify_trail.open_note(signed_by(seed, ORIGIN, f"{ORIGIN}\n5\n{root}"), keys) == (5, bytes(32))
    with pytest.raises(ValueError):
        verify_trail.open_note(signed_by(seed, ORIGIN, f"{ORIGIN}\n5\n*{root}"), keys)
    with pytest.raises(ValueError):
        verify_trail.open_note(signed_by(seed, ORIGIN, f"other.example.org\n5\n{root}"), keys)


def test_several_checkpoints_in_a_text_are_taken_apart_and_nothing_is_none() -> None:
    assert verify_trail.split("a\n\nb\n\nc\n\nd\n\ne") == ["a\n\nb", "c\n\nd", "e"]
    assert verify_trail.split("") == []


def test_a_list_of_checkpoints_that_is_no_text_is_tampering(trail: Trail, tmp_path: Path) -> None:
    lay_out(trail, tmp_path)
    (tmp_path / "checkpoints.txt").write_bytes((tmp_path / "checkpoints.txt").read_bytes() + b"\xff")
    assert verify_trail.verify(tmp_path, trail.signer.vkey.text, [], excerpt=False)


# --- a checkpoint that the auditor holds


def test_a_held_checkpoint_of_more_than_there_is_names_what_is_missing(trail: Trail, tmp_path: Path) -> None:
    length = len(trail.rows)
    held = trail.second.sign(length + 3, bytes(32))
    assert said(trail, tmp_path, held) == [
        f"events {length} to {length + 2} are missing: the checkpoint you hold covers more than there is"
    ]


def test_a_held_checkpoint_of_everything_is_compared(trail: Trail, tmp_path: Path) -> None:
    length = len(trail.rows)
    assert said(trail, tmp_path, trail.notes[-1]) == []
    other = trail.second.sign(length, bytes(32))
    assert said(trail, tmp_path, other) == [
        f"the trail was rewritten: events 0 to {length - 1} differ from the checkpoint you hold"
    ]


def test_a_held_checkpoint_that_was_removed_is_named(trail: Trail, tmp_path: Path) -> None:
    place = 1 if size_of(trail.notes[1]) != ROTATED + 1 else 2
    held = trail.notes.pop(place)
    assert said(trail, tmp_path, held) == [f"the trail's own checkpoint of size {size_of(held)}, which you hold, was removed"]


def test_a_held_checkpoint_with_a_forged_signature_tells_nothing(trail: Trail, tmp_path: Path) -> None:
    body, _, signatures = trail.known.partition("\n\n")
    broken = signatures[:40] + ("A" if signatures[40] != "A" else "B") + signatures[41:]
    with pytest.raises(ValueError, match="not signed by the key of its time"):
        said(trail, tmp_path, f"{body}\n\n{broken}")


def test_what_is_wrong_without_it_is_said_before_a_held_checkpoint_is_opened(trail: Trail, tmp_path: Path) -> None:
    trail.rows[4] = with_header(trail.rows[4], actor="eve")
    assert said(trail, tmp_path, "no checkpoint at all")


# --- keys


def test_a_key_with_rubbish_in_it_is_not_read_as_one_without(trail: Trail) -> None:
    text = trail.signer.vkey.text
    assert verify_trail.read_key(f" {text}\n")[0] == ORIGIN
    for damaged in (f"{text[:-4]}*{text[-4:]}", f"{text}*", "name", "name+00000000", ""):
        with pytest.raises(ValueError):
            verify_trail.read_key(damaged)


@pytest.mark.parametrize("encoded", SMALL_ORDER_EIGHT)
def test_a_point_of_small_order_is_no_key(encoded: str) -> None:
    for sign in (0, 1 << 255):
        assert not verify_trail.decode((int.from_bytes(bytes.fromhex(encoded), "little") | sign).to_bytes(32, "little"))


def test_what_is_no_point_or_not_32_bytes_is_no_key() -> None:
    good = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw()
    assert verify_trail.decode(good)
    assert not verify_trail.decode(good + b"\0")
    assert not verify_trail.decode(good[:-1])
    assert not verify_trail.decode(int.to_bytes(2, 32, "little"))  # y = 2 is on no point
    beyond = next(y for y in range(verify_trail.P, 1 << 255) if verify_trail.decode((y - verify_trail.P).to_bytes(32, "little")))
    assert not verify_trail.decode(beyond.to_bytes(32, "little"))  # the same point, spelled a second way


# --- the program


def told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[str]]:
    monkeypatch.setattr(sys, "argv", ["verify_trail.py", *words])
    code = verify_trail.main()
    return code, capsys.readouterr().out.splitlines()


def test_it_ends_with_what_it_found(
    trail: Trail, excerpt: Trail, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "export").mkdir()
    lay_out(trail, tmp_path / "export")
    words = (str(tmp_path / "export"), "--vkey", trail.signer.vkey.text)
    assert told(monkeypatch, capsys, *words) == (0, ["VERIFIED: every event, checkpoint and file"])
    for number in range(150):
        (tmp_path / "export" / "evidence" / f"{number}").write_text("")
    code, lines = told(monkeypatch, capsys, *words)
    assert (code, lines[0], len(lines)) == (1, "TAMPERED", 101)
    hidden(excerpt, (0, 4))
    (tmp_path / "excerpt").mkdir()
    lay_out(excerpt, tmp_path / "excerpt")
    words = (str(tmp_path / "excerpt"), "--vkey", excerpt.signer.vkey.text)
    assert told(monkeypatch, capsys, *words)[0] == 1
    said = ["VERIFIED: every event that is shown, checkpoint and file"]
    assert told(monkeypatch, capsys, *words, "--excerpt") == (0, said)


@pytest.mark.parametrize("manifest", ["[]", "{}", '{"files": []}', '{"files": {"a": 1}}', "[" * 100_000, "", "\xff"])
def test_an_export_that_it_can_not_read_is_no_crash(
    manifest: str, trail: Trail, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lay_out(trail, tmp_path)
    (tmp_path / "manifest.json").write_text(manifest, encoding="utf-8")
    code, lines = told(monkeypatch, capsys, str(tmp_path), "--vkey", trail.signer.vkey.text)
    assert (code, lines[0][:15], len(lines)) == (2, "COULD NOT TELL:", 1)


def test_what_it_says_is_ascii(
    trail: Trail, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, lines = told(monkeypatch, capsys, str(tmp_path), "--vkey", str(tmp_path / "schlüssel"))
    assert (code, lines[0].endswith("schl\\xfcssel'")) == (2, True)


def test_it_wants_an_export_and_a_key_and_says_what_they_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as ended:
        told(monkeypatch, capsys, str(tmp_path))
    assert ended.value.code == 2
    capsys.readouterr()
    with pytest.raises(SystemExit):
        told(monkeypatch, capsys, "--help")
    words = " ".join(capsys.readouterr().out.split())
    assert " EXPORT " in words
    for text in (
        "Verify an audit trail: exit 0 verified, 1 tampered, 2 could not tell.",
        "the verifier key, or a file that holds it",
        "a file with checkpoints you received earlier",
        "it need not show every event",
    ):
        assert text in words
