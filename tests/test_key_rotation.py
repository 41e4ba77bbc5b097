"""Changing the key that signs: verifiers go on from the first key, an open workbench follows, a crash in between loses nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from workbench import audit, verify_trail
from workbench.access import check_proof
from workbench.bench import Workbench
from workbench.errors import NotAllowedError, TrailError
from workbench.person import Person, new_id
from workbench.signing import KEY_FILE, NEXT, load_or_create_signer
from workbench.store import people


@pytest.fixture
def wb(tmp_path: Path) -> Iterator[Workbench]:
    made = Workbench.init(tmp_path / "workspace", name="example.org/trail", url="http://127.0.0.1:9", controller="Example GmbH")
    yield made
    made.close()


def key_text(wb: Workbench) -> str:
    return (wb.workspace / KEY_FILE).read_text()


def verified_alone(folder: Path, vkey: str, *known: Path) -> tuple[int, str]:
    """What the auditor's file says, in a Python that knows nothing of this project."""
    command = [sys.executable, "-I", "-S", verify_trail.__file__, str(folder), "--vkey", vkey]
    command += [word for path in known for word in ("--known", str(path))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd="/")
    return done.returncode, done.stdout


def test_after_two_changes_the_first_key_still_verifies_everything(wb: Workbench, tmp_path: Path) -> None:
    first, before, old = wb.trail.vkey, wb.trail.checkpoint(), key_text(wb)
    wb.trail.rotate_key(cause="a year is over")
    wb.trail.checkpoint()
    wb.trail.rotate_key(cause="an administrator left")
    after = wb.trail.checkpoint()
    assert wb.trail.vkey == first
    assert key_text(wb) != old
    assert wb.trail.verify(known=[before, after]).ok
    (tmp_path / "before").write_text(before, encoding="utf-8")
    (tmp_path / "after").write_text(after, encoding="utf-8")
    folder = wb.trail.export(tmp_path / "export")
    assert verified_alone(folder, first, tmp_path / "before", tmp_path / "after")[0] == 0


def test_one_person_s_proof_leads_from_the_first_key_to_the_newest(wb: Workbench) -> None:
    with wb.store.write() as tx:
        person = Person(person_id=new_id(), email="ann@example.org", email_as_given="ann@example.org", version=1)
        people.add(tx, person, at=datetime(2026, 11, 2, 9, tzinfo=UTC))
    wb.unsubscribe("ann@example.org")
    for cause in ("a year is over", "again"):
        wb.trail.rotate_key(cause=cause)
    proof = wb.trail.proof("ann@example.org")
    assert (len(proof["key_changes"]), len(proof["events"])) == (2, 1)
    assert check_proof(proof, wb.trail.vkey) == ()
    for change in proof["key_changes"]:
        whole, change["event"]["payload"]["vkey"] = change["event"]["payload"]["vkey"], wb.trail.vkey
        with pytest.raises(TrailError, match="did not sign it in"):
            check_proof(proof, wb.trail.vkey)
        change["event"]["payload"]["vkey"] = whole
    with pytest.raises(TrailError, match="is not signed by key"):
        check_proof(proof | {"key_changes": proof["key_changes"][:1]}, wb.trail.vkey)


def test_a_workbench_that_was_open_all_the_time_signs_with_the_new_key(wb: Workbench) -> None:
    with Workbench.open(wb.workspace) as other:
        other.trail.checkpoint()
        wb.trail.rotate_key(cause="")
        other.trail.checkpoint()
    assert wb.trail.verify().ok


def test_a_change_that_was_cut_off_after_the_trail_named_the_key_is_finished_later(
    wb: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    old = key_text(wb)
    with monkeypatch.context() as patch:
        patch.setattr(audit, "take_over", killed)  # the process ends here: between the commit and the move of the key
        with pytest.raises(KeyboardInterrupt):
            wb.trail.rotate_key(cause="")
    assert key_text(wb) == old
    with Workbench.open(wb.workspace) as again:
        again.trail.checkpoint()
        assert again.trail.verify().ok
    assert key_text(wb) != old
    assert not (wb.workspace / (KEY_FILE + NEXT)).exists()


def test_a_change_that_was_cut_off_before_leaves_the_old_key(wb: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    old = key_text(wb)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(audit.trail_log, "remember_signing_vkey", killed)  # the process ends inside of the transaction
        with pytest.raises(KeyboardInterrupt):
            wb.trail.rotate_key(cause="")
    wb.trail.checkpoint()
    assert key_text(wb) == old
    assert wb.trail.verify().ok
    wb.trail.rotate_key(cause="again")
    wb.trail.checkpoint()
    assert wb.trail.verify().ok


def test_only_an_administrator_changes_the_key(wb: Workbench) -> None:
    wb.grant("eve", "admin")
    wb.revoke(wb.operator, "admin")
    with pytest.raises(NotAllowedError, match="needs the role admin"):
        wb.trail.rotate_key(cause="")
    assert wb.trail.verify().ok


def test_verifying_needs_no_key_and_signing_says_that_it_is_gone(wb: Workbench) -> None:
    (wb.workspace / KEY_FILE).unlink()
    with Workbench.open(wb.workspace) as without:
        assert without.trail.verify().ok
        with pytest.raises(TrailError, match="in neither of its places"):
            without.trail.checkpoint()
        assert without.trail.verify().ok
    assert not (wb.workspace / KEY_FILE).exists()


def test_a_next_key_that_the_trail_does_not_name_is_never_taken(wb: Workbench) -> None:
    with Workbench.init(
        wb.workspace.parent / "other", name="example.org/trail", url="http://127.0.0.1:9", controller="x"
    ) as other:
        stranger = key_text(other)
    (wb.workspace / (KEY_FILE + NEXT)).write_text(stranger, encoding="utf-8")
    (wb.workspace / (KEY_FILE + NEXT)).chmod(0o600)
    (wb.workspace / KEY_FILE).unlink()
    with pytest.raises(TrailError, match="in neither of its places"):
        load_or_create_signer("example.org/trail", wb.workspace, keyring_allowed=False, expected_vkey=wb.trail.vkey)
