"""A leaf is canonical, complete, tells nothing of the payload, and can be read back."""

import hashlib
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from workbench.errors import TrailError
from workbench.trail import leaf_hash, leaf_time, read_leaf, seal
from workbench.trail.events import CheckpointIdle, OperatorGranted

NOW = datetime(2026, 11, 23, 2, 15, tzinfo=UTC)
SALT = bytes(range(16))


def sealed(event=None, **changes):
    header = {"log": "example.org/trail", "seq": 17, "ts": NOW, "actor": "ann", "actor_auth": "os_user", "salt": SALT}
    return seal(event or CheckpointIdle(), **{**header, **changes})


def test_a_leaf_is_exactly_these_bytes():
    digest = hashlib.sha256(SALT + b"{}").hexdigest()
    event = sealed(subject="p-1")
    assert event.leaf_bytes.decode() == (
        '{"action":"checkpoint_idle","actor":"ann","actor_auth":"os_user","batch_id":null,"intent_id":null,'
        f'"log":"example.org/trail","payload_sha256":"{digest}","seq":17,"subject":"p-1",'
        '"ts":"2026-11-23T02:15:00.000Z","v":1}'
    )
    assert event.leaf_hash == leaf_hash(event.leaf_bytes)
    assert (event.payload, event.salt) == (b"{}", SALT)


def test_a_leaf_is_read_back_and_its_bytes_do_not_show_the_payload():
    event = sealed(OperatorGranted(operator="Zoë Nobody", role="admin"), batch_id="b-1", intent_id="i-1")
    header = read_leaf(event.leaf_bytes)
    assert (header.seq, header.action, header.batch_id, header.intent_id) == (17, "operator_granted", "b-1", "i-1")
    assert b"Nobody" not in event.leaf_bytes
    assert "Nobody" not in repr(event)


def test_the_same_event_with_another_salt_has_another_digest():
    assert sealed().leaf_hash != sealed(salt=bytes(16)).leaf_hash


def test_time_is_cut_to_milliseconds_in_utc():
    moment = datetime(2026, 11, 23, 3, 15, 0, 999_999, tzinfo=timezone(timedelta(hours=1)))
    assert leaf_time(moment) == "2026-11-23T02:15:00.999Z"
    with pytest.raises(TrailError, match="needs a zone"):
        leaf_time(moment.replace(tzinfo=None))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"subject": "jo@example.org"}, "header's subject does not have its form"),
        ({"batch_id": "two words"}, "header's batch_id does not"),
        ({"actor": ""}, "header's actor does not"),
        ({"actor_auth": None}, "header's actor_auth does not"),
        ({"log": 5}, "header's log does not"),
        ({"seq": -1}, "not a number from 0 on"),
        ({"seq": True}, "not a number from 0 on"),
        ({"salt": b"short"}, "a salt has 16 bytes"),
        ({"actor": "\ud800"}, "canonical JSON"),
    ],
)
def test_a_header_that_does_not_fit_is_never_written(changes, sentence):
    with pytest.raises(TrailError, match=sentence):
        sealed(**changes)


@pytest.mark.parametrize(
    "change", [{"v": 2}, {"v": True}, {"ts": "2026-11-23"}, {"payload_sha256": "AB"}, {"more": 1}, {"seq": 1.0}]
)
def test_a_leaf_that_does_not_fit_is_not_read(change):
    value = {**json.loads(sealed().leaf_bytes), **change}
    with pytest.raises(TrailError):
        read_leaf(json.dumps(value).encode())


@pytest.mark.parametrize("leaf", [b"", b"[]", b"\xff", b'{"v":1}'])
def test_bytes_that_are_no_leaf_are_not_read(leaf):
    with pytest.raises(TrailError):
        read_leaf(leaf)
