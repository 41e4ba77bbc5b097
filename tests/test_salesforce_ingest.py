"""Opting out thousands by Bulk jobs: the same outcome as by collections, whatever a job does; and never a clear."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import LONG_AGO, contact_id, lead_id, org_line, worlds
from hypothesis import given
from hypothesis import strategies as st

import workbench.salesforce
from workbench import nightly
from workbench.person import salesforce_id_18
from workbench.salesforce import OrgCredentials, Patience, SalesforceOrg, ingest
from workbench.scratch_org.process import ScratchOrg, start_scratch_org

FIELDS = ("HasOptedOutOfEmail", "Sales_Opt_Out__c")


@pytest.fixture(scope="module")
def running() -> Iterator[ScratchOrg]:
    with start_scratch_org(people=60, seed=5) as scratch:
        yield scratch


@pytest.fixture
def scratch(running: ScratchOrg) -> Iterator[ScratchOrg]:
    yield running
    running.control("/faults", {"clear": True})


@pytest.fixture
def org(scratch: ScratchOrg, monkeypatch: pytest.MonkeyPatch) -> Iterator[SalesforceOrg]:
    monkeypatch.setattr("workbench.salesforce.org.MOST_BY_COLLECTIONS", 2)
    credentials = OrgCredentials(url=scratch.url, client_id=scratch.client_id, client_secret=scratch.client_secret)
    with SalesforceOrg(credentials, opt_out_fields=FIELDS, patience=Patience(sleep=lambda _: None)) as org:
        yield org


def make(scratch: ScratchOrg, kind: str, **values: Any) -> str:
    given = {"LastName": "Bulk", **({"Company": "Bulk"} if kind == "Lead" else {}), **values}
    return str(scratch.control("/write", {"object": kind, "values": given, "at": LONG_AGO.isoformat()})["id"])


def some_rows(scratch: ScratchOrg, org: SalesforceOrg) -> dict[str, tuple[str, str]]:
    """Rows of every fate, by what becomes of them."""
    account = make(scratch, "Account", PersonEmail="pa@example.com")
    person = org.read(record_ids=[account], addresses=[], history=False).rows[0].record_id
    rows = {name: ("Lead", make(scratch, "Lead")) for name in ("lead", "deleted", "converted")}
    rows |= {"contact": ("Contact", make(scratch, "Contact")), "person account": ("Contact", person)}
    rows["nobody"] = ("Lead", salesforce_id_18("00Q999999999999"))
    scratch.control("/delete", {"object": "Lead", "id": rows["deleted"][1]})
    scratch.control("/convert", {"id": rows["converted"][1]})
    return rows


OUTCOMES = {
    "lead": "done",
    "contact": "done",
    "person account": "done",
    "deleted": "gone",
    "nobody": "gone",
    "converted": "refused",
}


def uploads(scratch: ScratchOrg) -> int:
    return sum(r["method"] == "PUT" and "/jobs/ingest/" in r["path"] for r in scratch.control("/requests")["requests"])


@pytest.mark.parametrize(
    "plan",
    [
        [],
        [{"kind": "job_failed", "on": "GET /jobs/ingest/[^/]+$", "times": 9}],
        [{"kind": "503", "on": "POST /jobs/ingest$", "times": 99}],
        [{"kind": "reset_after", "on": "PUT /batches$", "times": 9}],
        [{"kind": "reset_after", "on": "PATCH /jobs/ingest/", "times": 9}],
        [{"kind": "truncated_csv", "on": "GET /successfulResults$", "times": 99}],
        [{"kind": "html", "on": "GET /failedResults$", "times": 99}],
        [{"kind": "expire_token", "on": "PUT /batches$"}],
        [{"kind": "lock", "on": "GET /jobs/ingest/[^/]+$", "times": 1}],
    ],
    ids=lambda plan: f"{plan[0]['kind']} {plan[0]['on']}" if plan else "no fault",
)
def test_every_row_has_the_outcome_that_collections_give_it(org: SalesforceOrg, scratch: ScratchOrg, plan: list[Any]) -> None:
    rows = some_rows(scratch, org)
    scratch.control("/faults", {"plan": plan})
    before = uploads(scratch)
    answers = {a.record_id: a.outcome for a in org.opt_out(list(rows.values()))}
    assert {name: answers[record_id] for name, (_, record_id) in rows.items()} == OUTCOMES
    assert len(answers) == len(rows)
    assert (uploads(scratch) > before) == ("POST" not in str(plan))
    for name in ("lead", "contact", "person account"):
        (row,) = org.read(record_ids=[rows[name][1]], addresses=[], history=False).rows
        assert all(row.opt_outs.values()), name


def test_few_rows_go_without_a_job(org: SalesforceOrg, scratch: ScratchOrg) -> None:
    before = uploads(scratch)
    assert [a.outcome for a in org.opt_out([("Lead", make(scratch, "Lead")), ("Contact", make(scratch, "Contact"))])] == [
        "done"
    ] * 2
    assert uploads(scratch) == before


def test_an_upload_is_cut_before_it_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [salesforce_id_18(f"00Q{n:012d}") for n in range(100)]
    monkeypatch.setattr(ingest, "MOST_BYTES", 1_000)
    cut = list(ingest._uploads(ids, FIELDS))
    assert [i for some in cut for i in some] == ids
    assert len(cut) > 1
    assert all(len(ingest.table(some, FIELDS)) <= 1_000 for some in cut)


@given(
    st.lists(st.from_regex(r"00Q[A-Za-z0-9]{12}", fullmatch=True), min_size=1, max_size=30), st.sampled_from([FIELDS, FIELDS[:1]])
)
def test_all_that_a_job_can_say_is_true(ids: list[str], fields: tuple[str, ...]) -> None:
    head, *lines = ingest.table(ids, fields).decode().splitlines()
    assert head == ",".join(("Id", *fields))
    assert [line.split(",") for line in lines] == [[i, *["true"] * len(fields)] for i in ids]


def test_nothing_else_can_reach_an_ingest_job() -> None:
    """One module names these jobs, and nothing in it can say false: a clear would need a second one."""
    for file in Path(workbench.salesforce.__file__).parents[1].rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        if "scratch_org" not in file.parts and re.search(r"jobs/ingest|\bcsv=", text):
            assert file.name == "ingest.py", file
            assert not re.search(r"\bFalse\b|\"false\"|'false'", text)


def synced(folder: Path) -> tuple[Any, ...]:
    """What a sync said, what became of every record, and how many events of each kind the trail has."""
    folder.mkdir()
    records = [make(number) for number in range(1, 5) for make in (lead_id, contact_id)]
    people = [f"somebody{number}@example.com" for number in range(len(records))]
    lines = [
        org_line("Lead" if i.startswith("00Q") else "Contact", i, who, opted_out=False)
        for i, who in zip(records, people, strict=True)
    ]
    with worlds(folder) as make_world:
        w = make_world(*lines)
        for i, who in zip(records, people, strict=True):
            w.person(who, salesforce_ids=(salesforce_id_18(i),))
        w.wb.pull(full=True)
        w.org.control("/faults", {"plan": [{"kind": "lock", "on": "PATCH /composite/sobjects$", "times": 1}]})
        done = w.wb.sync()
        rows = w.wb.org.read(record_ids=records, addresses=[], history=True)
        events = w.wb.trail.events()
        return (
            (done.unsubscribed, done.opted_out + len(done.failed), done.skipped_leased),
            w.wb.sync().failed,
            {r.record_id: r.opt_outs for r in w.wb.org.read(record_ids=records, addresses=[], history=False).rows},
            len(rows.rows),
            sorted(events.action[events.action.str.startswith("sync")]),
            uploads(w.org),
        )


def test_a_sync_comes_to_the_same_end_by_jobs_and_by_collections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    *by_collections, none = synced(tmp_path / "collections")
    monkeypatch.setattr("workbench.salesforce.org.MOST_BY_COLLECTIONS", 2)
    monkeypatch.setattr(nightly, "MANY", 2)
    *by_jobs, some = synced(tmp_path / "jobs")
    assert by_jobs == by_collections
    assert by_jobs[0] == (0, 8, ())
    assert all(all(flags.values()) for flags in by_jobs[2].values())
    assert (none, some) == (0, 2)


def test_a_whole_batch_sends_no_job_however_low_the_threshold(world, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.salesforce.org.MOST_BY_COLLECTIONS", 0)
    w = world(org_line("Lead", lead_id(1), "anna@example.com", opted_out=True))
    someone = w.person("anna@example.com")
    w.consent(someone)
    w.wb.pull(full=True)
    plan = w.wb.propose([someone], reason="asked_in_writing")
    w.wb.approve(plan.batch.batch_id, plan.digest)
    assert w.wb.run(plan.batch.batch_id).done == 1
    assert uploads(w.org) == 0
    w.wb.undo(plan.batch.batch_id)
    assert uploads(w.org) == 1, "the threshold counts: turning back is the safe direction"
    assert w.flags(lead_id(1)) == {salesforce_id_18(lead_id(1)): True}
