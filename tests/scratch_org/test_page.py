"""The page for people, as a browser without a session gets it."""

import re
from html.parser import HTMLParser

import requests


def shown(org, path="/"):
    reply = requests.get(org.url + path, timeout=10)
    assert reply.status_code == 200
    assert reply.headers["Content-Type"] == "text/html; charset=utf-8"
    return reply


def cells(text):
    """The table cells of the page, as text."""

    class Cells(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.found: list[str] = []
            self.inside = False

        def handle_starttag(self, tag, attrs):
            self.inside = tag == "td"
            if self.inside:
                self.found.append("")

        def handle_endtag(self, tag):
            self.inside = False

        def handle_data(self, data):
            if self.inside:
                self.found[-1] += data

    parser = Cells()
    parser.feed(text)
    return parser.found


def test_what_is_in_the_org(org, api):
    text = shown(org).text
    assert "This is not Salesforce" in text
    found = cells(text)
    at = found.index("Lead")
    live = api("GET", "query", params={"q": "SELECT COUNT() FROM Lead"}).json()["totalSize"]
    assert found[at + 1] == str(live)
    assert int(found[at + 2]) >= 1
    assert "None is on." in text


def test_faults_and_last_requests(org, api):
    org.control(
        "/faults", {"plan": [{"on": "GET /limits", "kind": "503"}], "seed": 3, "rate": 0.05, "kinds": ["html"], "on": "PATCH ."}
    )
    api("GET", "limits")
    found = cells(shown(org).text)
    assert found[found.index("503") + 1 :][:2] == ["GET /limits", "1"]
    assert "5.0% chance of html (seed 3)" in found
    last = found.index("/services/data/v64.0/limits")
    assert found[last - 1 : last + 4] == ["GET", "/services/data/v64.0/limits", "503", "", "503"]
    assert "/" not in found


def test_everything_is_escaped_and_nothing_comes_from_outside(org, api):
    evil = "<script>alert('x')</script>"
    org.control("/faults", {"plan": [{"on": f"GET {evil}", "kind": "503"}]})
    api("GET", "sobjects/Lead/<img src=x onerror=alert(1)>")
    reply = shown(org)
    assert f"GET {evil}" in cells(reply.text)
    assert not re.search(r"<script|<img|https?://|url\(|@import", reply.text, re.IGNORECASE)
    assert "default-src 'none'" in reply.headers["Content-Security-Policy"]


def test_it_shows_no_person_and_no_secret(org, api):
    api.query("SELECT Id FROM Lead WHERE Email = 'asa.angstrom@example.com'")
    text = shown(org).text
    for hidden in ("asa.angstrom", "Ångström", org.access_token, org.client_id, org.client_secret):
        assert hidden not in text


def test_it_can_be_watched(org):
    assert "http-equiv=refresh" not in shown(org).text
    assert "<meta http-equiv=refresh content=5>" in shown(org, "/?watch=1").text
