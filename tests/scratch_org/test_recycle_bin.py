"""What becomes of deleted and merged records: the recycle bin, back out of it, gone for good."""

import pytest

from workbench.scratch_org import ScratchOrgError


def seen(api, record_id, kind="Lead"):
    """What a row's path, a query and queryAll say of a record."""
    soql = f"SELECT Id FROM {kind} WHERE Id = '{record_id}'"
    counts = [api("GET", path, params={"q": soql}).json()["totalSize"] for path in ("query", "queryAll")]
    reply = api("GET", f"sobjects/{kind}/{record_id}")
    return reply.json()[0]["errorCode"] if reply.status_code == 404 else reply.status_code, *counts


def test_deleted_then_restored_then_purged(org, api, lead):
    record_id = lead(HasOptedOutOfEmail=True)
    api("PATCH", f"sobjects/Lead/{record_id}", json={"HasOptedOutOfEmail": False})
    order = {"object": "Lead", "id": record_id}
    assert seen(api, record_id) == (200, 1, 1)
    org.control("/delete", order)
    assert seen(api, record_id) == ("ENTITY_IS_DELETED", 0, 1)
    org.control("/clock", {"advance": 5})
    org.control("/undelete", order)
    org.control("/clock", {"advance": -5})
    assert seen(api, record_id) == (200, 1, 1)
    row = api("GET", f"sobjects/Lead/{record_id}").json()
    assert (row["IsDeleted"], row["SystemModstamp"]) == (False, "2026-11-02T12:00:05.000+0000")
    api("DELETE", f"sobjects/Lead/{record_id}")
    org.control("/purge", order)
    assert seen(api, record_id) == ("NOT_FOUND", 0, 0)
    assert api("PATCH", f"sobjects/Lead/{record_id}", json={"Title": "x"}).json()[0]["errorCode"] == "NOT_FOUND"
    history = api("GET", "queryAll", params={"q": f"SELECT Id FROM LeadHistory WHERE LeadId = '{record_id}'"}).json()
    assert history["totalSize"] == 0
    for path in ("/undelete", "/purge"):
        with pytest.raises(ScratchOrgError, match="recycle bin"):
            org.control(path, order)


def test_a_merged_record_that_was_purged_leaves_no_trace(org, api, lead):
    master, loser = lead(), lead(HasOptedOutOfEmail=True)
    org.control("/merge", {"object": "Lead", "master": master, "loser": loser})
    assert seen(api, loser) == ("ENTITY_IS_DELETED", 0, 1)
    org.control("/purge", {"object": "Lead", "id": loser})
    assert api("GET", "queryAll", params={"q": f"SELECT Id FROM Lead WHERE MasterRecordId = '{master}'"}).json()["totalSize"] == 0
    assert seen(api, master) == (200, 1, 1)


def test_an_account_takes_its_contacts_with_it(api):
    person = api("POST", "sobjects/Account", json={"LastName": "Ito", "PersonEmail": "ito@example.com"}).json()["id"]
    hidden = api("GET", f"sobjects/Account/{person}").json()["PersonContactId"]
    business = api("POST", "sobjects/Account", json={"Name": "Porto Foods"}).json()["id"]
    contact = api("POST", "sobjects/Contact", json={"LastName": "Vogel", "AccountId": business}).json()["id"]
    for account, below in ((person, hidden), (business, contact)):
        assert api("DELETE", f"sobjects/Account/{account}").status_code == 204
        assert seen(api, below, "Contact") == ("ENTITY_IS_DELETED", 0, 1)


def test_merged_accounts_share_their_contacts(org, api):
    master, loser = (
        api("POST", "sobjects/Account", json={"Name": n}).json()["id"] for n in ("Kaunas Optics", "Kaunas Optics Ltd")
    )
    contact = api("POST", "sobjects/Contact", json={"LastName": "Lange", "AccountId": loser}).json()["id"]
    org.control("/merge", {"object": "Account", "master": master, "loser": loser})
    assert api("GET", f"sobjects/Contact/{contact}").json()["AccountId"] == master
    assert seen(api, loser, "Account") == ("ENTITY_IS_DELETED", 0, 1)
