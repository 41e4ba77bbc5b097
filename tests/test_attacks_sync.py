"""Ways in which the nightly sync once lost an opt-out, or took it for an older one: each stays closed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from conftest import World, lead_id, org_line
from test_worker import REASON, ran

from workbench.person import salesforce_id_18 as full
from workbench.resubscription import State
from workbench.store import batches, people


def opt_out(w: World, record: str) -> None:
    w.org.control("/write", {"object": "Lead", "id": record, "values": {"HasOptedOutOfEmail": True}, "user": "Preference Centre"})


def later(w: World) -> None:
    w.org.control("/clock", {"advance": 600})


def test_an_opt_out_counts_although_its_record_was_deleted_before_the_next_sync(world) -> None:
    w = world(org_line("Lead", lead_id(1), "anna@example.com", opted_out=False))
    w.person("anna@example.com", unsubscribed=False)
    w.wb.sync()  # linked by address
    opt_out(w, lead_id(1))
    later(w)
    w.org.control("/delete", {"object": "Lead", "id": lead_id(1)})
    assert w.wb.sync().unsubscribed == 1
    assert w.wb.sync().unsubscribed == 0


@pytest.mark.parametrize("how", ["untracked", "day"])
def test_a_new_opt_out_of_a_record_deleted_since_is_not_taken_for_an_outdated_one(world, how) -> None:
    w = world(org_line("Lead", lead_id(1), "anna@example.com", opted_out=True))
    p = w.person("anna@example.com", salesforce_ids=[full(lead_id(1))])
    now = datetime.now(UTC)
    end_of_day = now.replace(hour=23, minute=59, second=59)
    confirmed = max(now - timedelta(minutes=10), now.replace(hour=0, minute=0, second=0, microsecond=0))  # on that day
    day = {"given_at": end_of_day, "given_at_precision": "day", "double_opt_in_at": confirmed}
    w.consent(p, **(day if how == "day" else {}))
    assert ran(w, p).done == 1
    w.org.control("/history", {"tracking": how != "untracked"})
    later(w)
    opt_out(w, lead_id(1))
    w.org.control("/delete", {"object": "Lead", "id": lead_id(1)})
    assert w.wb.sync().unsubscribed == 1


def test_an_opt_out_without_history_is_not_dated_back_to_the_one_we_cleared(world) -> None:
    w = world(org_line("Lead", lead_id(1), "anna@example.com", opted_out=True))
    p = w.person("anna@example.com")
    w.consent(p)
    assert ran(w, p).done == 1
    w.org.control("/history", {"tracking": False})
    later(w)
    opt_out(w, lead_id(1))
    w.wb.sync()
    w.org.control("/write", {"object": "Lead", "id": lead_id(1), "values": {"HasOptedOutOfEmail": False}, "user": "Sales"})
    with w.wb.store.read() as tx:
        (episode,) = [e for e in people.unsubscribes(tx, [p])[p] if e.closed_at is None]
    assert episode.opted_out_at > datetime.now(UTC)  # by the org's clock, which is ahead
    plan = w.wb.propose([p], reason=REASON)
    with w.wb.store.read() as tx:
        assert [i.state for i in batches.intents(tx, plan.id)] == [State.REFUSED]


@pytest.mark.parametrize("look", ["pull", "full", "follow_up"])
def test_an_opt_out_whose_transaction_began_before_ours_and_was_committed_after_it(world, look) -> None:
    w = world(org_line("Lead", lead_id(1), "anna@example.com", opted_out=True))
    p = w.person("anna@example.com")
    w.consent(p)
    assert ran(w, p).done == 1
    began = (datetime.now(UTC) - timedelta(seconds=45)).isoformat()
    opted_out = {"HasOptedOutOfEmail": True}
    w.org.control("/write", {"object": "Lead", "id": lead_id(1), "values": opted_out, "user": "Preference Centre", "at": began})
    look_at = {"pull": w.wb.pull, "full": lambda: w.wb.pull(full=True), "follow_up": w.wb.follow_up}
    look_at[look]()
    assert w.wb.sync().unsubscribed == 1


def test_the_follow_up_tells_of_an_opt_out_that_began_before_our_change_and_was_committed_after_it(world) -> None:
    w = world(org_line("Lead", lead_id(1), "anna@example.com", opted_out=True))
    p = w.person("anna@example.com")
    w.consent(p)
    assert ran(w, p).done == 1
    values = {"HasOptedOutOfEmail": True, "Title": "Director"}
    w.org.control("/clock", {"advance": -45})  # as if it had begun before ours and taken the record only now
    begun = w.org.control("/begin", {"object": "Lead", "id": lead_id(1), "values": values, "user": "Preference Centre"})
    w.org.control("/clock", {"advance": 45})
    assert list(w.wb.follow_up()["outcome"]) == ["held"]
    w.org.control("/commit", begun)
    (found,) = w.wb.follow_up().to_dict("records")
    assert (found["outcome"], found["cause"]) == ("relapsed", "new_request")


def test_a_page_read_before_our_change_and_stored_after_it_is_no_opt_out(world) -> None:
    w = world(org_line("Lead", lead_id(1), "anna@example.com", opted_out=True))
    p = w.person("anna@example.com")
    w.consent(p)
    org = w.wb.org
    pages = org.pull

    def pull(kind, **more):
        for page in pages(kind, **more):
            assert kind != "Lead" or ran(w, p).done == 1
            yield page

    org.pull = pull  # the real pages, one of them held back while a batch runs
    w.wb.pull(full=True)
    org.pull = pages
    assert w.wb.sync(dry_run=True).unsubscribed == 0
