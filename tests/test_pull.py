"""Reading a real scratch org over HTTP into a real register: in full, by changes, and what must not be believed."""

from __future__ import annotations

import signal
import subprocess
import sys
from datetime import timedelta

import pytest
import sqlalchemy as sa
from conftest import LONG_AGO, OPTED_OUT, contact_id, lead_id, org_line

from workbench.bench import Workbench
from workbench.errors import WorkbenchError
from workbench.org import OrgQuotaError
from workbench.person import salesforce_id_18
from workbench.pull import OVERLAP
from workbench.store import bookmarks, mismatches, records
from workbench.store import schema as s
from workbench.store.bookmarks import UnderWay

ANN, BOB, EVE = (salesforce_id_18(i) for i in (lead_id(1), contact_id(2), lead_id(3)))
LINES = (
    org_line("Lead", lead_id(1), "ann@example.com", opted_out=True),
    org_line("Contact", contact_id(2), "Bob@Example.com", opted_out=False),
    org_line("Lead", lead_id(3), "eve@example.com", opted_out=False),
)


@pytest.fixture
def both(world):
    return world(*LINES)


def rows(world):
    with world.wb.store.read() as tx:
        return records.rows_by_ids(tx, [ANN, BOB, EVE])


def write(world, kind, record_id, **values):
    """Somebody else changes a record in Salesforce."""
    world.org.control("/write", {"object": kind, "id": record_id, "values": values})
    minutes_pass(world)


def minutes_pass(world):
    """Salesforce tells of changes up to its last full minute."""
    world.org.control("/clock", {"advance": 120})
    world.wb.org.usage()  # any answer tells us the org's time


def actions(world):
    with world.wb.store.read() as tx:
        return list(tx.execute(sa.select(s.trail_event.c.action).order_by(s.trail_event.c.seq)).scalars())


def test_the_first_pull_reads_everything(both):
    ann, bob = both.person("ann@example.com", unsubscribed=False), both.person("bob@example.com")
    told = []
    result = both.wb.pull(progress=told.append)
    assert (result.kind, result.rows, result.changed, result.deleted, result.history) == ("full", 3, 3, 0, 1)
    assert (rows(both)[ANN].opted_out, rows(both)[BOB].email, rows(both)[EVE].object) == (True, "Bob@Example.com", "Lead")
    with both.wb.store.read() as tx:
        assert {p: [link.record_id for link in links] for p, links in records.linked(tx, [ann, bob]).items()} == {
            ann: [ANN],
            bob: [BOB],
        }
        assert [h.at for h in records.history_of(tx, [ANN])] == [OPTED_OUT]
        found = {(m.kind, m.person_id) for m in mismatches.list_(tx)}
        assert {("opted_out_only_in_salesforce", ann), ("unsubscribed_only_locally", bob)} <= found
        assert records.own_users(tx) == {both.wb.org.identity().user_id}
        assert records.last_snapshot(tx).counts == {"Lead": 2, "Contact": 1}
    assert (told[-1].done, told[-1].total, told[-1].sentence) == (3, 3, "3 records read.")
    assert "snapshot_pulled" in actions(both)


def test_later_pulls_read_what_changed(both):
    both.wb.pull()
    write(both, "Lead", EVE, HasOptedOutOfEmail=True)
    result = both.wb.pull()
    assert (result.kind, result.changed) == ("delta", 1)
    assert rows(both)[EVE].opted_out
    with both.wb.store.read() as tx:
        assert [h.new for h in records.history_of(tx, [EVE])] == [True]
    again = both.wb.pull()
    assert (again.kind, again.changed, again.deleted) == ("delta", 0, 0)


def test_many_changes_are_read_in_bulk(both, monkeypatch):
    monkeypatch.setattr("workbench.pull.MOST_BY_ID", 0)
    both.wb.pull()
    write(both, "Lead", EVE, HasOptedOutOfEmail=True)
    write(both, "Contact", BOB, HasOptedOutOfEmail=True)
    assert both.wb.pull().changed == 2
    assert rows(both)[EVE].opted_out
    with both.wb.store.read() as tx:
        assert {h.record_id for h in records.history_of(tx, [ANN, BOB, EVE])} == {ANN, BOB, EVE}


def test_a_deleted_record_is_deleted_here_and_keeps_its_opt_out(both):
    ann = both.person("ann@example.com", unsubscribed=False, salesforce_ids=(ANN,))
    both.wb.pull()
    both.org.control("/delete", {"object": "Lead", "id": ANN})
    minutes_pass(both)
    result = both.wb.pull()
    assert (result.deleted, rows(both)[ANN].is_deleted, rows(both)[ANN].opted_out) == (1, True, True)
    assert both.wb.pull().deleted == 0
    with both.wb.store.read() as tx:
        assert [c.person_id for c in mismatches.forecast(tx)] == [ann]


def test_a_record_that_only_a_full_pull_misses_has_vanished(both):
    both.wb.pull()
    ghost = salesforce_id_18(lead_id(77))
    with both.wb.store.write() as tx:
        row = tx.execute(sa.select(s.org_record).where(s.org_record.c.record_id == EVE)).mappings().one()
        tx.execute(sa.insert(s.org_record).values(dict(row) | {"record_id": ghost, "seen_at": LONG_AGO}))
    assert both.wb.pull().deleted == 0
    assert both.wb.pull(full=True).deleted == 1
    with both.wb.store.read() as tx:
        assert records.rows_by_ids(tx, [ghost])[ghost].is_deleted


def test_an_org_that_shows_nothing_any_more_is_not_believed(both, monkeypatch):
    both.wb.pull()
    org = both.wb.org
    monkeypatch.setattr(org, "pull", lambda kind, at: iter(()))  # a role without sight of any record; the rest stays real
    with pytest.raises(WorkbenchError, match=r"Salesforce showed no (Lead|Contact) at all"):
        both.wb.pull(full=True)
    assert not any(row.is_deleted for row in rows(both).values())


def test_a_pull_that_breaks_off_changes_no_decision_and_is_run_again(both):
    both.wb.pull()
    with both.wb.store.read() as tx:
        before = records.last_snapshot(tx)
    write(both, "Lead", EVE, HasOptedOutOfEmail=True)
    both.org.control("/faults", {"plan": [{"kind": "403_daily", "on": "* query", "times": 50}]})
    with pytest.raises(OrgQuotaError):
        both.wb.pull(full=True)
    with both.wb.store.read() as tx:
        assert records.last_snapshot(tx) == before
    both.org.control("/faults", {"clear": True})
    assert both.wb.pull().changed == 1


def test_after_a_long_time_everything_is_read(both):
    both.wb.pull()
    with both.wb.store.write() as tx:
        tx.execute(sa.update(s.snapshot).values(covered_until=OPTED_OUT))
    assert both.wb.pull().kind == "full"


@pytest.mark.parametrize(("days", "kind"), [(6, "delta"), (8, "full")])
def test_everything_is_read_again_from_time_to_time(both, days, kind):
    """By default weekly; what only deltas read since then does not count."""
    both.wb.pull()
    both.wb.pull()
    with both.wb.store.write() as tx:
        long_ago = both.wb.clock() - timedelta(days=days)
        tx.execute(sa.update(s.snapshot).where(s.snapshot.c.kind == "full").values(started_at=long_ago))
    assert both.wb.pull().kind == kind
    assert both.wb.pull().kind == "delta"


def test_an_opt_out_of_this_very_minute_is_seen(world) -> None:
    """getUpdated cuts off the current minute; somebody who opts out in it must not wait for another night."""
    made = world(org_line("Lead", lead_id(1), "anna@example.com", opted_out=False))
    made.person("anna@example.com", unsubscribed=False)
    made.wb.pull()
    made.org.control("/write", {"object": "Lead", "id": lead_id(1), "values": {"HasOptedOutOfEmail": True}, "user": "Sales"})
    assert made.wb.sync().unsubscribed == 1


def test_a_pull_begins_nothing_above_the_share_of_daily_calls(both):
    both.wb.pull()
    both.org.control("/limits", {"max": 1000, "used": 900})
    with pytest.raises(OrgQuotaError, match=r"^9\d\d of the org's 1000 API calls of 24 hours .* above 80% of them\.$") as stopped:
        both.wb.pull()
    assert "daily_share" in stopped.value.advice
    assert both.org.control("/state")["limits"]["used"] < 930


def test_the_sync_learns_of_opt_outs_whatever_is_left_of_the_calls(both):
    both.person("eve@example.com", unsubscribed=False)
    both.wb.pull()
    write(both, "Lead", lead_id(3), HasOptedOutOfEmail=True)
    both.org.control("/limits", {"max": 1000, "used": 900})
    assert both.wb.sync().unsubscribed == 1


def test_a_full_pull_stops_between_pages_when_the_share_is_used_meanwhile(both):
    both.wb.pull()
    with both.wb.store.read() as tx:
        before = records.last_snapshot(tx)
    used = {"max": 1000, "used": 900}
    with pytest.raises(OrgQuotaError):
        both.wb.pull(full=True, progress=lambda _: both.org.control("/limits", used) and both.wb.org.usage())
    with both.wb.store.read() as tx:
        assert records.last_snapshot(tx) == before
    both.org.control("/limits", {"used": 0})
    assert both.wb.pull(full=True).rows == 3


KILLED = """
import os, signal, sys
import workbench.salesforce.bulk as bulk, workbench.salesforce.org as org
from workbench.bench import Workbench
bulk.PAGE, org.MOST_BY_REST = 4, 3
def told(progress):
    if progress.done >= int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
Workbench.open(sys.argv[1]).pull(full=True, progress=told)
"""


def killed_pull(world, rows=8):
    """A full pull in pages of 4, in a process that is killed once it has stored so many rows."""
    done = subprocess.run([sys.executable, "-c", KILLED, str(world.folder), str(rows)], check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL


def indexes(world):
    """The indexes that the register has of the org's rows."""
    with world.wb.store.read() as tx:
        return {index["name"] for index in sa.inspect(tx).get_indexes("org_record")}


def pages_read(world):
    return [r["path"] for r in world.requests() if r["path"].endswith("/results")]


def test_a_pull_that_is_killed_again_and_again_reads_each_page_once(world, monkeypatch):
    """18 leads and 10 contacts make 5 and 3 pages; killed behind the 1st, 3rd, 5th and 7th, each is asked for once."""
    leads = [org_line("Lead", lead_id(n), f"p{n}@example.com", opted_out=False) for n in range(18)]
    contacts = [org_line("Contact", contact_id(n), f"q{n}@example.com", opted_out=False) for n in range(10)]
    made = world(*leads, *contacts)
    made.wb.close()
    for rows in (4, 12, 18, 26):
        killed_pull(made, rows)
    monkeypatch.setattr("workbench.salesforce.bulk.PAGE", 4)
    monkeypatch.setattr("workbench.salesforce.org.MOST_BY_REST", 3)
    with Workbench.open(made.folder) as wb:
        assert wb.pull(full=True).rows == 28
        with wb.store.read() as tx:
            assert len(records.rows_by_ids(tx, [salesforce_id_18(lead_id(n)) for n in range(18)])) == 18
            assert len(records.rows_by_ids(tx, [salesforce_id_18(contact_id(n)) for n in range(10)])) == 10
    read = [(r["path"], r["page"]) for r in made.requests() if r["path"].endswith("/results")]
    assert len(read) == len(set(read)) == 8
    assert len([r for r in made.requests() if r["path"].endswith("/jobs/query")]) == 2


@pytest.mark.parametrize("job_is_gone", [False, True])
def test_a_full_pull_that_is_killed_goes_on_behind_its_last_page(world, monkeypatch, job_is_gone):
    """18 leads in pages of 4: killed after two, the job's other three are read, and no job is made for the leads again."""
    made = world(*(org_line("Lead", lead_id(n), f"p{n}@example.com", opted_out=n == 1) for n in range(18)))
    made.wb.close()
    killed_pull(made)
    assert not indexes(made)  # a first filling does without them
    before = pages_read(made)
    assert len(before) == 2
    if job_is_gone:
        job = before[0].split("/")[-2]
        made.org.control(
            "/faults", {"plan": [{"kind": "error", "on": f"GET /jobs/query/{job}$", "status": 404, "code": "NOT_FOUND"}]}
        )
    monkeypatch.setattr("workbench.salesforce.bulk.PAGE", 4)
    monkeypatch.setattr("workbench.salesforce.org.MOST_BY_REST", 3)
    told = []
    with Workbench.open(made.folder) as wb:
        result = wb.pull(full=True, progress=told.append)
        with wb.store.read() as tx:
            found = records.rows_by_ids(tx, [salesforce_id_18(lead_id(n)) for n in range(18)])
            assert records.last_snapshot(tx).counts["Lead"] == result.rows
            assert bookmarks.find(tx) is None
    assert len(found) == 18
    assert indexes(made) == {index.name for index in s.org_record.indexes}
    assert not any(row.is_deleted for row in found.values())
    after = pages_read(made)[2:]
    if job_is_gone:
        assert len(after) == 5
        assert after[0] != before[0]
        assert result.rows == 18
    else:
        assert (result.rows, result.changed) == (18, 18)
        assert after == [before[0]] * 3
        assert (told[0].done, told[0].total, told[0].sentence) == (12, 18, "12 of 18 records read.")


def test_a_bookmark_of_other_fields_or_of_long_ago_is_not_gone_on_with(both):
    both.wb.pull()
    with both.wb.store.read() as tx:
        last = records.last_snapshot(tx)
    kept = UnderWay(snapshot_id=last.snapshot_id, org_id=last.org_id, fields=["HasOptedOutOfEmail"], began=OPTED_OUT.isoformat())
    kept.steps = ["Lead rows", "Contact rows"]
    with both.wb.store.write() as tx:
        bookmarks.keep(tx, kept)
    assert both.wb.pull(full=True).rows == 3
    kept.began, kept.fields = both.wb.clock().isoformat(), ["Another__c"]
    with both.wb.store.write() as tx:
        bookmarks.keep(tx, kept)
    assert both.wb.pull(full=True).rows == 3


@pytest.mark.parametrize(
    ("on", "code"),
    [
        ("GET /sobjects/Lead/updated", "EXCEEDED_ID_LIMIT"),
        ("GET /sobjects/Contact/deleted", "EXCEEDED_ID_LIMIT"),
        ("GET /sobjects/Lead/updated", "INVALID_REPLICATION_DATE"),
    ],
)
def test_more_changes_than_salesforce_tells_are_read_by_reading_everything(both, on, code):
    both.wb.pull()
    both.org.control("/faults", {"plan": [{"kind": "error", "on": on, "status": 400, "code": code, "message": "too many"}]})
    assert both.wb.pull().kind == "full"
    assert both.wb.pull().kind == "delta"


def test_deletions_that_salesforce_has_purged_are_found_by_reading_everything(both, monkeypatch):
    """Salesforce says how far back it remembers deletions; a window that begins before it is no whole one."""
    both.wb.pull()
    both.org.control("/clock", {"advance": 20 * 86_400})
    monkeypatch.setattr("workbench.pull.LONGEST_GAP", timedelta(days=60))
    assert both.wb.pull().kind == "full"
    both.org.control("/clock", {"advance": 40 * 86_400})
    assert both.wb.pull().kind == "full"


def test_each_reading_of_changes_reaches_back_behind_the_last_one(both, monkeypatch):
    both.wb.pull()
    with both.wb.store.read() as tx:
        covered = records.last_snapshot(tx).covered_until
    asked, changes = [], both.wb.org.changes
    monkeypatch.setattr(both.wb.org, "changes", lambda kind, *, since: asked.append(since) or changes(kind, since=since))
    both.wb.pull()
    assert asked == [covered - OVERLAP] * 2
