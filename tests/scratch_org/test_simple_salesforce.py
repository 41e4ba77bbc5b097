"""The real simple-salesforce in front of the org: every call that the workbench makes, and those that its neighbours make."""

import csv
import io

import pytest
from simple_salesforce.exceptions import SalesforceMalformedRequest, SalesforceResourceNotFound

CREATED = {"LastName": "Näkki", "Company": "Round Trip", "Email": "nakki@example.com"}


@pytest.fixture
def made(client):
    found = client.Lead.create(CREATED)
    assert found == {"id": found["id"], "success": True, "errors": []}
    yield found["id"]
    client.restful(f"sobjects/Lead/{found['id']}", method="PATCH", json={"Title": "Done"})
    assert client.Lead.delete(found["id"]) == 204


def test_what_it_asks_about_the_org(client):
    assert client.is_sandbox() is True
    assert {"Lead", "Contact"} <= {o["name"] for o in client.describe()["sobjects"]}
    assert client.limits()["DailyApiRequests"]["Remaining"] > 0
    assert client.Lead.metadata()["objectDescribe"]["keyPrefix"] == "00Q"
    assert "fields" in client.Lead.describe()


def test_rows_by_id_in_both_lengths_and_by_field(client, made):
    assert client.Lead.get(made[:15])["LastName"] == "Näkki"
    assert client.Lead.get_by_custom_id("Id", made)["Email"] == CREATED["Email"]
    assert client.Lead.upsert(f"Id/{made}", {"Title": "Lady of the lake"}) == 200
    assert client.Lead.update(made, {"Title": "Lord"}) == 204
    assert client.Lead.get(made)["Title"] == "Lord"
    with pytest.raises(SalesforceResourceNotFound):
        client.Lead.get("00QSCR0zzzzzzzz")
    with pytest.raises(SalesforceMalformedRequest) as caught:
        client.Lead.update(made, {"Nope": 1})
    assert caught.value.content[0]["errorCode"] == "INVALID_FIELD"


def test_queries_row_by_row(client, made):
    soql = "SELECT Id, Owner.Name FROM Lead WHERE Company = 'Round Trip'"
    assert [r["Owner"]["Name"] for r in client.query_all_iter(soql)] == ["Workbench Integration"]
    assert client.query(soql)["records"] == client.query_all(soql)["records"]


def test_what_goes_through_restful(client, made):
    url = f"/services/data/v{client.sf_version}/sobjects/Lead/{made}"
    read = {"method": "GET", "url": url, "referenceId": "read"}
    clear = {"method": "PATCH", "url": url, "referenceId": "clear", "body": {"HasOptedOutOfEmail": False}}
    clear["httpHeaders"] = {"If-Unmodified-Since": "Mon, 02 Nov 2026 12:00:00 GMT"}
    found = client.restful("composite", method="POST", json={"allOrNone": False, "compositeRequest": [read, clear]})
    assert [(p["referenceId"], p["httpStatusCode"]) for p in found["compositeResponse"]] == [("read", 200), ("clear", 204)]
    rows = client.restful("composite/sobjects/Lead", method="POST", json={"ids": [made], "fields": ["Email"]})
    assert [r["Email"] for r in rows] == [CREATED["Email"]]
    record = {"attributes": {"type": "Lead"}, "id": made, "HasOptedOutOfEmail": True}
    assert client.restful("composite/sobjects", method="PATCH", json={"records": [record]})[0]["success"]
    consent = client.restful("consent/action/email", params={"ids": CREATED["Email"]})
    assert consent[CREATED["Email"]]["proceed"]["email"] == "false"
    assert client.restful(f"sobjects/Lead/{made}", method="PATCH", json={"Title": None}) is None


def test_bulk_ingest_in_all_operations(client):
    lead = client.bulk2.Lead
    (inserted,) = lead.insert(records=[{"LastName": f"Bulk {n}", "Company": "By bulk"} for n in range(3)], wait=0.01)
    rows = list(csv.DictReader(io.StringIO(lead.get_successful_records(inserted["job_id"]))))
    ids = [r["sf__Id"] for r in rows]
    (updated,) = lead.update(records=[{"Id": i, "HasOptedOutOfEmail": "true"} for i in ids], wait=0.01)
    upserts = [{"Id": ids[0], "LastName": "Known", "Company": "By bulk"}, {"Id": "", "LastName": "New", "Company": "By bulk"}]
    (upserted,) = lead.upsert(records=upserts, external_id_field="Id", wait=0.01)
    (deleted,) = lead.delete(records=[{"Id": i} for i in ids], wait=0.01)
    counts = [(j["numberRecordsProcessed"], j["numberRecordsFailed"]) for j in (inserted, updated, upserted, deleted)]
    assert counts == [(3, 0), (3, 0), (2, 0), (3, 0)]
    left = client.query("SELECT LastName FROM Lead WHERE Company = 'By bulk'")["records"]
    assert [r["LastName"] for r in left] == ["New"]
    assert set(lead.get_all_ingest_records(upserted["job_id"])) == {"successfulRecords", "failedRecords", "unprocessedRecords"}


def test_bulk_queries_streamed_whole_and_to_files(client, tmp_path):
    lead = client.bulk2.Lead
    soql = "SELECT Id, Email FROM Lead WHERE Company = 'Oulu Paper'"
    assert [len(p.splitlines()) for p in lead.query(soql, wait=0.01)] == [5]
    assert [len(p.splitlines()) for p in lead.query_all(soql, wait=0.01)] == [6], "the deleted one too"
    files = lead.download(soql, path=str(tmp_path), max_records=3, wait=0.01)
    assert [f["number_of_records"] for f in files] == [3, 1]
