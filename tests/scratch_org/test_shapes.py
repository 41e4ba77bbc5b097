"""What clients read out of replies besides records: identity, resources, describe, limits, columns, lists of jobs, parts of results."""

import csv
import io

import pytest
import requests

# What "DescribeSObjectResult" and "Field" list in the REST API and SOAP API guides.
OBJECT_KEYS = """actionOverrides activateable associateEntityType associateParentEntity childRelationships compactLayoutable
createable custom customSetting deepCloneable deletable deprecatedAndHidden feedEnabled fields hasSubtypes isInterface isSubtype
keyPrefix label labelPlural layoutable listviewable lookupLayoutable mergeable mruEnabled name namedLayoutInfos
networkScopeFieldName queryable recordTypeInfos replicateable retrieveable searchLayoutable searchable sobjectDescribeOption
supportedScopes triggerable undeletable updateable urls"""
FIELD_KEYS = """aggregatable aiPredictionField autoNumber byteLength calculated calculatedFormula cascadeDelete caseSensitive
compoundFieldName controllerName createable custom defaultValue defaultValueFormula defaultedOnCreate dependentPicklist
deprecatedAndHidden digits displayLocationInDecimal encrypted externalId extraTypeInfo filterable filteredLookupInfo
formulaTreatNullNumberAsZero groupable highScaleNumber htmlFormatted idLookup inlineHelpText label length mask maskType name
nameField namePointing nillable permissionable picklistValues polymorphicForeignKey precision queryByDistance
referenceTargetField referenceTo relationshipName relationshipOrder restrictedDelete restrictedPicklist scale
searchPrefilterable soapType sortable type unique updateable writeRequiresMasterRead"""


def error(reply):
    return reply.status_code, reply.json()[0]["errorCode"]


class TestIdentity:
    def test_resources_lead_to_what_they_name(self, org, api):
        found = api("GET", "/services/data/v64.0/").json()
        assert set(found) == {"query", "queryAll", "sobjects", "composite", "limits", "jobs", "consent", "identity"}
        assert all(path.startswith("/services/data/v64.0/") for name, path in found.items() if name != "identity")
        assert found["identity"].startswith(f"{org.url}/id/{org.org_id}/005")

    def test_the_identity_url_of_a_token(self, org, api):
        form = {"grant_type": "client_credentials", "client_id": org.client_id, "client_secret": org.client_secret}
        granted = requests.post(f"{org.url}/services/oauth2/token", form, timeout=10).json()
        assert set(granted) >= {"access_token", "instance_url", "id", "token_type", "issued_at", "signature"}
        mine = {"Authorization": f"Bearer {granted['access_token']}"}
        who = requests.get(granted["id"], headers=mine, timeout=10).json()
        info = api("POST", "/services/oauth2/userinfo").json()
        assert (who["id"], who["user_id"], who["organization_id"]) == (granted["id"], info["user_id"], org.org_id)
        assert (who["display_name"], who["first_name"], who["last_name"]) == ("Workbench Integration", "Workbench", "Integration")
        assert who["urls"]["rest"] == f"{org.url}/services/data/v{{version}}/"
        assert who["username"] == info["preferred_username"]
        assert error(api("GET", f"/id/{org.org_id}/005SCR0zzzzzzzz")) == (404, "NOT_FOUND")
        assert error(requests.get(granted["id"], timeout=10)) == (401, "INVALID_SESSION_ID")

    def test_a_revoked_token_is_no_session(self, org, api):
        token = org.control("/tokens", {"user": "Olga Admin"})["access_token"]
        mine = {"Authorization": f"Bearer {token}"}
        assert api("GET", "limits", headers=mine).status_code == 200
        revoke = [requests.post(f"{org.url}/services/oauth2/revoke", {"token": token}, timeout=10) for _ in range(2)]
        assert [r.status_code for r in revoke] == [200, 400]
        assert revoke[1].json()["error"] == "unsupported_token_type"
        assert error(api("GET", "limits", headers=mine)) == (401, "INVALID_SESSION_ID")

    def test_versions_have_the_names_of_their_releases(self, org):
        versions = requests.get(f"{org.url}/services/data/", timeout=10).json()
        named = {v["version"]: v["label"] for v in versions}
        assert (named["31.0"], named["59.0"], named["60.0"], named["64.0"]) == (
            "Summer '14",
            "Winter '24",
            "Spring '24",
            "Summer '25",
        )
        assert versions[0]["url"] == "/services/data/v31.0"


class TestDescribe:
    def test_everything_that_clients_look_for(self, api):
        found = api("GET", "sobjects/Lead/describe/").json()
        assert set(found) == set(OBJECT_KEYS.split())
        assert found["urls"] == {
            "sobject": "/services/data/v64.0/sobjects/Lead",
            "describe": "/services/data/v64.0/sobjects/Lead/describe",
            "rowTemplate": "/services/data/v64.0/sobjects/Lead/{ID}",
        }
        assert all(set(f) == set(FIELD_KEYS.split()) for f in found["fields"])
        fields = {f["name"]: f for f in found["fields"]}
        assert (fields["Id"]["soapType"], fields["OwnerId"]["referenceTo"], fields["OwnerId"]["relationshipName"]) == (
            "tns:ID",
            ["User"],
            "Owner",
        )
        assert (fields["Email"]["length"], fields["Email"]["byteLength"], fields["Email"]["idLookup"]) == (80, 240, True)
        assert fields["HasOptedOutOfEmail"]["defaultValue"] is False
        assert {"childSObject": "LeadHistory", "field": "LeadId", "relationshipName": "Histories"}.items() <= next(
            c for c in found["childRelationships"] if c["childSObject"] == "LeadHistory" and c["field"] == "LeadId"
        ).items()

    def test_basic_information_and_the_global_list_agree(self, api):
        found = api("GET", "sobjects").json()
        assert (found["encoding"], found["maxBatchSize"]) == ("UTF-8", 200)
        for entry in found["sobjects"]:
            basics = api("GET", f"sobjects/{entry['name']}/").json()
            assert basics == {"objectDescribe": entry, "recentItems": []}
        assert error(api("GET", "sobjects/Nothing")) == (404, "NOT_FOUND")


class TestLimits:
    def test_what_is_counted_goes_down(self, api):
        before = api("GET", "limits").json()
        api("POST", "jobs/query", json={"operation": "query", "query": "SELECT Id FROM Lead"})
        api("POST", "jobs/ingest", json={"operation": "insert", "object": "Lead"})
        after = api("GET", "limits").json()
        for name, used in (("DailyApiRequests", 3), ("DailyBulkV2QueryJobs", 1), ("DailyBulkApiBatches", 1)):
            assert before[name]["Remaining"] - after[name]["Remaining"] == used, name
        assert {"DataStorageMB", "DailyBulkV2QueryFileStorageMB", "DailyAsyncApexExecutions"} <= set(after)
        assert all(set(entry) == {"Max", "Remaining"} for entry in after.values())


def test_columns_of_a_query(api):
    soql = "SELECT Id, HasOptedOutOfEmail, CreatedBy.Name, CreatedBy.Email FROM Lead"
    found = api("GET", "query", params={"q": soql, "columns": "true"}).json()
    assert (found["entityName"], found["idSelected"], found["keyPrefix"]) == ("Lead", True, "00Q")
    names = [(c["columnName"], c["apexType"], [j["columnName"] for j in c["joinColumns"]]) for c in found["columnMetadata"]]
    assert names == [("Id", "Id", []), ("HasOptedOutOfEmail", "Boolean", []), ("CreatedBy", None, ["Name", "Email"])]


class TestJobs:
    def finished(self, api, **more):
        order = {"operation": "query", "query": "SELECT Id, Company FROM Lead WHERE Company = 'Oulu Paper' ORDER BY Id", **more}
        path = f"jobs/query/{api('POST', 'jobs/query', json=order).json()['id']}"
        assert [api("GET", path).json()["state"] for _ in range(2)] == ["InProgress", "JobComplete"]
        return path

    def test_lists(self, api):
        query = self.finished(api).rpartition("/")[2]
        ingest = api("POST", "jobs/ingest", json={"operation": "insert", "object": "Lead"}).json()["id"]
        for kind, job, job_type, state in (("query", query, "V2Query", "JobComplete"), ("ingest", ingest, "V2Ingest", "Open")):
            found = api("GET", f"jobs/{kind}").json()
            assert (found["done"], found["nextRecordsUrl"]) == (True, None)
            entry = found["records"][0]
            assert (entry["id"], entry["jobType"], entry["state"], entry["apiVersion"]) == (job, job_type, state, 64.0)
            assert not [k for k in entry if k.startswith("_")]
            other = api("GET", f"jobs/{kind}", params={"jobType": "Classic"}).json()
            assert other == {"done": True, "records": [], "nextRecordsUrl": None}
        assert error(api("GET", "jobs/query", params={"queryLocator": "x"})) == (400, "INVALID_QUERY_LOCATOR")

    def test_parts_of_a_result_side_by_side(self, api):
        path = self.finished(api)
        found = api("GET", f"{path}/resultPages").json()
        assert (found["done"], found["nextRecordsUrl"]) == (True, None)
        assert 2 <= len(found["resultPages"]) <= 5
        parts = [api("GET", page["resultUrl"]).content.decode() for page in found["resultPages"]]
        whole = api("GET", f"{path}/results").content.decode()
        lines = [line for part in parts for line in part.splitlines()[1:]]
        assert lines == whole.splitlines()[1:]
        assert len(lines) == 4
        assert error(api("GET", f"/services/data/v63.0/{path}/resultPages"))[0] in (404, 409)

    @pytest.mark.parametrize(
        ("delimiter", "mark"), [("TAB", "\t"), ("SEMICOLON", ";"), ("PIPE", "|"), ("CARET", "^"), ("BACKQUOTE", "`")]
    )
    def test_delimiters_and_ends_of_lines(self, api, delimiter, mark):
        path = self.finished(api, columnDelimiter=delimiter, lineEnding="CRLF")
        assert api("GET", path).json()["columnDelimiter"] == delimiter
        text = api("GET", f"{path}/results").content.decode()
        assert text.splitlines(keepends=True)[0] == f'"Id"{mark}"Company"\r\n'
        rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=mark))
        assert [r["Company"] for r in rows] == ["Oulu Paper"] * 4

    def test_a_job_with_its_rows_in_one_request(self, api, lead):
        record_id = lead()
        files = {
            "job": (None, '{"object": "Lead", "operation": "update", "lineEnding": "LF"}', "application/json"),
            "content": ("content", f"Id,Title\n{record_id},Gärtner\n", "text/csv"),
        }
        made = api("POST", "jobs/ingest", files=files).json()
        assert made["state"] == "UploadComplete"
        path = f"jobs/ingest/{made['id']}"
        ended = [api("GET", path).json() for _ in range(2)][-1]
        assert (ended["state"], ended["numberRecordsProcessed"], ended["numberRecordsFailed"]) == ("JobComplete", 1, 0)
        assert api("GET", f"sobjects/Lead/{record_id}").json()["Title"] == "Gärtner"
        assert error(api("POST", "jobs/ingest", files={"job": files["job"]})) == (400, "INVALIDJOB")
        headers = {"Content-Type": "multipart/form-data"}
        assert error(api("POST", "jobs/ingest", data=b"x", headers=headers)) == (400, "MALFORMED_BODY")

    def test_upsert(self, api, lead):
        known = lead()
        order = {"object": "Lead", "operation": "upsert", "externalIdFieldName": "Id"}
        path = f"jobs/ingest/{api('POST', 'jobs/ingest', json=order).json()['id']}"
        text = f"Id,LastName,Company\n{known},Known,A\n,New,B\n00QSCR0zzzzzzzz,Absent,C\n"
        api("PUT", f"{path}/batches", data=text, headers={"Content-Type": "text/csv"})
        api("PATCH", path, json={"state": "UploadComplete"})
        assert [api("GET", path).json()["state"] for _ in range(2)][-1] == "JobComplete"
        rows = list(csv.DictReader(io.StringIO(api("GET", f"{path}/successfulResults").text)))
        assert [(r["LastName"], r["sf__Created"]) for r in rows] == [("Known", "false"), ("New", "true")]
        assert "Absent" in api("GET", f"{path}/failedResults").text
        for order in ({"operation": "upsert"}, {"operation": "upsert", "externalIdFieldName": "Email"}):
            assert error(api("POST", "jobs/ingest", json={"object": "Lead", **order})) == (400, "INVALIDJOB")
        reply = api("POST", "jobs/ingest", json={"object": "Lead", "operation": "hardDelete"})
        assert error(reply) == (400, "FEATURENOTENABLED")


class TestExternalIds:
    def test_rows(self, api, lead):
        record_id = lead()
        reply = api("PATCH", f"sobjects/Lead/Id/{record_id}", json={"Title": "x"})
        assert (reply.status_code, reply.json()["created"]) == (200, False)
        assert api("GET", f"sobjects/Lead/Id/{record_id}").json()["Title"] == "x"
        assert error(api("PATCH", "sobjects/Lead/Email/a@example.com", json={"Title": "x"})) == (404, "NOT_FOUND")
        assert api("DELETE", f"sobjects/Lead/Id/{record_id}").status_code == 204

    def test_a_collection(self, api, lead):
        known = lead()
        records = [
            {"attributes": {"type": "Lead"}, "LastName": "A", "Company": "B", **more}
            for more in ({"Id": known}, {}, {"Email": "x"})
        ]
        results = api("PATCH", "composite/sobjects/Lead/Id", json={"records": records}).json()
        assert [(r["success"], r.get("created")) for r in results] == [(True, False), (True, True), (False, None)]
        assert error(api("PATCH", "composite/sobjects/Lead/Email", json={"records": []})) == (404, "NOT_FOUND")


def test_a_composite_is_no_part_of_itself(api):
    part = {"method": "POST", "url": f"{api.base}/composite", "referenceId": "a", "body": {"compositeRequest": []}}
    assert error(api("POST", "composite", json={"compositeRequest": [part]})) == (400, "INVALID_URL")
