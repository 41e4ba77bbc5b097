"""Person accounts: read as their contact, written through their account, known by either id; over real HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import requests
from conftest import LONG_AGO, OPTED_OUT, World

from workbench.org import ConditionalClear
from workbench.salesforce import check_org
from workbench.salesforce.person_accounts import account_field
from workbench.store import people, records


def person_account(w: World, address: str, *, opted_out: bool = True) -> tuple[str, str]:
    """A person account, opted out long ago by Marketing; (account id, contact id)."""
    values = {"LastName": "Person", "PersonEmail": address}
    account = str(w.org.control("/write", {"object": "Account", "values": values, "at": LONG_AGO.isoformat()})["id"])
    if opted_out:
        opt_out(w, account)
    (row,) = w.wb.org.read(record_ids=[account], addresses=[], history=False).rows
    return account, row.record_id


def opt_out(w: World, account: str, *, at: Any = OPTED_OUT, value: bool = True) -> None:
    order = {"object": "Account", "id": account, "values": {"PersonHasOptedOutOfEmail": value}, "user": "Marketing"}
    w.org.control("/write", order | ({"at": at.isoformat()} if at else {}))


def account_flag(w: World, account: str) -> bool:
    """What the account itself says, as any client reads it."""
    headers = {"Authorization": f"Bearer {w.org.control('/tokens', {})['access_token']}"}
    answer = requests.get(f"{w.org.url}/services/data/v64.0/sobjects/Account/{account}", headers=headers, timeout=30)
    return bool(answer.json()["PersonHasOptedOutOfEmail"])


def linked(w: World, person_id: str) -> dict[str, str]:
    with w.wb.store.read() as tx:
        return {link.record_id: link.how for link in records.linked(tx, [person_id]).get(person_id, ())}


def people_file(folder: Path, *rows: str) -> Path:
    file = folder / "people.csv"
    file.write_text("\n".join(["Person ID,Email,Salesforce ID,Unsubscribed", *rows]), encoding="utf-8")
    return file


def test_names_of_the_fields_on_the_account() -> None:
    assert account_field("HasOptedOutOfEmail") == "PersonHasOptedOutOfEmail"
    assert account_field("Sales_Opt_Out__c") == "Sales_Opt_Out__pc"


def test_it_is_read_by_either_id_and_by_address_as_one_contact_with_its_history(world) -> None:
    w = world()
    account, contact = person_account(w, "pa@example.com")
    for ids, addresses in (([account], []), ([account[:15]], []), ([contact], []), ([], ["PA@example.com"])):
        reading = w.wb.org.read(record_ids=ids, addresses=addresses, history=True)
        (row,) = reading.rows
        assert (row.object, row.record_id, row.person_account, row.opted_out) == ("Contact", contact, account, True)
        assert (row.ids, row.written_object) == ((contact, account), "Account")
        assert [(c.record_id, c.field, c.new) for c in reading.history] == [(contact, "HasOptedOutOfEmail", True)]
        assert reading.missing == frozenset()


def test_the_account_of_a_company_is_nobody(world) -> None:
    w = world()
    company = str(w.org.control("/write", {"object": "Account", "values": {"Name": "Example Ltd"}})["id"])
    w.org.control(
        "/write", {"object": "Contact", "values": {"LastName": "Employee", "Email": "e@example.com", "AccountId": company}}
    )
    reading = w.wb.org.read(record_ids=[company], addresses=[], history=True)
    assert (reading.rows, reading.missing) == ((), {company})
    someone = w.person("somebody@example.com", salesforce_ids=(company,))
    w.wb.pull(full=True)
    assert linked(w, someone) == {}
    assert list(w.wb.mismatches(kind="link_broken").detail) == [f"Salesforce does not know the record {company}."]


def test_an_account_s_id_links_to_the_contact_even_without_the_address_and_after_deletion(world) -> None:
    w = world()
    account, contact = person_account(w, "pa@example.com")
    by_account = w.person("other@example.com", salesforce_ids=(account,), unsubscribed=False)
    w.wb.pull(full=True)
    assert linked(w, by_account) == {contact: "id"}
    assert "opted_out_only_in_salesforce" in set(w.wb.mismatches().kind)
    w.org.control("/delete", {"object": "Contact", "id": contact})
    w.wb.pull(full=True)
    assert linked(w, by_account) == {contact: "id"}
    assert f"Contact {contact} is deleted." in list(w.wb.mismatches(kind="link_broken").detail)
    assert w.wb.sync().unsubscribed == 1


def test_a_merged_person_account_leads_to_what_it_became(world) -> None:
    w = world()
    loser, loser_contact = person_account(w, "one@example.com")
    _, winner_contact = person_account(w, "two@example.com", opted_out=False)
    someone = w.person("three@example.com", salesforce_ids=(loser,), unsubscribed=False)
    w.org.control("/merge", {"object": "Contact", "master": winner_contact, "loser": loser_contact})
    w.wb.pull(full=True)
    assert linked(w, someone) == {loser_contact: "id", winner_contact: "id"}


def test_the_sync_opts_a_person_account_out_through_its_account(world) -> None:
    w = world()
    account, contact = person_account(w, "pa@example.com", opted_out=False)
    w.person("another@example.com", salesforce_ids=(account,))
    w.wb.pull(full=True)
    done = w.wb.sync()
    assert (done.opted_out, done.failed) == (1, ())
    assert w.flags(contact) == {contact: True}
    assert account_flag(w, account)


def test_the_sync_unsubscribes_who_opted_out_on_a_person_account(world) -> None:
    w = world()
    account, contact = person_account(w, "pa@example.com", opted_out=False)
    someone = w.person("pa@example.com", salesforce_ids=(account,), unsubscribed=False)
    w.wb.pull(full=True)
    opt_out(w, account, at=None)
    assert w.wb.sync().unsubscribed == 1
    with w.wb.store.read() as tx:
        (episode,) = people.unsubscribes(tx, [someone])[someone]
    assert episode.source == "salesforce_sync"
    assert episode.detail.startswith(f"Contact {contact} was opted out in Salesforce by user 005")


def test_a_batch_clears_a_person_account_and_undo_opts_it_out_again(world) -> None:
    w = world()
    account, contact = person_account(w, "pa@example.com")
    someone = w.person("pa@example.com", salesforce_ids=(account,))
    w.consent(someone)
    w.wb.pull(full=True)
    plan = w.wb.propose([someone], reason="asked_in_writing")
    assert plan.blockers == ()
    w.wb.approve(plan.batch.batch_id, plan.digest)
    outcome = w.wb.run(plan.batch.batch_id)
    assert (outcome.state, outcome.done) == ("finished", 1)
    assert (w.flags(contact), account_flag(w, account)) == ({contact: False}, False)
    written = [write for r in w.requests() for write in r.get("writes", ())]
    assert [(x["object"], x["id"], x["fields"]) for x in written] == [("Account", account, ["PersonHasOptedOutOfEmail"])]
    assert all(x["condition"] for x in written)
    assert w.wb.undo(plan.batch.batch_id).undone == 1
    assert (w.flags(contact), account_flag(w, account)) == ({contact: True}, True)


def test_an_opt_out_between_reading_and_clearing_a_person_account_wins(world) -> None:
    w = world()
    account, contact = person_account(w, "pa@example.com")
    row = w.wb.org.read(record_ids=[contact], addresses=[], history=False).rows[0]
    opt_out(w, account, at=None, value=False)
    opt_out(w, account, at=None)
    stale = ConditionalClear(
        record_id=contact, object="Contact", fields=("HasOptedOutOfEmail",), unmodified_since=row.system_modstamp
    )
    assert [a.outcome for a in w.wb.org.clear([stale])] == ["conflict"]
    assert account_flag(w, account)


def test_a_contact_that_was_never_read_is_written_through_its_account(world) -> None:
    w = world()
    account, contact = person_account(w, "pa@example.com", opted_out=False)
    own = str(w.org.control("/write", {"object": "Contact", "values": {"LastName": "Own", "Email": "own@example.com"}})["id"])
    w.wb.org.close()
    del w.wb.org  # another process
    answers = w.wb.org.opt_out([("Contact", contact[:15]), ("Contact", own)])
    assert {a.record_id: a.outcome for a in answers} == {contact: "done", own: "done"}
    assert account_flag(w, account)


def test_ordinary_contacts_are_opted_out_even_where_person_accounts_cannot_be_told_apart(world) -> None:
    w = world()
    _, contact = person_account(w, "pa@example.com", opted_out=False)
    own = str(w.org.control("/write", {"object": "Contact", "values": {"LastName": "Own", "Email": "own@example.com"}})["id"])
    w.wb.org.close()
    del w.wb.org
    w.org.control("/permissions", {"object": "Contact", "field": "IsPersonAccount", "readable": False})
    answers = w.wb.org.opt_out([("Contact", contact), ("Contact", own)])
    assert {a.record_id: a.outcome for a in answers} == {contact: "refused", own: "done"}


@pytest.mark.parametrize("stored", ["account", "contact"])
def test_a_file_finds_the_person_by_either_id(world, stored: str) -> None:
    w = world()
    account, contact = person_account(w, "pa@example.com", opted_out=False)
    kept, named = (account, contact) if stored == "account" else (contact, account)
    someone = w.person("pa@example.com", salesforce_ids=(kept,), unsubscribed=False)
    w.wb.pull(full=True)
    result = w.wb.import_people(people_file(w.folder, f",new.address@example.com,{named},yes"))
    assert (result.imported, result.updated, result.unsubscribed, result.rejected) == (0, 1, 1, 0)
    with w.wb.store.read() as tx:
        assert set(people.by_ids(tx, [someone])[someone].salesforce_ids) == {account, contact}
    assert w.wb.sync().opted_out == 1
    assert account_flag(w, account)


def test_an_unsubscribe_of_an_account_s_id_reaches_the_person_with_the_contact_s_id(world) -> None:
    w = world()
    account, contact = person_account(w, "pa@example.com", opted_out=False)
    w.person("pa@example.com", salesforce_ids=(contact,), unsubscribed=False)
    w.wb.pull(full=True)
    file = w.folder / "unsubscribes.csv"
    file.write_text(f"Person,Date\n{account},2026-10-01T09:00:00Z\n", encoding="utf-8")
    result = w.wb.import_unsubscribes(file)
    assert (result.unsubscribed, result.rejected) == (1, 0)


def test_an_import_before_the_first_pull_is_linked_by_the_pull(world) -> None:
    w = world()
    account, contact = person_account(w, "pa@example.com", opted_out=False)
    w.wb.import_people(people_file(w.folder, f"7,other@example.com,{account[:15]},yes"))
    w.wb.pull(full=True)
    (someone,) = w.wb.people().person_id
    assert linked(w, someone) == {contact: "id"}
    assert w.wb.sync().opted_out == 1
    assert account_flag(w, account)


def test_a_field_that_is_read_only_on_the_account_refuses_person_accounts_only(world) -> None:
    w = world()
    account, _ = person_account(w, "pa@example.com")
    contact = str(w.org.control("/write", {
        "object": "Contact", "at": OPTED_OUT.isoformat(),
        "values": {"LastName": "Own", "Email": "own@example.com", "HasOptedOutOfEmail": True},
    })["id"])  # fmt: skip
    both = [w.person("pa@example.com", salesforce_ids=(account,)), w.person("own@example.com", salesforce_ids=(contact,))]
    for someone in both:
        w.consent(someone)
    w.wb.pull(full=True)
    w.org.control("/permissions", {"object": "Account", "field": "PersonHasOptedOutOfEmail", "updateable": False})
    plan = w.wb.propose(both, reason="asked_in_writing")
    rows = {row.person_id: row for row in plan.table.itertuples()}
    assert "may not edit Account.PersonHasOptedOutOfEmail" in str(rows[both[0]])
    assert "may not edit" not in str(rows[both[1]])
    sentences = [line.sentence for line in check_org(w.wb.org)]
    assert any(s.startswith("Account.PersonHasOptedOutOfEmail can be read but not written") for s in sentences)


def test_a_person_account_that_opts_out_while_its_batch_runs_stays_opted_out_on_both_sides(world) -> None:
    w = world()
    account, contact = person_account(w, "pa@example.com")
    someone = w.person("pa@example.com", salesforce_ids=(account,))
    w.consent(someone)
    w.wb.pull(full=True)
    plan = w.wb.propose([someone], reason="asked_in_writing")
    w.wb.approve(plan.batch.batch_id, plan.digest)
    again = {"object": "Account", "id": account, "values": {"PersonHasOptedOutOfEmail": True}, "user": "Marketing"}
    w.org.control("/hooks", {"before": "POST /composite$", "contains": "If-Unmodified-Since", "do": [{"write": again}]})
    outcome = w.wb.run(plan.batch.batch_id)
    assert (outcome.done, outcome.aborted) == (0, 1)
    assert (w.flags(contact), account_flag(w, account)) == ({contact: True}, True)
    with w.wb.store.read() as tx:
        assert any(episode.closed_at is None for episode in people.unsubscribes(tx, [someone])[someone])
