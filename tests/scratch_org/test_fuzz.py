"""Whatever is sent to the org, on any path of either port: it answers as Salesforce would, soon, and never with a 500."""

import copy
import http.client
import json
import re
from collections import Counter
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import pytest
from clients.soql_samples import damaged_queries, sound_queries
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbench.scratch_org import ScratchOrg
from workbench.scratch_org.actions import ACTIONS
from workbench.scratch_org.faults import KINDS
from workbench.scratch_org.rest import _DATA_ROUTES as ROUTES

DATA = "/services/data/v64.0/"
REQUESTS, ORDERS = 400, 100
IDS = ("00QSCR000000101", "00QSCR0000001012BA", "00qscr0000001012ba", "00QSCR000000104", "003SCR000000001", "00Q", "x" * 18, "é")
NUMBERS = ("0", "1", "-1", "200", "2000", "99999999999999999999", "9" * 5000, "²", "1.5", "NaN", "1e999")
MOMENTS = (
    "2026-11-02T11:00:00Z",
    "2026-11-02T12:00:00+00:00",
    "0001-01-01T00:00:00+05:00",
    "9999-12-31T23:59:59-01:00",
    "2026-11-02",
)
NASTY = (
    "",
    " ",
    "\0",
    "\u2028",
    "\U0001f600",
    "%",
    "_",
    "'",
    '"',
    "\\",
    "a" * 300,
    "@{new.id}",
    "null",
    "true",
    "../..",
    "01gSCR-9",
)
TEXTS = st.one_of(st.sampled_from((*IDS, *NUMBERS, *MOMENTS, *NASTY)), st.text(max_size=12))
SOQL = st.one_of(
    st.sampled_from([*sound_queries(150, seed=11), *damaged_queries(250, seed=12)]),
    st.sampled_from(
        [
            "SELECT Id FROM Lead WHERE " + "(" * 300 + "Id = null" + ")" * 300,
            "SELECT Id FROM Lead WHERE " + " OR ".join(["Id = null"] * 900),
            "SELECT Id FROM Lead LIMIT 99999999999999999999",
            r"SELECT Id FROM Lead WHERE Email = '\ud800'",
            "SELECT Id FROM Lead WHERE CreatedDate = LAST_N_DAYS:999999999",
            "SELECT Id FROM Lead WHERE SystemModstamp < 0001-01-01T00:00:00+23:59",
        ]
    ),
    st.text(max_size=40),
)
FIELDS = ("Id", "LastName", "Company", "Email", "HasOptedOutOfEmail", "PartyId", "EffectiveFrom", "PersonEmail", "Nope")
WORDS = {
    "object": ("Lead", "contact", "LeadHistory", "Nope"),
    "operation": ("insert", "update", "delete", "upsert", "query", "queryAll"),
    "state": ("UploadComplete", "Aborted", "Open"),
    "method": ("GET", "POST", "PATCH", "DELETE", "get", "\n"),
    "lineEnding": ("LF", "CRLF", "CR"),
    "columnDelimiter": ("COMMA", "TAB", ";"),
    "url": tuple(
        DATA + p
        for p in ("limits", "sobjects/Lead", f"sobjects/Lead/{IDS[0]}", "query?q=SELECT+Id+FROM+Lead", "composite", "[", "%FF")
    ),
    "referenceId": ("a", "b", "new", "a-b"),
}
KEYS = (
    *WORDS,
    *FIELDS,
    "query",
    "allOrNone",
    "records",
    "compositeRequest",
    "ids",
    "fields",
    "httpHeaders",
    "body",
    "attributes",
    "type",
    "id",
)


def json_values() -> st.SearchStrategy[Any]:
    """JSON with the names that the API reads, and values that may be anything."""
    plain = st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), TEXTS, st.sampled_from([w for ws in WORDS.values() for w in ws])
    )
    return st.recursive(
        plain,
        lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(KEYS), inner, max_size=6)),
        max_leaves=14,
    )


RECORD = {"LastName": "A", "Company": "B", "HasOptedOutOfEmail": True}
TYPED = {"attributes": {"type": "Lead"}, "id": IDS[0], **RECORD}
READ = {"method": "GET", "url": WORDS["url"][2], "referenceId": "a", "httpHeaders": {}}
FITTING = (
    (r"sobjects/\w+(/\w+)?", RECORD),
    (r"composite/sobjects", {"allOrNone": False, "records": [TYPED, {**TYPED, "id": IDS[4]}]}),
    (r"composite/sobjects/\w+", {"ids": list(IDS[:3]), "fields": ["Id", "Email"]}),
    (
        r"composite",
        {"allOrNone": True, "compositeRequest": [READ, {**READ, "referenceId": "b", "method": "PATCH", "body": RECORD}]},
    ),
    (r"jobs/ingest", {"object": "Lead", "operation": "update", "lineEnding": "LF", "columnDelimiter": "COMMA"}),
    (r"jobs/query", {"operation": "query", "query": "SELECT Id FROM Lead"}),
    (r"jobs/\w+/.+", {"state": "UploadComplete"}),
)


@st.composite
def fitting_bodies(draw: st.DrawFn, path: str) -> bytes:
    """A body of the right form, often with one thing in it replaced by anything."""
    found = copy.deepcopy(next((body for pattern, body in FITTING if re.fullmatch(DATA + pattern + "/?", path)), RECORD))
    if draw(st.booleans()):
        place = found
        while True:
            key = draw(st.sampled_from(sorted(place)))
            inner = place[key][0] if isinstance(place[key], list) and place[key] else place[key]
            if not isinstance(inner, dict) or not inner or draw(st.booleans()):
                place[key] = draw(json_values())
                break
            place = inner
    return json.dumps(found).encode()


BODIES = st.one_of(
    st.just(b""),
    json_values().map(lambda v: json.dumps(v).encode()),
    st.binary(max_size=30),
    st.sampled_from(
        [
            b"[" * 5000,
            b'{"LastName": "\\ud800", "Company": "x"}',
            b"Id,Title\n00QSCR000000101,x\n",
            b'Id,"Title\n',
            b"<x>" * 5000,
            b"<login><username>a</username><password>b</password></login>",
            b"grant_type=client_credentials",
            b"grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=e30.e30.e30",
            b'--b\r\nContent-Disposition: form-data; name="job"\r\nContent-Type: application/json\r\n\r\n{"object":"Lead"}\r\n--b--\r\n',
        ]
    ),
)
HEADERS = st.dictionaries(
    st.sampled_from(("If-Unmodified-Since", "If-Modified-Since", "Sforce-Query-Options", "Content-Type", "Accept")),
    st.one_of(
        st.sampled_from(
            (
                "Mon, 02 Nov 2026 12:00:00 GMT",
                "batchSize=200",
                f"batchSize={'9' * 5000}",
                "text/csv",
                "application/json",
                "multipart/form-data; boundary=b",
                "Thu, 01 Jan 0001 00:00:00 GMT",
            )
        ),
        st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=10).map(str.strip),
    ),
    max_size=2,
)
PARAMETERS = st.dictionaries(
    st.sampled_from(
        [
            "ids",
            "fields",
            "start",
            "end",
            "locator",
            "maxRecords",
            "columns",
            "actions",
            "verbose",
            "datetime",
            "policy",
            "allOrNone",
            "aggregatedConsent",
            "_HttpMethod",
        ]
    ),
    TEXTS,
    max_size=3,
)


@pytest.fixture(scope="module")
def jobs(shared: ScratchOrg) -> dict[str, list[str]]:
    """Bulk jobs in several states."""
    found: dict[str, list[str]] = {"query": [], "ingest": []}
    for kind, order in (
        ("query", {"operation": "query", "query": "SELECT Id FROM Lead"}),
        ("ingest", {"object": "Lead", "operation": "update"}),
    ):
        for _ in range(2):
            _, body = send(shared, "POST", f"{DATA}jobs/{kind}", json.dumps(order).encode())
            found[kind].append(json.loads(body)["id"])
        for _ in range(2 if kind == "query" else 0):
            send(shared, "GET", f"{DATA}jobs/query/{found[kind][-1]}")
    return found


VARIABLE = re.compile(r"\(\?P<(\w+)>(?:[^()]|\([^()]*\))*\)")
FILLINGS = {
    "name": ("Lead", *WORDS["object"]),
    "record_id": (*IDS[:2], *IDS),
    "which": ("successfulResults", "failedResults"),
    "action": ("email", "x"),
}
OTHERS = (
    ("POST", "/services/oauth2/token"),
    ("GET", "/services/oauth2/userinfo"),
    ("POST", "/services/Soap/u/60.0"),
    ("GET", "/services/data"),
    ("GET", "/services/data/v9999.0/limits"),
    ("GET", "/"),
)
WRITES = (
    ("POST", "sobjects/Lead"),
    ("PATCH", f"sobjects/Lead/{IDS[0]}"),
    ("PATCH", "composite/sobjects"),
    ("POST", "composite"),
    ("POST", "jobs/ingest"),
)
METHODS = ("GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS", "NONSENSE")


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, str, bytes]:
    """Method, path and body; a variable part of the path stays ``<job_id>`` where only the test knows what fits."""
    method, path = draw(targets())
    return method, path, draw(st.one_of(fitting_bodies(path), fitting_bodies(path), BODIES))


@st.composite
def targets(draw: st.DrawFn) -> tuple[str, str]:
    """A method and a path of the route table with its variable parts filled in, sometimes any other."""
    odd = draw(st.integers(0, 11))
    if odd == 0:
        return draw(st.sampled_from(METHODS)), "/" + quote(draw(TEXTS))
    if odd == 1:
        return draw(st.sampled_from(OTHERS))
    if odd in (5, 6, 7):
        method, path = draw(st.sampled_from(WRITES))
        return method, DATA + path
    pattern, methods = draw(st.sampled_from(ROUTES))
    path = pattern.pattern.replace(r"query(?:All)?/", "query/")
    for name in VARIABLE.findall(path):
        filling = draw(st.sampled_from(FILLINGS[name])) if name in FILLINGS and odd != 2 else f"<{name}>"
        path = VARIABLE.sub(lambda _, text=filling: quote(text, safe="<>"), path, count=1)
    return draw(st.sampled_from(METHODS if odd == 3 else sorted(methods))), DATA + path + ("/" if odd == 4 else "")


CONNECTIONS: dict[str, http.client.HTTPConnection] = {}


def send(
    org: ScratchOrg, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None, *, control: bool = False
) -> Any:
    """One request; status and body of the reply."""
    connection = CONNECTIONS.setdefault(
        org.control_url if control else org.url, http.client.HTTPConnection("127.0.0.1", timeout=10)
    )
    connection.port = urlsplit(org.control_url if control else org.url).port
    connection.request(method, target, body, {"Authorization": f"Bearer {org.access_token}", **(headers or {})})
    reply = connection.getresponse()
    return reply.status, reply.read()


@pytest.fixture(scope="module")
def seen() -> Counter[Any]:
    """How often each status was answered."""
    return Counter()


SLOWLY = {"deadline": None, "derandomize": True, "database": None, "suppress_health_check": list(HealthCheck)}


@settings(max_examples=REQUESTS, **SLOWLY)
@given(
    request=requests(),
    filling=st.one_of(st.just(0), st.just(1), TEXTS),
    parameters=PARAMETERS,
    soql=SOQL,
    headers=HEADERS,
)
def test_the_api_answers_anything(shared, jobs, seen, request, filling, parameters, soql, headers):
    method, path, body = request
    text = jobs["ingest" if "ingest" in path else "query"][filling] if isinstance(filling, int) else quote(filling, safe="")
    for name in ("job_id", "locator", "name", "record_id", "which", "action"):
        path = path.replace(f"<{name}>", text)
    if path.rstrip("/").endswith(("/query", "/queryAll")):
        parameters = {**parameters, "q": soql}
    target = f"{path}?{urlencode(parameters)}" if parameters else path
    status, answer = send(shared, method, target, b"" if method in ("GET", "HEAD") else body, headers)
    seen[status] += 1
    if status == 500 and "/Soap/" in path:
        assert b"<soapenv:Fault>" in answer
    else:
        assert status < 500, (method, target, headers, body, answer)
    if status >= 400 and answer and not path.startswith("/services/oauth2") and "/Soap/" not in path:
        assert set(json.loads(answer)[0]) >= {"errorCode", "message"}


def test_the_requests_came_through(seen):
    """Many of them were well-formed: this can't pass by being refused at the door."""
    assert sum(seen.values()) >= REQUESTS
    # Hypothesis draws texts from the constants of all modules that are loaded, so the shares vary with what else runs.
    assert seen[200] > 0.05 * REQUESTS
    assert {200, 400, 404, 405} <= set(seen), seen
    assert seen[201] + seen[204], seen


ORDER_KEYS = (
    *("object", "id", "values", "user", "at", "system", "master", "loser", "advance", "frozen", "tracking", "field", "readable"),
    *(
        "updateable",
        "max",
        "used",
        "stamp",
        "polls",
        "public_key",
        "password",
        "plan",
        "rate",
        "kinds",
        "on",
        "kind",
        "seed",
        "before",
    ),
    *("after", "do", "nth", "times", "contains", "inside", "seconds", "status", "retry_after", "keep", "rows", "ids", "options"),
)


@settings(max_examples=ORDERS, **SLOWLY)
@given(
    name=st.sampled_from((*ACTIONS, "faults", "hooks", "requests", "changes", "state", "nothing", "")),
    method=st.sampled_from(("POST", "POST", "POST", "GET", "DELETE")),
    order=st.one_of(
        st.dictionaries(
            st.sampled_from(ORDER_KEYS), st.one_of(json_values(), st.sampled_from((*IDS, *sorted(KINDS)))), max_size=6
        ),
        json_values(),
    ),
    since=TEXTS,
)
def test_the_control_port_answers_anything(shared, name, method, order, since):
    status, answer = send(shared, method, f"/{name}?{urlencode({'since': since})}", json.dumps(order).encode(), control=True)
    assert status in (200, 400, 404, 405), (name, order, answer)
    assert isinstance(json.loads(answer), dict)
    send(shared, "POST", "/faults", b'{"clear": true}', control=True)
    assert send(shared, "GET", "/services/data")[0] == 200, (name, order)
