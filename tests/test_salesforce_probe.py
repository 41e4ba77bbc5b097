"""The probe of conditional writes: one sentence for each way an org can answer, and nothing of it left behind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from workbench.cli.app import run
from workbench.org import ConditionalClear
from workbench.salesforce import OrgCredentials, Patience, SalesforceOrg, probe_org, probe_record
from workbench.scratch_org.process import ScratchOrg, start_scratch_org


@pytest.fixture
def scratch() -> Iterator[ScratchOrg]:
    with start_scratch_org() as scratch:
        yield scratch


@pytest.fixture
def org(scratch: ScratchOrg) -> Iterator[SalesforceOrg]:
    credentials = OrgCredentials(url=scratch.url, client_id=scratch.client_id, client_secret=scratch.client_secret)
    with SalesforceOrg(credentials, patience=Patience(sleep=lambda _: None)) as org:
        yield org


def told(org: SalesforceOrg) -> list[tuple[bool, str]]:
    return [(line.ok, line.sentence) for line in probe_org(org)]


def leads_left(org: SalesforceOrg) -> list[str]:
    return [row.record_id for page in org.pull("Lead") for row in page if not row.is_deleted]


def test_a_sound_org(org: SalesforceOrg) -> None:
    lines = told(org)
    assert [ok for ok, _ in lines] == [True] * 4
    assert [sentence.partition(" ")[0] for _, sentence in lines] == ["A", "A", "Field", "Lead"]
    assert "stale condition is refused" in lines[0][1]
    assert leads_left(org) == []


def test_an_org_that_ignores_the_condition_is_named_before_anybody_is_resubscribed(
    org: SalesforceOrg, monkeypatch: pytest.MonkeyPatch
) -> None:
    clear = org.clear

    def without_condition(writes: list[ConditionalClear]) -> Any:
        return clear([replace(write, unmodified_since=write.unmodified_since.replace(year=2999)) for write in writes])

    monkeypatch.setattr(org, "clear", without_condition)  # what an org would do to which the condition means nothing
    (first, _), (second, _) = told(org)
    assert (first, second) == (False, True)
    assert "was cleared all the same inside a composite request: resubscribe nobody" in told(org)[0][1]
    assert leads_left(org) == []


def test_an_org_that_does_not_track_the_field(org: SalesforceOrg, scratch: ScratchOrg) -> None:
    scratch.control("/history", {"tracking": False})
    wrong = [sentence for ok, sentence in told(org) if not ok]
    assert len(wrong) == 1
    assert wrong[0].startswith("Field history of Lead.HasOptedOutOfEmail is not tracked")


@pytest.mark.parametrize(
    ("on", "sentence"),
    [
        ("POST /sobjects/Lead", "The probe could make no lead: "),
        ("POST /composite$", "broke off"),
        ("DELETE /sobjects/Lead/", "could not be deleted; do it by hand"),
    ],
)
def test_what_the_user_may_not_do_is_a_sentence(org: SalesforceOrg, scratch: ScratchOrg, on: str, sentence: str) -> None:
    org.access()
    plan = {"kind": "error", "on": on, "times": 9, "status": 403, "code": "INSUFFICIENT_ACCESS_OR_READONLY", "message": "canary"}
    scratch.control("/faults", {"plan": [plan]})
    wrong = [text for ok, text in told(org) if not ok]
    assert len(wrong) == 1
    assert sentence in wrong[0]
    assert "canary" not in wrong[0]


def opted_out(scratch: ScratchOrg, kind: str = "Lead", **values: Any) -> str:
    """A record of somebody who opted out long ago."""
    given = {"LastName": "Canary", "HasOptedOutOfEmail": True, **({"Company": "Canary"} if kind == "Lead" else {}), **values}
    return str(scratch.control("/write", {"object": kind, "values": given, "at": "2026-01-05T09:00:00+00:00"})["id"])


@pytest.mark.parametrize("kind", ["Lead", "Contact", "Account"])
def test_a_named_record_stays_opted_out_and_nothing_else_of_it_is_written(
    org: SalesforceOrg, scratch: ScratchOrg, kind: str
) -> None:
    field = "PersonHasOptedOutOfEmail" if kind == "Account" else "HasOptedOutOfEmail"
    record_id = opted_out(scratch, kind) if kind != "Account" else str(scratch.control("/write", {
        "object": kind, "values": {"LastName": "Canary", field: True}, "at": "2026-01-05T09:00:00+00:00",
    })["id"])  # fmt: skip
    lines = probe_record(org, record_id[:15])
    assert [line.ok for line in lines] == [True, True]
    assert "stale condition is refused" in lines[0].sentence
    assert lines[1].sentence.endswith("it is opted out as before.")
    written = [write for entry in scratch.control("/requests")["requests"] for write in entry.get("writes", ())]
    assert [(write["id"], write["fields"], write["status"]) for write in written] == [
        (record_id, [field], 412),
        (record_id, [field], 204),
    ]
    assert scratch.control("/changes")["changes"] == []  # every change of any opt-out field


def test_an_org_without_conditions_leaves_the_named_record_opted_out_too(
    org: SalesforceOrg, scratch: ScratchOrg, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_id = opted_out(scratch)
    monkeypatch.setattr("workbench.salesforce.writes.http_date", lambda _: "Thu, 01 Jan 2999 00:00:00 GMT")
    (line,) = probe_record(org, record_id)
    assert not line.ok
    assert "was answered with done inside a composite request: resubscribe nobody" in line.sentence
    assert scratch.control("/changes")["changes"] == []


@pytest.mark.parametrize("which", ["subscribed", "deleted", "unknown", "no id"])
def test_a_record_that_is_not_opted_out_is_left_alone(org: SalesforceOrg, scratch: ScratchOrg, which: str) -> None:
    record_id = {"unknown": "00Q999999999999", "no id": "canary'"}.get(which) or opted_out(
        scratch, HasOptedOutOfEmail=which != "subscribed"
    )
    if which == "deleted":
        scratch.control("/delete", {"object": "Lead", "id": record_id})
    (line,) = probe_record(org, record_id)
    assert not line.ok
    assert line.sentence.startswith("The probe of the named record broke off: ")
    assert "canary" not in line.sentence
    assert not any(entry.get("writes") for entry in scratch.control("/requests")["requests"])


def test_the_command_probes_only_when_asked(world, capsys: pytest.CaptureFixture[str]) -> None:
    made = world()
    made.wb.close()

    def written() -> list[str]:
        return [r["path"] for r in made.requests() if r["method"] in ("POST", "DELETE") and "sobjects/Lead" in r["path"]]

    run(["--workspace", str(made.folder), "org", "check", "--format", "json"])
    assert written() == []
    run(["--workspace", str(made.folder), "org", "check", "--probe", "--format", "json"])
    assert len(written()) == 2
    assert "stale condition is refused" in capsys.readouterr().out
