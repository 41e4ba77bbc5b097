"""Every event type: documented, complete, and refused when its payload is not what it says."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import TrailError
from workbench.trail import EVENT_TYPES, events, read_event
from workbench.trail.events.clearing import BothSides, Finding, IntendedRow, RowAnswer, VerifiedRow

DIGEST = "ab" * 32
NOW = "2026-11-23T02:15:00.000Z"
ANSWER = RowAnswer(record_id="003000000000001AAA", status=412, code="PRECONDITION_FAILED")
SIDES = BothSides(unsubscribed=True, org={"003000000000001AAA": {"HasOptedOutOfEmail": True}})
COUNTS = {"rows": 5, "added": 3, "unchanged": 1, "rejected": 1}

SAMPLES = [
    events.WorkspaceCreated(product_version="0.1.0", vkey="example.org+0+A", key_kept_in="the keyring"),
    events.SettingsChanged(file="policy.toml", before=None, after=DIGEST, changed=("reasons",)),
    events.OperatorGranted(operator="ann", role="admin"),
    events.OperatorRevoked(operator="ann", role="auditor"),
    events.PeopleImported(file_name="p.csv", file_sha256=DIGEST, changed=0, opted_out=2, **COUNTS),
    events.UnsubscribesImported(file_name="u.csv", file_sha256=DIGEST, **COUNTS),
    events.UnsubscribeRecorded(unsubscribe_id="u-1", opted_out_at=NOW, source="clicked_link", detail="link in mail 7"),
    events.ConsentRecorded(consent_id="c-1", record={"email": "jo@example.org", "list": [1, None, True]}, evidence=(DIGEST,)),
    events.ConsentWithdrawn(consent_id="c-1", withdrawn_at="2026-11-23T02:15:00.000+0000", withdrawal_method="by mail"),
    events.EvidenceStored(sha256=DIGEST, size=12, media_type="application/pdf", original_name="Формуляр.pdf"),
    events.PersonErased(seqs=(3, 4), evidence=(DIGEST,), cause="request of the person"),
    events.SnapshotPulled(mode="full", rows={"Lead": 5, "Contact": 0}, until=NOW),
    events.BatchProposed(digest=DIGEST, policy=DIGEST, reason="asked_in_writing", eligible=1, refused=2, calls=9),
    events.BatchApproved(digest=DIGEST, proposed_by="bob"),
    events.BatchStarted(digest=DIGEST, cap=None),
    events.BatchPaused(cause="daily_limit", detail="no calls left today", done=1, left=2),
    events.BatchResumed(left=2),
    events.BatchFinished(counts={"done": 1, "refused": 2}),
    events.BatchCancelled(cause="proposed by mistake"),
    events.BatchUndone(cause="wrong list", people=3, failed=0),
    events.PersonRefused(
        consent_id=None,
        findings=(Finding(code="no_consent", severity="refuse", sentence="There is no consent on file."),),
        policy=DIGEST,
    ),
    events.PersonPostponed(cause="quiet_period", until=NOW),
    events.ClearIntended(
        rows=(IntendedRow(record_id="003000000000001AAA", base=NOW, fields=("HasOptedOutOfEmail",)),), attempt=1
    ),
    events.ClearAnswered(rows=(ANSWER, RowAnswer(record_id="r", status=None, code=None)), attempt=1),
    events.ClearVerified(rows=(VerifiedRow(record_id="003000000000001AAA", stamp=NOW),)),
    events.PersonResubscribed(
        before=SIDES,
        after=BothSides(unsubscribed=False, org={}),
        consent_id="c-1",
        evidence=(DIGEST,),
        episodes=("u-1",),
    ),
    events.AbortIntended(cause="stamp_changed", detail="someone else wrote", rows=("003000000000001AAA",)),
    events.PersonAborted(cause="stamp_changed", after=SIDES),
    events.OptOutIntended(by="sync", rows=("003000000000001AAA",)),
    events.OptOutWritten(rows=(ANSWER,)),
    events.OptOutFailed(cause="row_locked", rows=(ANSWER,)),
    events.SyncStarted(cap=100, people=3, records=2),
    events.SyncFinished(counts={"people": 3}),
    events.PersonUnsubscribedBySync(unsubscribe_id="u-2", records=("003000000000001AAA",), opted_out_at=None, opted_out_by=None),
    events.MismatchFound(mismatch_id="m-1", kind="records_disagree", records=("a", "b"), detail=""),
    events.MismatchResolved(mismatch_id="m-1", kind="records_disagree", resolved_by="sync"),
    events.FollowUpChecked(outcome="relapsed", cause="sync", detail=""),
    events.ConsentRenewed(consent_id="c-1", renewed_by="c-2"),
    events.ConsentExpired(consent_id="c-1", valid_until="2026-11-02T09:00:00.000Z"),
    events.AccessReported(),
    events.ReportErased(name="resubscription-audit", files=("a/report.html",), cause="it named a person"),
    events.ReportIssued(name="resubscription-audit", parameters=DIGEST, file_name="a.html", file_sha256=DIGEST),
    events.TrailExported(events=5, evidence=1),
    events.BackupMade(),
    events.BackupRestored(made_at=NOW, sha256=DIGEST),
    events.RestoreConfirmed(made_at=NOW),
    events.TimestampRequested(size=5, note_sha256=DIGEST, nonce="389469206608221569"),
    events.TimestampReceived(size=5, note_sha256=DIGEST, stamped_at="2026-11-02T09:00:00Z", response="MAA=", ca_sha256=DIGEST),
    events.CheckpointIntended(size=5, note_sha256=DIGEST, object="Trail_Checkpoint__c", field="Note__c"),
    events.CheckpointAnswered(size=5, outcome="kept", record_id="a00000000000001AAA"),
    events.CheckpointIdle(),
    events.KeyRotated(old_vkey="a+00000000+AAAA", vkey="a+00000001+AAAA", key_kept_in="memory", cause="a year is over"),
]


def test_there_is_a_sample_of_every_event():
    assert {sample.action for sample in SAMPLES} == set(EVENT_TYPES)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.action)
def test_an_event_is_documented_and_survives_its_bytes(sample):
    assert len(type(sample).__doc__) > 20
    assert not type(sample).__doc__.startswith(type(sample).__name__)
    assert read_event(sample.action, sample.payload_bytes()) == sample


@pytest.mark.parametrize("sample", [s for s in SAMPLES if s.payload()], ids=lambda sample: sample.action)
def test_a_payload_with_a_field_missing_unknown_or_of_another_type_is_refused(sample):
    payload = sample.payload()
    for name in payload:
        rest = {key: value for key, value in payload.items() if key != name}
        with pytest.raises(TrailError, match=f"Event {sample.action}: the payload lacks {name}"):
            read_event(sample.action, json.dumps(rest).encode())
        for wrong in (1.5, [[0.5]], {"ключ": 1}):
            with pytest.raises(TrailError):
                read_event(sample.action, json.dumps({**payload, name: wrong}).encode())
    with pytest.raises(TrailError, match="a field that this event does not have"):
        read_event(sample.action, json.dumps({**payload, "more": 1}).encode())


def test_an_unknown_action_is_refused():
    with pytest.raises(TrailError, match="knows no event of that action"):
        read_event("person_forgotten", b"{}")


@pytest.mark.parametrize(
    "payload",
    [b"", b"[]", b"\xff", b"{", b'{"left":1,"left":1}', b'{"left":NaN}', b'{"left":1e2}', b"[" * 100_000],
)
def test_bytes_that_are_no_payload_are_refused(payload):
    with pytest.raises(TrailError):
        read_event("batch_resumed", payload)


@pytest.mark.parametrize("left", [True, -1, 2**53, "1", None, 1.0])
def test_a_count_is_a_count(left):
    with pytest.raises(TrailError, match="Event batch_resumed, field left"):
        events.BatchResumed(left=left)


def test_a_closed_vocabulary_is_closed_and_the_sentence_shows_no_value():
    secret = "jo@example.org"
    for build in (
        lambda: events.OperatorGranted(operator="ann", role=secret),
        lambda: events.UnsubscribeRecorded(unsubscribe_id="u", opted_out_at=NOW, source=secret, detail=""),
        lambda: events.BatchApproved(digest=secret, proposed_by="bob"),
        lambda: events.PersonPostponed(cause=secret, until=None),
        lambda: events.ClearVerified(rows=[{"record_id": "r", "stamp": secret}]),
    ):
        with pytest.raises(TrailError) as caught:
            build()
        assert secret not in str(caught.value)
        assert "outside of what this field may hold" in str(caught.value)


def test_text_that_is_not_unicode_is_refused_when_written():
    with pytest.raises(TrailError, match="canonical JSON"):
        events.BatchCancelled(cause="\ud800").payload_bytes()


def test_the_payload_is_canonical_json():
    assert events.OperatorGranted(operator="Zoë", role="admin").payload_bytes() == '{"operator":"Zoë","role":"admin"}'.encode()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc_", max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text("abc_", max_size=5), JSON, max_size=4))
def test_any_consent_record_without_fractions_survives(record):
    event = events.ConsentRecorded(consent_id="c", record=record, evidence=())
    assert read_event(event.action, event.payload_bytes()) == event
