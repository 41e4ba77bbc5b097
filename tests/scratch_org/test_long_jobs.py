"""Query jobs that are too long to be run between two requests: in a thread, on disk, in an org that is kept in a file."""

from __future__ import annotations

import csv
import io
import time

import pytest
import requests

from workbench.scratch_org import start_scratch_org

PEOPLE = 6_000
QUERY = "SELECT Id, Email, HasOptedOutOfEmail, SystemModstamp, Account.Name FROM Contact"
OPTED_OUT = "SELECT Id FROM Contact WHERE HasOptedOutOfEmail = true"


class Client:
    """Requests to one running org."""

    def __init__(self, org) -> None:
        self.org, self.base = org, f"{org.url}/services/data/v{org.api_version}"

    def ask(self, method, path, **more):
        return requests.request(
            method, f"{self.base}/{path}", headers={"Authorization": f"Bearer {self.org.access_token}"}, timeout=60, **more
        )

    def job(self, query):
        made = self.ask("POST", "jobs/query", json={"operation": "queryAll", "query": query})
        assert made.json()["state"] == "UploadComplete"
        return f"jobs/query/{made.json()['id']}"

    def finished(self, job):
        for _ in range(1_000):
            found = self.ask("GET", job).json()
            if found["state"] != "InProgress":
                return found
            time.sleep(0.02)
        raise AssertionError("the job did not end")

    def rows(self, job, **params):
        answer = self.ask("GET", f"{job}/results", params=params)
        assert answer.status_code == 200, answer.text
        return list(csv.DictReader(io.StringIO(answer.content.decode()))), answer.headers["Sforce-Locator"]

    def count(self, query):
        return self.ask("GET", "queryAll", params={"q": query.replace("SELECT Id FROM", "SELECT COUNT() FROM")}).json()[
            "totalSize"
        ]


@pytest.fixture
def start(tmp_path):
    running = []

    def begin():
        org = start_scratch_org(people=PEOPLE, database=tmp_path / "org.db")
        running.append(org)
        return Client(org)

    yield begin
    for org in running:
        org.stop()


def test_a_long_job_shows_one_moment_and_is_read_page_by_page(start) -> None:
    client = start()
    job, opted_out = client.job(QUERY), client.count(OPTED_OUT)
    assert client.finished(job)["state"] == "JobComplete"
    everybody, last = client.rows(job)
    assert last == "null"
    assert len(everybody) == client.count("SELECT Id FROM Contact") > 2_000
    assert sum(row["HasOptedOutOfEmail"] == "true" for row in everybody) == opted_out
    assert everybody == sorted(everybody, key=lambda row: row["Id"])
    client.org.control("/write", {"object": "Contact", "id": everybody[0]["Id"], "values": {"Email": "new@example.com"}})
    client.org.control("/delete", {"object": "Contact", "id": everybody[1]["Id"]})
    pages, locator = [], ""
    while locator != "null":
        page, locator = client.rows(job, maxRecords="999", **({"locator": locator} if locator else {}))
        pages.append(page)
    assert [len(page) for page in pages[:-1]] == [999] * (len(everybody) // 999)
    assert [row for page in pages for row in page] == everybody


def test_a_job_under_way_is_run_again_by_a_restarted_org_and_a_finished_one_is_still_there(start) -> None:
    client = start()
    done = client.job(QUERY)
    client.finished(done)
    whole = client.rows(done)
    begun = client.job(QUERY)
    client.org.kill()
    again = start()
    assert again.rows(done) == whole
    assert again.finished(begun)["state"] == "JobComplete"
    assert again.rows(begun) == whole
    assert again.ask("DELETE", done).status_code == 204
    assert again.ask("GET", f"{done}/results").status_code == 404


def test_a_long_job_can_be_aborted(start) -> None:
    client = start()
    job = client.job(QUERY)
    assert client.ask("PATCH", job, json={"state": "Aborted"}).json()["state"] == "Aborted"
    assert client.ask("GET", f"{job}/results").status_code == 400
    assert client.ask("DELETE", job).status_code == 204
