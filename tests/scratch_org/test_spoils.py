"""Faults that spoil bulk jobs, pages and the clock, and faults by chance: over real HTTP."""

import csv
import io
from email.utils import parsedate_to_datetime

import pytest
import requests

from workbench.scratch_org import ScratchOrgError

NOW = "Mon, 02 Nov 2026 12:00:00 GMT"


def plan(org, *faults):
    org.control("/faults", {"plan": list(faults)})


@pytest.fixture
def job(api):
    """The path of a finished query job with four rows."""
    made = api("POST", "jobs/query", json={"operation": "query", "query": "SELECT Id, LastName FROM Lead"}).json()
    path = f"jobs/query/{made['id']}"
    assert [api("GET", path).json()["state"] for _ in range(2)] == ["InProgress", "JobComplete"]
    return path


def page(api, job, locator=None):
    params = {"maxRecords": "2"} | ({"locator": locator} if locator else {})
    return api("GET", f"{job}/results", params=params)


def test_a_cut_page_still_claims_all_its_records(org, api, job):
    plan(org, {"on": "GET /results$", "kind": "truncated_csv", "keep": 0.7})
    cut, whole = page(api, job), page(api, job)
    assert cut.headers["Sforce-NumberOfRecords"] == whole.headers["Sforce-NumberOfRecords"] == "2"
    assert cut.headers["Sforce-Locator"] == whole.headers["Sforce-Locator"]
    assert whole.content.startswith(cut.content)
    assert not cut.text.endswith("\n")


def test_half_of_the_json_comes_with_the_status_of_the_whole(org, api, lead):
    plan(org, {"on": "GET /sobjects/Lead/", "kind": "broken_json"})
    path = f"sobjects/Lead/{lead()}"
    half, whole = api("GET", path), api("GET", path)
    assert (half.status_code, half.headers["Content-Type"]) == (200, whole.headers["Content-Type"])
    assert whole.text.startswith(half.text)
    assert 0 < len(half.text) < len(whole.text)


def test_an_answer_of_another_form(org, api, job, lead):
    plan(org, {"on": "GET /sobjects/Lead/", "kind": "wrong_shape"}, {"on": "GET /results$", "kind": "wrong_shape"})
    assert api("GET", f"sobjects/Lead/{lead()}").json() == {"unexpected": True}
    odd, sound = (list(csv.reader(io.StringIO(page(api, job).text))) for _ in range(2))
    assert (odd[0], odd[1:]) == (["Unexpected", *sound[0][1:]], sound[1:])


def test_a_page_that_names_itself_comes_twice(org, api, job):
    plan(org, {"on": "GET /results$", "kind": "duplicate_page", "nth": 2})
    first = page(api, job)
    second = page(api, job, first.headers["Sforce-Locator"])
    again = page(api, job, second.headers["Sforce-Locator"])
    assert again.content == second.content != first.content
    assert again.headers["Sforce-Locator"] != second.headers["Sforce-Locator"]


def test_a_query_page_that_names_itself(org, api, lead):
    records = [{"attributes": {"type": "Contact"}, "LastName": f"Twice {n}"} for n in range(200)]
    for _ in range(2):
        api("POST", "composite/sobjects", json={"records": records})
    params = {"q": "SELECT Id FROM Contact WHERE LastName LIKE 'Twice%'"}
    first = api("GET", "query", params=params, headers={"Sforce-Query-Options": "batchSize=200"}).json()
    plan(org, {"on": "GET /query/01g", "kind": "duplicate_page"}, {"on": "GET /query/01g", "nth": 3, "kind": "locator_expiry"})
    second, third = api("GET", first["nextRecordsUrl"]).json(), api("GET", first["nextRecordsUrl"]).json()
    assert (second["nextRecordsUrl"], second["done"]) == (first["nextRecordsUrl"], False)
    assert (third["records"], third["done"]) == (second["records"], True)
    for _ in range(2):
        reply = api("GET", first["nextRecordsUrl"])
        assert (reply.status_code, reply.json()[0]["errorCode"]) == (400, "INVALID_QUERY_LOCATOR")


def test_an_expired_bulk_locator_stays_expired(org, api, job):
    locator = page(api, job).headers["Sforce-Locator"]
    plan(org, {"on": "GET /results$", "kind": "locator_expiry"})
    for _ in range(2):
        reply = page(api, job, locator)
        assert (reply.status_code, reply.json()[0]["errorCode"]) == (400, "INVALID_QUERY_LOCATOR")


def test_a_query_job_fails_half_way(org, api):
    plan(org, {"on": "POST /jobs/query$", "kind": "job_failed"})
    made = api("POST", "jobs/query", json={"operation": "query", "query": "SELECT Id FROM Lead WHERE Company = 'Oulu Paper'"})
    path = f"jobs/query/{made.json()['id']}"
    ended = [api("GET", path).json() for _ in range(2)][-1]
    assert (ended["state"], ended["numberRecordsProcessed"]) == ("Failed", 2)
    assert ended["errorMessage"]
    assert page(api, path).status_code == 400


@pytest.mark.parametrize(("rows", "done"), [({}, 2), ({"rows": 1}, 1)])
def test_an_ingest_job_fails_half_way_and_keeps_what_it_wrote(org, api, lead, rows, done):
    ids = [lead() for _ in range(4)]
    path = f"jobs/ingest/{api('POST', 'jobs/ingest', json={'operation': 'update', 'object': 'Lead'}).json()['id']}"
    text = "\n".join(["Id,HasOptedOutOfEmail", *(f"{i},true" for i in ids), ""])
    api("PUT", f"{path}/batches", data=text, headers={"Content-Type": "text/csv"})
    plan(org, {"on": "PATCH /jobs/ingest/", "kind": "job_failed", **rows})
    api("PATCH", path, json={"state": "UploadComplete"})
    ended = [api("GET", path).json() for _ in range(2)][-1]
    assert (ended["state"], ended["numberRecordsProcessed"]) == ("Failed", done)
    left = list(csv.DictReader(io.StringIO(api("GET", f"{path}/unprocessedrecords").text)))
    assert [r["Id"] for r in left] == ids[done:]
    states = [api("GET", f"sobjects/Lead/{i}").json()["HasOptedOutOfEmail"] for i in ids]
    assert states == [True] * done + [False] * (4 - done)


def test_the_clock_of_one_reply_is_wrong(org, api):
    plan(org, {"on": "GET /limits", "kind": "clock_skew", "seconds": -90})
    wrong, right = (parsedate_to_datetime(api("GET", "limits").headers["Date"]) for _ in range(2))
    assert (right - wrong).total_seconds() == 90
    assert right == parsedate_to_datetime(NOW)


class TestLottery:
    def statuses(self, org, api, **order):
        org.control("/faults", {"clear": True, **order})
        found = [api("GET", "limits").status_code for _ in range(60)]
        (state,) = org.control("/state")["lotteries"]
        org.control("/faults", {"clear": True})
        assert state["drawn"] == sum(s != 200 for s in found)
        return found

    def test_the_same_seed_hits_the_same_requests(self, org, api):
        order = {"rate": 0.3, "kinds": ["503", "403_daily", "html"], "options": {"html": {"status": 502}}}
        first = self.statuses(org, api, seed=1, **order)
        assert first == self.statuses(org, api, seed=1, **order)
        assert first != self.statuses(org, api, seed=2, **order)
        assert set(first) == {200, 403, 502, 503}
        assert 5 < sum(s != 200 for s in first) < 35

    def test_only_where_it_is_meant(self, org, api):
        plan(
            org,
            {"seed": 1, "rate": 1, "kinds": ["reset_before"], "on": "PATCH .", "times": 1},
            {"on": "GET /limits", "kind": "503"},
        )
        assert [api("GET", "limits").status_code for _ in range(2)] == [503, 200]
        with pytest.raises(requests.ConnectionError):
            api("PATCH", "sobjects/Lead/00QSCR000000101", json={})
        assert api("PATCH", "sobjects/Lead/00QSCR000000101", json={}).status_code == 204

    @pytest.mark.parametrize("order", [{"rate": 2, "kinds": ["503"]}, {"rate": 0.1}, {"rate": 0.1, "kinds": ["nonsense"]}])
    def test_a_wrong_one_is_refused(self, org, order):
        with pytest.raises(ScratchOrgError, match="/faults: "):
            org.control("/faults", order)
