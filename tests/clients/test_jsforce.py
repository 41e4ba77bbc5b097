"""The real jsforce, as npm has it, against a scratch org over HTTP."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from workbench.scratch_org import ScratchOrg, start_scratch_org

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=5)
CONTACTS = 2500
ASA, LEFEVRE, ABSENT = "00Qxx0000000001EAA", "00Qxx0000000002EAA", "00Qxx0000000999EAA"
STEPS = (
    *(
        "login",
        "logout",
        "query",
        "pages",
        "builder",
        "queryAll",
        "retrieve",
        "update",
        "conditional",
        "rows",
        "describe",
        "versions",
    ),
    *("limits", "bulkQuery", "bulkIngest", "passing"),
)


def _records() -> Iterator[dict[str, Any]]:
    created = {"CreatedDate": "2026-03-01T08:00:00Z"}
    lead = {"object": "Lead", "Company": "Oulu Paper", **created}
    yield {**lead, "id": ASA[:15], "LastName": "Ångström", "Email": "asa@example.com"}
    yield {**lead, "id": LEFEVRE[:15], "LastName": "Lefèvre", "Email": "noel@example.com", "HasOptedOutOfEmail": True}
    yield {**lead, "id": "00Qxx0000000003", "LastName": "Gone", "Email": "gone@example.com", "IsDeleted": True}
    for number in range(CONTACTS):
        yield {"object": "Contact", "LastName": f"王 {number}", "Email": f"person{number}@example.com", **created}


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScratchOrg]:
    file = tmp_path_factory.mktemp("jsforce") / "records.jsonl"
    file.write_text("\n".join(map(json.dumps, _records())), encoding="utf-8")
    with start_scratch_org(data=file, clock=NOON) as started:
        started.control("/clock", {"at": NOON.isoformat(), "frozen": True})
        yield started


@pytest.fixture(scope="module")
def done(org: ScratchOrg, node: Callable[[str, Any], Any]) -> dict[str, Any]:
    """What each step of roundtrip.mjs returned; the last one runs when the org's clock has gone on."""
    order = {name: getattr(org, name) for name in ("url", "client_id", "client_secret", "access_token")}
    order |= {"version": org.api_version.removeprefix("v"), "leads": [ASA, LEFEVRE], "absent": ABSENT, "now": LATER.isoformat()}
    found: dict[str, Any] = node("roundtrip.mjs", order | {"steps": STEPS})
    org.control("/clock", {"at": LATER.isoformat()})
    found |= node("roundtrip.mjs", order | {"steps": ["changes"]})
    return found


@pytest.fixture
def step(done: dict[str, Any]) -> Callable[[str], Any]:
    """The result of one step; a step that threw fails its test only."""

    def result(name: str) -> Any:
        assert "failed" not in done[name], done[name]["failed"]
        return done[name]["value"]

    return result


def test_login_with_client_credentials(step: Callable[[str], Any], org: ScratchOrg) -> None:
    found = step("login")
    assert found["instance"] == org.url
    assert found["user"]["organizationId"] == org.org_id
    assert found["identity"]["user_id"] == found["user"]["id"]
    assert found["wrongSecret"] == {"name": "invalid_client", "message": "invalid client credentials"}
    assert found["wrongToken"]["errorCode"] == "INVALID_SESSION_ID"


def test_identity_and_logout(step: Callable[[str], Any]) -> None:
    found = step("logout")
    assert found["user"] == step("login")["user"]["id"]
    assert found["after"]["errorCode"] == "INVALID_SESSION_ID"


def test_query(step: Callable[[str], Any]) -> None:
    found = step("query")
    (record,) = found["found"]["records"]
    assert (record["Id"], record["Name"], record["CreatedDate"]) == (ASA, "Ångström", "2026-03-01T08:00:00.000+0000")
    assert record["attributes"]["type"] == "Lead"
    assert record["Owner"]["Name"] == "Workbench Integration"
    assert found["count"] == 2
    assert found["error"]["errorCode"] == "INVALID_FIELD"
    assert "No such column 'Nope' on entity 'Lead'" in found["error"]["message"]
    assert 0 < found["limit"]["used"] < found["limit"]["limit"]


def test_pages(step: Callable[[str], Any]) -> None:
    found = step("pages")
    assert found["first"] == [CONTACTS, False, 2000]
    assert found["second"] == [CONTACTS, True, CONTACTS - 2000]
    assert found["small"] == [CONTACTS, False, 200]
    assert found["every"] == [CONTACTS, True, CONTACTS]
    assert found["ids"] == found["same"] == CONTACTS
    assert found["stale"]["errorCode"] == "INVALID_QUERY_LOCATOR"


def test_the_query_that_jsforce_writes_itself(step: Callable[[str], Any]) -> None:
    assert step("builder") == [{"type": "Lead", "Id": LEFEVRE, "Email": "noel@example.com"}]


def test_query_all(step: Callable[[str], Any]) -> None:
    found = step("queryAll")
    assert [r["IsDeleted"] for r in found["seen"]] == [True]
    assert found["unseen"] == 0


def test_retrieve(step: Callable[[str], Any]) -> None:
    found = step("retrieve")
    assert (found["one"]["Id"], found["one"]["LastName"], found["one"]["HasOptedOutOfEmail"]) == (ASA, "Ångström", False)
    assert [(r["Id"], r["Email"]) for r in found["some"]] == [(ASA, "asa@example.com"), (LEFEVRE, "noel@example.com")]
    assert found["missing"]["errorCode"] == "NOT_FOUND"


def test_update(step: Callable[[str], Any]) -> None:
    found = step("update")
    assert found["one"]["success"]
    assert [r["success"] for r in found["many"]] == [True, True, False]
    assert found["many"][2]["errors"][0]["statusCode"] == "INVALID_CROSS_REFERENCE_KEY"
    assert [r["success"] for r in found["allOrNone"]] == [False, False]
    assert found["allOrNone"][0]["errors"][0]["statusCode"] == "ALL_OR_NONE_OPERATION_ROLLED_BACK"
    assert [r["Title"] for r in found["after"]] == ["Both", "Both"]
    assert found["refusedField"]["errorCode"] == "INVALID_FIELD"


def test_a_conditional_write_is_refused_when_the_record_is_newer(step: Callable[[str], Any], org: ScratchOrg) -> None:
    found = step("conditional")
    assert found["stale"]["errorCode"] == "ENTITY_FAILED_IFLASTMODIFIED_ON_UPDATE"
    assert found["fresh"] is None
    assert found["invalid"]["errorCode"] == "INVALID_HEADER"
    assert found["flags"] == [False, False, True, True]
    changes = [(c["old"], c["new"]) for c in org.control("/changes")["changes"] if c["id"] == ASA]
    assert changes == [(False, True)]
    written = [r["status"] for r in org.control("/requests")["requests"] if r["method"] == "PATCH" and r["path"].endswith(ASA)]
    assert written[-3:] == [412, 204, 400]


def test_create_and_delete(step: Callable[[str], Any]) -> None:
    found = step("rows")
    assert found["one"]["success"]
    assert [r["success"] for r in found["many"]] == [True, True]
    assert len({found["one"]["id"], *(r["id"] for r in found["many"])}) == 3
    assert found["incomplete"]["errorCode"] == "REQUIRED_FIELD_MISSING"
    assert (found["before"], found["after"]) == (3, 0)
    assert found["gone"]["success"]
    assert [r["success"] for r in found["goneToo"]] == [True, True]
    assert found["again"]["errorCode"] == "ENTITY_IS_DELETED"


def test_updated_and_deleted(step: Callable[[str], Any]) -> None:
    found, passing, gone = step("changes"), step("passing"), step("rows")
    assert set(found["updated"]["ids"]) == {ASA, LEFEVRE}
    deleted = {r["id"]: r["deletedDate"] for r in found["deleted"]["deletedRecords"]}
    assert deleted[passing["id"]] == "2026-11-02T12:00:00.000+0000"
    assert {gone["one"]["id"], *(r["id"] for r in gone["many"])} < set(deleted)
    for answer in (found["updated"], found["deleted"]):
        assert "2026-11-02T12:00:00.000+0000" < answer["latestDateCovered"] <= "2026-11-02T12:05:00.000+0000"
    assert found["tooLong"]["errorCode"] == "INVALID_REPLICATION_DATE"


def test_describe(step: Callable[[str], Any], org: ScratchOrg) -> None:
    found = step("describe")
    assert (found["name"], found["prefix"]) == ("Lead", "00Q")
    flag = found["flag"]
    assert (flag["type"], flag["updateable"], flag["filterable"], flag["nillable"]) == ("boolean", True, True, False)
    assert {"Lead", "Contact", "LeadHistory", "User"} <= set(found["objects"])
    assert org.api_version.removeprefix("v") in step("versions")


def test_limits(step: Callable[[str], Any]) -> None:
    left = step("limits")["DailyApiRequests"]
    assert 0 < left["Remaining"] < left["Max"]


def test_bulk_query(step: Callable[[str], Any]) -> None:
    found = step("bulkQuery")
    assert found["size"] == found["ids"] == CONTACTS
    assert found["first"]["HasOptedOutOfEmail"] == "false"
    assert found["first"]["CreatedDate"] == "2026-03-01T08:00:00.000Z"
    assert [r["IsDeleted"] for r in found["deleted"]] == ["true"]
    assert found["refused"]["errorCode"] == "INVALID_FIELD"


def test_bulk_ingest(step: Callable[[str], Any]) -> None:
    found = step("bulkIngest")
    made, nameless = found["made"]["successfulResults"], found["made"]["failedResults"]
    ids = [r["sf__Id"] for r in made]
    assert [(r["LastName"], r["Company"], r["sf__Created"]) for r in made] == [
        ("Wójcik", 'In "bulk", Ltd.', "true"),
        ("Nguyễn", "In bulk", "true"),
    ]
    assert [(r["Email"], r["sf__Error"].split(":")[0]) for r in nameless] == [("nameless@example.com", "REQUIRED_FIELD_MISSING")]
    assert [(r["sf__Id"], r["Id"]) for r in found["set"]["successfulResults"]] == [(i, i) for i in ids]
    assert [(r["sf__Id"], r["Id"], r["sf__Error"].split(":")[0]) for r in found["set"]["failedResults"]] == [
        ("", ABSENT, "INVALID_CROSS_REFERENCE_KEY")
    ]
    assert found["after"] == [
        {"LastName": "Wójcik", "Company": 'In "bulk", Ltd.', "Email": None, "HasOptedOutOfEmail": True},
        {"LastName": "Nguyễn", "Company": "In bulk", "Email": None, "HasOptedOutOfEmail": True},
    ]
    assert [r["sf__Id"] for r in found["gone"]["successfulResults"]] == ids
    assert found["left"] == 0
    assert all(found[name]["unprocessedRecords"] == [] for name in ("made", "set", "gone"))


def test_bulk_ingest_job_is_aborted_and_forgotten(step: Callable[[str], Any]) -> None:
    found = step("bulkIngest")
    assert found["state"] == "Aborted"
    assert found["check"]["errorCode"] == "NOT_FOUND"
