"""The signing key: made once, kept private, never replaced."""

import os
import stat
import threading

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked

from workbench.errors import TrailError
from workbench.signing import KEY_FILE, load_or_create_signer
from workbench.trail import Signer, open_checkpoint

ORIGIN = "workbench.example.org/trail"


class MemoryRing(KeyringBackend):
    """A keyring of the library's own interface, kept in a dictionary; the operating system's would ask a person."""

    priority = 5

    def __init__(self):
        super().__init__()
        self.kept = {}

    def get_password(self, service, username):
        return self.kept.get((service, username))

    def set_password(self, service, username, password):
        self.kept[service, username] = password

    def delete_password(self, service, username):
        del self.kept[service, username]


class LockedRing(MemoryRing):
    def get_password(self, service, username):
        raise KeyringLocked("locked")


class ForgetfulRing(MemoryRing):
    def set_password(self, service, username, password):
        pass


@pytest.fixture
def ring():
    """The memory ring as the system's keyring; the one before is put back."""
    before = keyring.get_keyring()
    memory = MemoryRing()
    keyring.set_keyring(memory)
    yield memory
    keyring.set_keyring(before)


def in_file(path, **options):
    return load_or_create_signer(ORIGIN, path, keyring_allowed=False, **options)


def test_a_file_key_is_private_kept_and_the_same_next_time(tmp_path):
    signer = in_file(tmp_path)
    assert signer.kept_in == "the file trail.key of the workspace"
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600
    assert in_file(tmp_path).vkey == signer.vkey
    assert open_checkpoint(in_file(tmp_path).sign(1, bytes(32)), signer.vkey).size == 1
    assert [path.name for path in tmp_path.iterdir()] == [KEY_FILE]


def test_a_key_file_that_others_may_read_is_refused_with_advice(tmp_path):
    in_file(tmp_path)
    (tmp_path / KEY_FILE).chmod(0o640)
    with pytest.raises(TrailError, match=r"Others may read trail\.key") as caught:
        in_file(tmp_path)
    assert "chmod 600 trail.key" in caught.value.advice


@pytest.mark.parametrize(
    "content", [b"", b"junk", b"\xff\xfe", b"PRIVATE+KEY+a", b"PRIVATE+KEY+workbench.example.org/trail+00000000+AAAA"]
)
def test_a_damaged_key_file_is_refused_and_left_alone(content, tmp_path):
    path = tmp_path / KEY_FILE
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(TrailError, match="The key in the file"):
        in_file(tmp_path)
    assert path.read_bytes() == content


def test_one_changed_character_of_a_key_is_noticed(tmp_path):
    in_file(tmp_path)
    path = tmp_path / KEY_FILE
    text = path.read_text()
    place = len(text) - 10
    path.write_text(text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :])
    with pytest.raises(TrailError, match="does not fit its own id"):
        in_file(tmp_path)


def test_a_key_of_another_log_a_folder_or_a_link_is_refused(tmp_path):
    in_file(tmp_path)
    with pytest.raises(TrailError, match="belongs to another log"):
        load_or_create_signer("other.example.org", tmp_path, keyring_allowed=False)
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / KEY_FILE).symlink_to(tmp_path / KEY_FILE)
    with pytest.raises(TrailError, match="can't be opened"):
        in_file(tmp_path / "linked")
    (tmp_path / "folder" / KEY_FILE).mkdir(parents=True)
    with pytest.raises(TrailError, match="can't be opened: Is a directory"):
        in_file(tmp_path / "folder")


def test_with_an_expected_key_none_is_made_and_no_other_taken(tmp_path):
    expected = Signer(ORIGIN, bytes(32)).vkey.text
    with pytest.raises(TrailError, match="in neither of its places") as caught:
        in_file(tmp_path, expected_vkey=expected)
    assert "Restore the key from its backup" in caught.value.advice
    assert list(tmp_path.iterdir()) == []
    own = in_file(tmp_path)
    assert in_file(tmp_path, expected_vkey=own.vkey.text).vkey == own.vkey
    with pytest.raises(TrailError, match="is not the one that signed this trail so far"):
        in_file(tmp_path, expected_vkey=expected)


def test_many_at_once_agree_on_one_key(tmp_path):
    keys = []
    threads = [threading.Thread(target=lambda: keys.append(in_file(tmp_path).vkey)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 8
    assert len(set(keys)) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_workspace_that_can_not_be_written_is_said(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(TrailError, match="can't be written"):
        in_file(tmp_path)


def test_a_missing_workspace_is_said(tmp_path):
    with pytest.raises(TrailError, match="can't be written"):
        in_file(tmp_path / "nowhere")


def test_a_real_keyring_goes_before_a_file(ring, tmp_path):
    signer = load_or_create_signer(ORIGIN, tmp_path, keyring_allowed=True)
    assert signer.kept_in == "the operating system's keyring"
    assert load_or_create_signer(ORIGIN, tmp_path, keyring_allowed=True).vkey == signer.vkey
    assert list(tmp_path.iterdir()) == []
    assert len(ring.kept) == 1


def test_a_key_file_that_is_there_goes_before_the_keyring(ring, tmp_path):
    own = in_file(tmp_path)
    assert load_or_create_signer(ORIGIN, tmp_path, keyring_allowed=True).vkey == own.vkey
    assert ring.kept == {}


def test_a_locked_keyring_is_an_error_never_a_second_key(ring, tmp_path):
    keyring.set_keyring(LockedRing())
    with pytest.raises(TrailError, match=r"keyring can't be read \(KeyringLocked\)") as caught:
        load_or_create_signer(ORIGIN, tmp_path, keyring_allowed=True)
    assert "Unlock the keyring" in caught.value.advice
    assert list(tmp_path.iterdir()) == []


def test_a_keyring_that_forgets_is_not_used(ring, tmp_path):
    keyring.set_keyring(ForgetfulRing())
    assert "file" in load_or_create_signer(ORIGIN, tmp_path, keyring_allowed=True).kept_in


def test_without_a_real_keyring_the_key_goes_to_a_file(ring, tmp_path):
    from keyring.backends.fail import Keyring

    keyring.set_keyring(Keyring())
    assert "file" in load_or_create_signer(ORIGIN, tmp_path, keyring_allowed=True).kept_in
