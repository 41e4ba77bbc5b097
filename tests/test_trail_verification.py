"""Whether the library finds what a forger did, and leaves an honest trail alone."""

from random import Random

import pytest
from trail_samples import ERASED, FORGERIES, forged, honest_trail, root_of, with_payload

from workbench.errors import TrailError
from workbench.trail import Signer, TrailVerification, verify_export, verify_trail

TIMES = 5


def verdict_of(trail, *, known=()):
    return verify_trail(trail.rows, checkpoints=trail.notes, vkey=trail.signer.vkey, known=known)


def test_an_honest_trail_verifies_and_tells_its_size_root_and_evidence():
    trail = honest_trail(Random(1))
    verdict = verdict_of(trail, known=[trail.known])
    assert verdict.ok
    assert verdict.problems == ()
    assert verdict.events == verdict.size == len(trail.rows)
    assert verdict.root == root_of(trail.rows)
    assert verdict.unsigned == 0
    assert verdict.evidence == dict(zip(trail.evidence, (2, 3), strict=True))


@pytest.mark.parametrize("kind", FORGERIES)
def test_a_forged_export_is_found_and_the_event_named(kind, tmp_path):
    for number in range(TIMES):
        trail = forged(kind, number)
        folder = trail.write(tmp_path / str(number))
        vkey = honest_trail(Random(f"{kind} {number}")).signer.vkey
        if trail.unclear:
            with pytest.raises(TrailError, match="is not signed by key"):
                verify_export(folder, vkey=vkey, known=[trail.known])
            continue
        verdict = verify_export(folder, vkey=vkey, known=[trail.known] if trail.needs_known else [])
        assert not verdict.ok
        assert any(trail.named in problem for problem in verdict.problems), verdict.problems
        assert not verify_export(folder, vkey=vkey, known=[trail.known]).ok


def test_what_needs_an_earlier_checkpoint_is_said_to_need_one(tmp_path):
    trail = forged("sign_anew_with_the_stolen_key", 0)
    assert verdict_of(trail).ok  # nobody can see this from the trail alone
    assert "the trail was rewritten" in verdict_of(trail, known=[trail.known]).problems[0]


def test_events_after_the_last_checkpoint_are_named_and_counted():
    trail = honest_trail(Random(2))
    del trail.notes[-1]
    covered, events = trail.sizes[-2], len(trail.rows)
    verdict = verdict_of(trail)
    assert verdict.problems == (
        f"events {covered} to {events - 1} are not vouched for: no signed checkpoint covers this part of the trail",
    )
    assert (verdict.unsigned, verdict.size) == (events - covered, covered)


def test_only_a_later_erasure_excuses_a_missing_payload():
    trail = honest_trail(Random(3))
    trail.rows[ERASED + 1] = trail.rows[ERASED + 1]._replace(payload=None, salt=None)
    assert verdict_of(trail).problems == (f"event {ERASED + 1} was changed: its payload is missing and no erasure names it",)


def test_half_a_payload_is_no_erasure():
    trail = honest_trail(Random(3))
    trail.rows[4] = trail.rows[4]._replace(salt=None)
    assert verdict_of(trail).problems == ("event 4 was changed: half of its payload is missing",)


def test_an_edit_is_told_apart_to_the_span_between_two_checkpoints():
    trail = forged("edit_an_entry_and_its_hash", 0)
    (problem,) = verdict_of(trail).problems
    assert problem.startswith("the checkpoint of size ")
    assert "was changed, added or removed" in problem


def test_an_erasure_that_nobody_can_read_excuses_nothing():
    trail = honest_trail(Random(4))
    place = len(trail.rows) - 3
    trail.rows[place] = with_payload(trail.rows[place], b'{"seqs":"all"}')
    trail.sign_all(trail.signer, trail.second)
    problems = verdict_of(trail).problems
    assert f"event {place} can't be read: Event person_erased: the payload lacks cause, evidence." in problems
    assert f"event {ERASED} was changed: its payload is missing and no erasure names it" in problems


def test_a_known_checkpoint_that_is_not_of_this_key_tells_nothing():
    trail = honest_trail(Random(5))
    stranger = Signer(trail.signer.name, bytes(32))
    with pytest.raises(TrailError, match="is not signed by key"):
        verdict_of(trail, known=[stranger.sign(1, bytes(32))])


def test_thousands_of_problems_are_counted_not_listed():
    trail = honest_trail(Random(6))
    verification = TrailVerification(trail.signer.vkey, checkpoints=trail.notes)
    for _ in range(300):
        verification.add(trail.rows[0])
    problems = verification.verdict().problems
    assert len(problems) < 110
    assert "more problems of these kinds" in problems[-1]
