"""Bulk 2.0 ingest over real HTTP: plain requests for shapes and refusals, simple-salesforce for the round trip."""

import csv
import io

import pytest


class Job:
    """One ingest job and what it answers."""

    def __init__(self, api, operation="update", object="Lead", **more):
        self.api = api
        self.made = api("POST", "jobs/ingest", json={"operation": operation, "object": object, **more})
        assert self.made.status_code == 200, self.made.text
        self.path = f"jobs/ingest/{self.made.json()['id']}"

    def put(self, text, kind="text/csv; charset=UTF-8"):
        data = text if isinstance(text, bytes) else text.encode()
        return self.api("PUT", f"{self.path}/batches/", data=data, headers={"Content-Type": kind})

    def set(self, state):
        return self.api("PATCH", self.path, json={"state": state})

    def get(self):
        return self.api("GET", self.path).json()

    def run(self, text):
        assert self.put(text).status_code == 201
        assert self.set("UploadComplete").json()["state"] == "UploadComplete"
        assert self.get()["state"] == "InProgress"
        return self.get()

    def text(self, which):
        reply = self.api("GET", f"{self.path}/{which}")
        assert reply.headers["Content-Type"] == "text/csv; charset=UTF-8"
        return reply.content.decode()

    def rows(self, which, delimiter=","):
        return list(csv.DictReader(io.StringIO(self.text(which)), delimiter=delimiter))


def code(reply):
    return reply.status_code, reply.json()[0]["errorCode"]


def test_a_new_job_says_everything(api):
    job = Job(api).made.json()
    assert job["state"] == "Open"
    assert job["contentUrl"] == f"services/data/v64.0/jobs/ingest/{job['id']}/batches"
    assert (job["apiVersion"], job["lineEnding"], job["columnDelimiter"], job["contentType"]) == (64.0, "LF", "COMMA", "CSV")
    assert job["id"].startswith("750")
    assert not [k for k in job if k.startswith("_")]


def test_update_row_by_row(api, lead):
    good, bad = lead(Title="Old", Email="old@example.com"), lead()
    job = Job(api)
    gone = "00QSCR0zzzzzzzz"
    ended = job.run(
        "Id,HasOptedOutOfEmail,Title,Email\n"
        f"{good[:15]},true,#N/A,\n"
        f'{bad},false,"Two\nlines, ""quoted""",nonsense\n'
        f"{gone},true,,\n"
        ",true,,\n"
        f"{lead()},maybe,,\n"
    )
    assert (ended["state"], ended["jobType"]) == ("JobComplete", "V2Ingest")
    assert (ended["numberRecordsProcessed"], ended["numberRecordsFailed"]) == (5, 4)
    row = api("GET", f"sobjects/Lead/{good}").json()
    assert (row["HasOptedOutOfEmail"], row["Title"], row["Email"]) == (True, None, "old@example.com")
    (done,) = job.rows("successfulResults")
    assert (done["sf__Id"], done["sf__Created"], done["Id"]) == (good, "false", good[:15])
    assert job.text("failedResults").startswith(
        '"sf__Id","sf__Error",Id,HasOptedOutOfEmail,Title,Email\n"","INVALID_EMAIL_ADDRESS:'
    )
    failed = job.rows("failedResults")
    assert failed[0]["Title"] == 'Two\nlines, "quoted"'
    assert failed[1]["sf__Error"] == "INVALID_CROSS_REFERENCE_KEY:invalid cross reference id:--"
    assert [f["Id"] for f in failed] == [bad, gone, "", failed[3]["Id"]]
    assert failed[2]["sf__Error"].startswith("MISSING_ARGUMENT:")
    assert "HasOptedOutOfEmail--" in failed[3]["sf__Error"]
    for spelling in ("unprocessedrecords", "unprocessedRecords"):
        assert job.text(spelling) == "Id,HasOptedOutOfEmail,Title,Email\n"


def test_insert_and_delete(api):
    made = Job(api, "insert", "Contact", columnDelimiter="SEMICOLON", lineEnding="CRLF")
    made.run("LastName;Email;HasOptedOutOfEmail\r\nŠťastná;stastna@example.com;TRUE\r\n;x@example.com;false\r\n")
    (row,) = made.rows("successfulResults", ";")
    assert row["sf__Created"] == "true"
    assert made.rows("failedResults", ";")[0]["sf__Error"].startswith("REQUIRED_FIELD_MISSING:")
    assert api("GET", f"sobjects/Contact/{row['sf__Id']}").json()["LastName"] == "Šťastná"
    assert Job(api, "delete", "Contact").run(f"Id\n{row['sf__Id']}\n")["numberRecordsFailed"] == 0
    assert code(api("GET", f"sobjects/Contact/{row['sf__Id']}")) == (404, "ENTITY_IS_DELETED")


def test_rows_are_written_by_the_jobs_user_and_without_condition(org, api, lead):
    record_id = lead()
    job = Job(api)
    job.put(f"Id,HasOptedOutOfEmail\n{record_id},true\n")
    job.set("UploadComplete")
    other = org.control("/tokens", {"user": "Somebody Else"})["access_token"]
    headers = {"Authorization": f"Bearer {other}", "If-Unmodified-Since": "Mon, 02 Nov 2020 12:00:00 GMT"}
    for _ in range(2):
        api("GET", job.path, headers=headers)
    row = api("GET", f"sobjects/Lead/{record_id}").json()
    assert row["HasOptedOutOfEmail"] is True
    assert row["LastModifiedById"] == org.control("/state")["user"]


@pytest.mark.parametrize(
    ("given", "sentence", "left"),
    [
        ("", "InvalidBatch : No data was uploaded", 0),
        ("Id,Nope\n00QSCR000000100,1\n", "InvalidBatch : Field name not found : Nope", 1),
        ("Id,Title\r\n00QSCR000000100,1\r\n", "ClientInputError : LineEnding is invalid on user data.", 1),
        ("Id,Title\n00QSCR000000100\n", "InvalidBatch : Row 2 has 1 columns, the header has 2", 1),
        ("Id,Title\n00QSCR000000100,é\n".encode("latin-1"), "ClientInputError : The CSV data is not UTF-8", 0),
    ],
)
def test_data_that_cannot_be_read_fails_the_job(api, given, sentence, left):
    job = Job(api)
    ended = job.run(given)
    assert (ended["state"], ended["numberRecordsProcessed"]) == ("Failed", 0)
    assert ended["errorMessage"].startswith(sentence)
    assert job.rows("successfulResults") == []
    assert len(job.rows("unprocessedrecords")) == left


def test_a_hidden_field_is_not_found(org, api):
    org.control("/permissions", {"object": "Lead", "field": "Sales_Opt_Out__c", "readable": False})
    ended = Job(api).run("Id,Sales_Opt_Out__c\n00QSCR000000100,true\n")
    org.control("/permissions", {"object": "Lead", "field": "Sales_Opt_Out__c"})
    assert ended["errorMessage"] == "InvalidBatch : Field name not found : Sales_Opt_Out__c"


def test_wrong_states(api, lead):
    job = Job(api)
    refused = (400, "INVALIDJOBSTATE")
    assert code(api("GET", f"{job.path}/successfulResults")) == refused
    assert code(api("DELETE", job.path)) == refused
    assert code(job.set("JobComplete")) == refused
    assert code(job.put("Id", "application/json")) == (400, "INVALIDCONTENTTYPE")
    job.put(f"Id\n{lead()}\n")
    assert code(job.put("Id\n")) == (400, "INVALIDBATCH")
    assert job.set("Aborted").json()["state"] == "Aborted"
    assert len(job.rows("unprocessedrecords")) == 1
    for state in ("Aborted", "UploadComplete"):
        assert code(job.set(state)) == refused
    assert code(job.put("Id\n")) == refused
    assert api("DELETE", job.path).status_code == 204
    assert api("GET", job.path).status_code == 404


@pytest.mark.parametrize(
    "order",
    [
        {"operation": "update", "object": "Leed"},
        {"operation": "update", "object": "LeadHistory"},
        {"operation": "upsert", "object": "Lead"},
        {"operation": "update", "object": "Lead", "contentType": "XML"},
        {"operation": "update", "object": "Lead", "columnDelimiter": ","},
    ],
)
def test_wrong_jobs_are_refused(api, order):
    assert code(api("POST", "jobs/ingest", json=order)) == (400, "INVALIDJOB")


def test_simple_salesforce(client, api, lead):
    ids = [lead() for _ in range(3)]
    records = [{"Id": i, "HasOptedOutOfEmail": "true"} for i in [*ids, "00QSCR0zzzzzzzz"]]
    (done,) = client.bulk2.Lead.update(records=records, wait=0.01)
    assert (done["numberRecordsProcessed"], done["numberRecordsFailed"]) == (4, 1)
    assert "INVALID_CROSS_REFERENCE_KEY" in client.bulk2.Lead.get_failed_records(done["job_id"])
    assert api.query(f"SELECT Id FROM Lead WHERE Id IN ('{ids[0]}') AND HasOptedOutOfEmail = true")
