"""One scratch org for a module's tests, and clients in front of it over real HTTP."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce

from workbench.scratch_org import ScratchOrg, start_scratch_org

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
LEADS = [
    {"Id": f"00QSCR00000010{n}", "LastName": last, "FirstName": first, "Email": email, "Company": "Oulu Paper", **more}
    for n, (first, last, email, more) in enumerate(
        [
            ("Åsa", "Ångström", "asa.angstrom@example.com", {}),
            ("Noël", "Lefèvre", "Noel.Lefevre@example.org", {"HasOptedOutOfEmail": True}),
            ("芳", "王", "wangfang@example.net", {"Title": "Owner"}),
            ("Олена", "Шевченко", None, {"Title": "100% \\ sure_thing"}),
            ("Gone", "Away", "gone@example.com", {"IsDeleted": True}),
        ]
    )
]


class ToHttp(HTTPAdapter):
    """Sends what simple-salesforce addresses to https to the scratch org."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        assert request.url is not None
        request.url = self.url + "/" + request.url.split("/", 3)[3]
        return super().send(request, *args, **kwargs)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("scratch") / "records.jsonl"
    history = [{"field": "HasOptedOutOfEmail", "old": False, "new": True, "at": "2026-05-04T10:00:00Z", "by": "Web Form"}]
    contact = {
        "object": "Contact",
        "FirstName": "Γιώργος",
        "LastName": "Νικολάου",
        "Email": "g.nikolaou@example.com",
        "Company": "Bergamo Optics",
        "CreatedDate": "2026-01-04T10:00:00Z",
        "history": history,
    }
    leads = [{"object": "Lead", "CreatedDate": "2026-03-01T08:00:00.000+0000", **lead} for lead in LEADS]
    file.write_text("\n".join(json.dumps(r) for r in [*leads, contact]), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def shared(data: Path) -> Iterator[ScratchOrg]:
    with start_scratch_org(data=data, clock=NOON) as org:
        org.control("/clock", {"at": NOON.isoformat(), "frozen": True})
        yield org


@pytest.fixture
def org(shared: ScratchOrg) -> ScratchOrg:
    """The module's org without faults left over from another test."""
    shared.control("/faults", {"clear": True})
    shared.control("/history", {"tracking": True})
    return shared


class Api:
    """Plain requests against the org's data path."""

    def __init__(self, org: ScratchOrg) -> None:
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["Authorization"] = f"Bearer {org.access_token}"
        self.base = "/services/data/v64.0"
        self.url = org.url

    def __call__(self, method: str, path: str, **more: Any) -> requests.Response:
        full = path if path.startswith("/services") else f"{self.base}/{path}"
        return self.session.request(method, self.url + full, timeout=30, **more)

    def query(self, soql: str) -> list[dict[str, Any]]:
        reply = self("GET", "query", params={"q": soql})
        assert reply.status_code == 200, reply.text
        records: list[dict[str, Any]] = reply.json()["records"]
        return records


@pytest.fixture
def api(org: ScratchOrg) -> Api:
    return Api(org)


@pytest.fixture
def api_for() -> Callable[[ScratchOrg], Api]:
    """Requests against an org of the test's own."""
    return Api


@pytest.fixture
def lead(api: Api) -> Callable[..., str]:
    """Makes a fresh lead and returns its id."""

    def make(**values: Any) -> str:
        body = {"LastName": "Fresh", "Company": "Ghent Glass", **values}
        return str(api("POST", "sobjects/Lead", json=body).json()["id"])

    return make


@pytest.fixture
def client(org: ScratchOrg) -> Salesforce:
    session = requests.Session()
    session.mount("https://", ToHttp(org.url))
    return Salesforce(instance_url=org.url, session_id=org.access_token, session=session, version="64.0")
