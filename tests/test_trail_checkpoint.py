"""Checkpoints as signed notes: one written out elsewhere is read, every altered one refused."""

import pickle
import re

import pytest

from workbench.errors import TrailError
from workbench.trail import Signer, VerifierKey, join_notes, open_checkpoint, parse_checkpoint, split_notes

# The example of Go's golang.org/x/mod/sumdb/note package, which others' tools verify too.
GO_VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
GO_SIGNATURE = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="

SIGNER = Signer("example.org/trail", bytes(range(32)))
ROOT = bytes(range(32, 64))
NOTE = SIGNER.sign(17, ROOT)


def test_a_key_and_signature_made_by_another_implementation_are_read():
    import base64

    key = VerifierKey.parse(GO_VKEY)
    blob = base64.b64decode(GO_SIGNATURE)
    assert key.text == GO_VKEY
    assert blob[:4] == key.key_id
    assert key.signed(GO_TEXT.encode(), blob[4:])


def test_a_checkpoint_has_the_published_form():
    assert re.fullmatch(
        r"example\.org/trail\n17\n[A-Za-z0-9+/]{43}=\n\n— example\.org/trail [A-Za-z0-9+/]{90}[A-Za-z0-9+/=]{2}\n", NOTE
    )
    checkpoint = open_checkpoint(NOTE, SIGNER.vkey)
    assert (checkpoint.origin, checkpoint.size, checkpoint.root, checkpoint.note) == ("example.org/trail", 17, ROOT, NOTE)


def test_every_changed_character_of_a_checkpoint_is_noticed():
    for place, char in enumerate(NOTE):
        altered = NOTE[:place] + ("A" if char != "A" else "B") + NOTE[place + 1 :]
        with pytest.raises(TrailError):
            open_checkpoint(altered, SIGNER.vkey)


def test_signatures_of_witnesses_do_not_disturb_and_do_not_replace_ours():
    witness = Signer("witness.example.net", bytes(32)).sign(17, ROOT).rpartition("\n\n")[2]
    assert open_checkpoint(NOTE + witness, SIGNER.vkey).size == 17
    with pytest.raises(TrailError, match="is not signed by key"):
        open_checkpoint(NOTE.partition("\n\n")[0] + "\n\n" + witness, SIGNER.vkey)


def test_a_checkpoint_of_another_log_or_key_is_refused():
    with pytest.raises(TrailError, match="belongs to another log"):
        open_checkpoint(Signer("example.net", bytes(32)).sign(1, ROOT), SIGNER.vkey)
    with pytest.raises(TrailError, match="is not signed by key"):
        open_checkpoint(Signer("example.org/trail", bytes(32)).sign(1, ROOT), SIGNER.vkey)


@pytest.mark.parametrize(
    "note",
    [
        "",
        "\n\n",
        NOTE[:-1],
        NOTE.replace("\n17\n", "\n017\n"),
        NOTE.replace("\n17\n", "\n-1\n"),
        NOTE.replace("=\n\n", "\n\n"),
        "a\n1\n\n— a b\n",
    ],
)
def test_what_is_no_checkpoint_is_refused(note):
    with pytest.raises(TrailError):
        parse_checkpoint(note)


@pytest.mark.parametrize("count", range(4))
def test_notes_are_joined_and_split(count):
    notes = tuple(SIGNER.sign(size, ROOT) for size in range(count))
    assert split_notes(join_notes(notes)) == notes


def test_a_torn_row_of_notes_is_refused():
    for text in (NOTE[:-1], NOTE + "\nexample.org/trail\n", "x"):
        with pytest.raises(TrailError, match="not a row of checkpoints"):
            split_notes(text)


@pytest.mark.parametrize(
    "text", ["", "a", "a+b", "a+00000000+AAAA", GO_VKEY[:-1], GO_VKEY.replace("c7", "c8"), "x" + GO_VKEY, f"a b{GO_VKEY}"]
)
def test_a_damaged_key_is_refused(text):
    with pytest.raises(TrailError):
        VerifierKey.parse(text)


def test_a_signer_never_shows_or_stores_its_secret():
    secret = bytes(range(32)).hex()
    assert repr(SIGNER) == f"Signer(example.org/trail, key {SIGNER.vkey.key_id.hex()}, kept in memory)"
    assert secret not in repr(SIGNER) + repr(vars(SIGNER))
    with pytest.raises(TypeError):
        pickle.dumps(SIGNER)


@pytest.mark.parametrize(("name", "seed"), [("", bytes(32)), ("a b", bytes(32)), ("a+b", bytes(32)), ("a", bytes(31))])
def test_a_name_or_seed_that_a_note_can_not_carry_is_refused(name, seed):
    with pytest.raises(TrailError):
        Signer(name, seed)
