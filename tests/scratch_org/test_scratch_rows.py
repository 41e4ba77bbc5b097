"""Rows, conditional writes, history, composite, collections, bulk, sessions, limits: over real HTTP."""

from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
import requests
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import SalesforceExpiredSession, SalesforceGeneralError

BEFORE = "Mon, 02 Nov 2026 11:59:59 GMT"
AT = "Mon, 02 Nov 2026 12:00:00 GMT"
LATE = "2026-11-02T12:00:00.000+0000"


def error(reply):
    return reply.status_code, reply.json()[0]["errorCode"]


def patch_part(api, record_id, reference, values, since=None):
    headers = {"If-Unmodified-Since": since} if since else {}
    url = f"{api.base}/sobjects/Lead/{record_id}"
    return {"method": "PATCH", "url": url, "referenceId": reference, "httpHeaders": headers, "body": values}


def composite(api, *parts, all_or_none=False):
    reply = api("POST", "composite/", json={"allOrNone": all_or_none, "compositeRequest": list(parts)})
    assert reply.status_code == 200, reply.text
    return reply.json()["compositeResponse"]


class TestRows:
    def test_read_by_short_and_long_id(self, api):
        for record_id in ("00QSCR000000101", "00QSCR0000001012BA"):
            reply = api("GET", f"sobjects/Lead/{record_id}", params={"fields": "Email,HasOptedOutOfEmail"})
            assert reply.json()["HasOptedOutOfEmail"] is True
            assert set(reply.json()) == {"attributes", "Email", "HasOptedOutOfEmail"}

    def test_every_reply_names_the_orgs_time_and_usage(self, api):
        first, second = api("GET", "limits"), api("GET", "limits/")
        used = [int(r.headers["Sforce-Limit-Info"].removeprefix("api-usage=").split("/")[0]) for r in (first, second)]
        assert used[1] == used[0] + 1
        assert first.headers["Date"] == AT
        assert first.headers["Content-Type"] == "application/json;charset=UTF-8"
        assert second.json()["DailyApiRequests"]["Remaining"] == second.json()["DailyApiRequests"]["Max"] - used[1]

    def test_if_modified_since(self, api, lead):
        record_id = lead()
        assert api("GET", f"sobjects/Lead/{record_id}", headers={"If-Modified-Since": AT}).status_code == 304
        reply = api("GET", f"sobjects/Lead/{record_id}", headers={"If-Modified-Since": BEFORE})
        assert reply.status_code == 200
        assert reply.headers["Last-Modified"] == AT

    def test_conditional_write(self, api, lead):
        path = f"sobjects/Lead/{lead(HasOptedOutOfEmail=True)}"
        clear = {"HasOptedOutOfEmail": False}
        reply = api("PATCH", path, json=clear, headers={"If-Unmodified-Since": BEFORE})
        assert error(reply) == (412, "ENTITY_FAILED_IFLASTMODIFIED_ON_UPDATE")
        assert api("GET", path).json()["HasOptedOutOfEmail"] is True
        assert error(api("PATCH", path, json=clear, headers={"If-Unmodified-Since": "yesterday"}))[0] == 400
        reply = api("PATCH", path + "/", json=clear, headers={"If-Unmodified-Since": AT})
        assert (reply.status_code, reply.content) == (204, b"")
        assert api("GET", path).json()["HasOptedOutOfEmail"] is False

    def test_chunked_body(self, api, lead):
        path = f"sobjects/Lead/{lead()}"
        assert api("PATCH", path, data=iter([b'{"Title":', b'"Buyer"}'])).status_code == 204
        assert api("GET", path).json()["Title"] == "Buyer"

    @pytest.mark.parametrize(
        ("values", "status", "code"),
        [
            ({"Nope": 1}, 400, "INVALID_FIELD"),
            ({"IsConverted": True}, 400, "INVALID_FIELD_FOR_INSERT_UPDATE"),
            ({"HasOptedOutOfEmail": "perhaps"}, 400, "INVALID_TYPE_ON_FIELD_IN_RECORD"),
            ({"HasOptedOutOfEmail": None}, 400, "INVALID_TYPE_ON_FIELD_IN_RECORD"),
            ({"Email": "no address"}, 400, "INVALID_EMAIL_ADDRESS"),
            ({"LastName": "x" * 81}, 400, "STRING_TOO_LONG"),
            ({"LastName": None}, 400, "REQUIRED_FIELD_MISSING"),
            ({"OwnerId": "00QSCR000000101"}, 400, "MALFORMED_ID"),
            ([1], 400, "JSON_PARSER_ERROR"),
        ],
    )
    def test_wrong_values(self, api, lead, values, status, code):
        assert error(api("PATCH", f"sobjects/Lead/{lead()}", json=values)) == (status, code)

    def test_read_only_by_permission(self, org, api, lead):
        record_id = lead()
        order = {"object": "Lead", "field": "HasOptedOutOfEmail"}
        org.control("/permissions", {**order, "updateable": False})
        reply = api("PATCH", f"sobjects/Lead/{record_id}", json={"hasOptedOutOfEmail": True})
        fields = {f["name"]: f["updateable"] for f in api("GET", "sobjects/Lead/describe").json()["fields"]}
        org.control("/permissions", order)
        assert error(reply) == (400, "INVALID_FIELD_FOR_INSERT_UPDATE")
        assert reply.json()[0]["fields"] == ["HasOptedOutOfEmail"]
        assert fields["HasOptedOutOfEmail"] is False

    def test_gone_missing_and_converted(self, org, api, lead):
        assert error(api("GET", "sobjects/Lead/00QSCR000000104")) == (404, "ENTITY_IS_DELETED")
        assert error(api("PATCH", "sobjects/Lead/00QSCR000000104", json={"Title": "x"})) == (404, "ENTITY_IS_DELETED")
        assert error(api("GET", "sobjects/Lead/00QSCR0zzzzzzzz")) == (404, "NOT_FOUND")
        assert error(api("GET", "sobjects/Nothing/00QSCR000000104")) == (404, "NOT_FOUND")
        assert error(api("GET", "nothing")) == (404, "NOT_FOUND")
        assert error(api("PUT", "limits")) == (405, "METHOD_NOT_ALLOWED")
        record_id = lead(HasOptedOutOfEmail=True)
        contact = org.control("/convert", {"id": record_id})["contact"]
        reply = api("PATCH", f"sobjects/Lead/{record_id}", json={"HasOptedOutOfEmail": False})
        assert error(reply) == (400, "CANNOT_UPDATE_CONVERTED_LEAD")
        assert api("GET", f"sobjects/Lead/{record_id}").json()["ConvertedContactId"] == contact
        assert api("GET", f"sobjects/Contact/{contact}").json()["HasOptedOutOfEmail"] is True

    def test_person_account_and_its_contact_move_together(self, api):
        body = {"LastName": "Ito", "PersonEmail": "ito@example.com", "PersonHasOptedOutOfEmail": True}
        account = api("POST", "sobjects/Account", json=body).json()["id"]
        contact = api("GET", f"sobjects/Account/{account}").json()["PersonContactId"]
        assert api("PATCH", f"sobjects/Account/{account}", json={"PersonHasOptedOutOfEmail": False}).status_code == 204
        assert api("GET", f"sobjects/Contact/{contact}").json()["HasOptedOutOfEmail"] is False
        reply = api("PATCH", f"sobjects/Contact/{contact}", json={"HasOptedOutOfEmail": True})
        assert error(reply) == (400, "INSUFFICIENT_ACCESS_OR_READONLY")


class TestHistory:
    def history(self, api, record_id):
        soql = f"SELECT OldValue, NewValue, CreatedBy.Name FROM LeadHistory WHERE LeadId = '{record_id}'"
        rows = api.query(f"{soql} AND Field = 'HasOptedOutOfEmail' ORDER BY Id")
        return [(r["OldValue"], r["NewValue"], r["CreatedBy"]["Name"]) for r in rows]

    def test_changes_only(self, org, api, lead):
        record_id = lead()
        org.control("/write", {"object": "Lead", "id": record_id, "values": {"HasOptedOutOfEmail": True}, "user": "Web Form"})
        for _ in range(2):
            api("PATCH", f"sobjects/Lead/{record_id}", json={"HasOptedOutOfEmail": False})
        assert self.history(api, record_id) == [(False, True, "Web Form"), (True, False, "Workbench Integration")]

    def test_not_while_tracking_is_off_but_the_ledger_knows(self, org, api, lead):
        record_id = lead()
        org.control("/history", {"tracking": False})
        api("PATCH", f"sobjects/Lead/{record_id}", json={"HasOptedOutOfEmail": True})
        assert self.history(api, record_id) == []
        (change,) = [c for c in org.control("/changes")["changes"] if c["id"] == record_id]
        assert (change["old"], change["new"], change["at"]) == (False, True, LATE)

    def test_a_write_without_a_change_moves_the_stamps(self, org, api, lead):
        record_id = lead()
        org.control("/clock", {"advance": 5})
        api("PATCH", f"sobjects/Lead/{record_id}", json={"HasOptedOutOfEmail": False})
        row = api("GET", f"sobjects/Lead/{record_id}").json()
        org.control("/clock", {"advance": -5})
        assert row["LastModifiedDate"] == row["SystemModstamp"] == "2026-11-02T12:00:05.000+0000"
        assert self.history(api, record_id) == []

    def test_a_system_write_moves_only_the_system_stamp(self, org, api, lead):
        record_id = lead()
        order = {"object": "Lead", "id": record_id, "values": {"EmailBouncedReason": "550"}, "system": True}
        org.control("/write", {**order, "at": "2026-11-02T12:00:09Z"})
        row = api("GET", f"sobjects/Lead/{record_id}").json()
        assert (row["LastModifiedDate"], row["SystemModstamp"]) == (LATE, "2026-11-02T12:00:09.000+0000")


class TestComposite:
    def test_each_row_has_its_own_condition(self, api, lead):
        fresh, stale = lead(HasOptedOutOfEmail=True), lead(HasOptedOutOfEmail=True)
        clear = {"HasOptedOutOfEmail": False}
        results = composite(api, patch_part(api, fresh, "a", clear, AT), patch_part(api, stale, "b", clear, BEFORE))
        assert [(r["referenceId"], r["httpStatusCode"]) for r in results] == [("a", 204), ("b", 412)]
        assert results[1]["body"][0]["errorCode"] == "ENTITY_FAILED_IFLASTMODIFIED_ON_UPDATE"
        rows = api.query(f"SELECT HasOptedOutOfEmail FROM Lead WHERE Id IN ('{fresh}', '{stale}') ORDER BY Id")
        assert [r["HasOptedOutOfEmail"] for r in rows] == [False, True]

    def test_all_or_none(self, api, lead):
        fresh, stale = lead(HasOptedOutOfEmail=True), lead(HasOptedOutOfEmail=True)
        clear = {"HasOptedOutOfEmail": False}
        parts = (patch_part(api, fresh, "a", clear, AT), patch_part(api, stale, "b", clear, BEFORE))
        results = composite(api, *parts, patch_part(api, fresh, "c", clear), all_or_none=True)
        assert [r["httpStatusCode"] for r in results] == [400, 412, 400]
        assert results[0]["body"][0]["errorCode"] == results[2]["body"][0]["errorCode"] == "PROCESSING_HALTED"
        assert api("GET", f"sobjects/Lead/{fresh}").json()["HasOptedOutOfEmail"] is True

    def test_references(self, api):
        create = {
            "method": "POST",
            "url": f"{api.base}/sobjects/Lead",
            "referenceId": "new",
            "body": {"LastName": "Strand", "Company": "Porto Foods"},
        }
        read = {"method": "GET", "url": f"{api.base}/sobjects/Lead/@{{new.id}}?fields=Name", "referenceId": "read"}
        lost = {"method": "GET", "url": f"{api.base}/sobjects/Lead/@{{old.id}}", "referenceId": "lost"}
        results = composite(api, create, read, lost)
        assert results[1]["body"]["Name"] == "Strand"
        assert (results[2]["httpStatusCode"], results[2]["body"][0]["errorCode"]) == (400, "PROCESSING_HALTED")

    @pytest.mark.parametrize(
        ("count", "change", "code"),
        [
            (26, {}, "LIMIT_EXCEEDED"),
            (6, {"url": "/services/data/v64.0/query?q=SELECT+Id+FROM+Lead"}, "LIMIT_EXCEEDED"),
            (2, {"referenceId": "same"}, "DUPLICATE_REFERENCE_ID"),
            (1, {"referenceId": "a-b"}, "INVALID_REFERENCE_ID"),
            (1, {"httpHeaders": {"Authorization": "x"}}, "INVALID_HEADER"),
            (1, {"url": "sobjects/Lead"}, "INVALID_URL"),
        ],
    )
    def test_rules_for_the_whole_request(self, api, count, change, code):
        parts = [{"method": "GET", "url": f"{api.base}/limits", "referenceId": f"r{n}", **change} for n in range(count)]
        assert error(api("POST", "composite", json={"compositeRequest": parts})) == (400, code)


class TestCollections:
    def records(self, *ids, **values):
        return [{"attributes": {"type": "Lead"}, "id": i, **values} for i in ids]

    def test_partial_errors(self, api, lead):
        good = lead()
        body = {"records": self.records(good, "00QSCR000000104", "00QSCR0zzzzzzzz", "003SCR000000001", Title="Owner")}
        results = api("PATCH", "composite/sobjects", json=body).json()
        assert [r["success"] for r in results] == [True, False, False, False]
        codes = [r["errors"][0]["statusCode"] for r in results[1:]]
        assert codes == ["ENTITY_IS_DELETED", "INVALID_CROSS_REFERENCE_KEY", "MALFORMED_ID"]
        assert results[0] == {"id": good, "success": True, "errors": []}

    def test_all_or_none(self, api, lead):
        good = lead()
        body = {"allOrNone": True, "records": self.records(good, "00QSCR000000104", Title="Owner")}
        results = api("PATCH", "composite/sobjects", json=body).json()
        assert results[0]["errors"][0]["statusCode"] == "ALL_OR_NONE_OPERATION_ROLLED_BACK"
        assert api("GET", f"sobjects/Lead/{good}").json()["Title"] is None

    def test_too_many_and_duplicates(self, api, lead):
        record_id = lead()
        assert error(api("PATCH", "composite/sobjects", json={"records": self.records(*["x"] * 201)}))[0] == 400
        reply = api("PATCH", "composite/sobjects", json={"records": self.records(record_id, record_id[:15])})
        assert reply.json()[0]["message"] == "Duplicate id specified"

    def test_create_read_and_delete(self, api):
        new = [{"attributes": {"type": "Lead"}, "LastName": n, "Company": "Turin Water"} for n in ("A", "B")]
        ids = [r["id"] for r in api("POST", "composite/sobjects", json={"records": new}).json()]
        asked = {"ids": [ids[1], "00QSCR0zzzzzzzz", ids[0][:15]], "fields": ["Name"]}
        rows = api("POST", "composite/sobjects/Lead", json=asked).json()
        assert [r and r["Name"] for r in rows] == ["B", None, "A"]
        rows = api("GET", "composite/sobjects/Lead", params={"ids": ",".join(ids), "fields": "Id,Name"}).json()
        assert [r["Id"] for r in rows] == ids
        assert all(r["success"] for r in api("DELETE", "composite/sobjects", params={"ids": ",".join(ids)}).json())
        assert error(api("GET", f"sobjects/Lead/{ids[0]}")) == (404, "ENTITY_IS_DELETED")


class TestSessions:
    def test_a_token_is_required(self, org, api):
        reply = requests.get(f"{org.url}{api.base}/limits", timeout=10)
        assert error(reply) == (401, "INVALID_SESSION_ID")
        assert error(api("GET", "limits", headers={"Authorization": "Bearer wrong"})) == (401, "INVALID_SESSION_ID")

    def test_client_credentials_by_header_and_body(self, org, api):
        form = {"grant_type": "client_credentials"}
        url = f"{org.url}/services/oauth2/token"
        basic = requests.post(url, form, auth=(org.client_id, org.client_secret), timeout=10)
        secrets = {"client_id": org.client_id, "client_secret": org.client_secret}
        body = requests.post(url, form | secrets, timeout=10)
        for reply in (basic, body):
            assert reply.json()["instance_url"] == org.url
            token = {"Authorization": f"Bearer {reply.json()['access_token']}"}
            assert api("GET", "limits", headers=token).status_code == 200
        wrong = requests.post(url, form, auth=(org.client_id, "wrong"), timeout=10)
        assert (wrong.status_code, wrong.json()["error"]) == (400, "invalid_client")
        assert requests.post(url, {"grant_type": "password"}, timeout=10).json()["error"] == "unsupported_grant_type"

    def test_userinfo_and_versions(self, org, api):
        info = api("GET", "/services/oauth2/userinfo").json()
        assert info["organization_id"] == org.org_id
        assert api.query(f"SELECT Name FROM User WHERE Id = '{info['user_id']}'")[0]["Name"] == "Workbench Integration"
        assert "64.0" in [v["version"] for v in requests.get(f"{org.url}/services/data", timeout=10).json()]
        assert error(api("GET", "/services/data/v20.0/limits")) == (410, "UNSUPPORTED_API_VERSION")

    def test_other_hosts_are_refused(self, org):
        assert requests.get(f"{org.url}/", headers={"Host": "evil.example.com"}, timeout=10).status_code == 421
        assert requests.get(f"{org.control_url}/state", headers={"Host": "evil.example.com"}, timeout=10).status_code == 421
        origin = {"Origin": "http://evil.example.com"}
        assert requests.post(f"{org.control_url}/stop", headers=origin, timeout=10).status_code == 403

    def test_it_says_what_it_is(self, org, api):
        assert "This is not Salesforce" in requests.get(org.url, timeout=10).text
        assert api.query("SELECT Name, IsSandbox FROM Organization")[0]["Name"] == "Scratch Org"

    def test_the_daily_limit(self, org, api):
        limits = org.control("/limits", {"used": 10, "max": 11})
        assert limits == {"max": 11, "used": 10}
        assert api("GET", "limits").status_code == 200
        assert error(api("GET", "limits")) == (403, "REQUEST_LIMIT_EXCEEDED")
        org.control("/limits", {"used": 0, "max": 100_000})


class TestChangedRows:
    def ask(self, api, what, start, end):
        return api("GET", f"sobjects/Lead/{what}/", params={"start": start, "end": end})

    def test_updated_and_deleted(self, org, api, lead):
        kept, gone = lead(), lead()
        org.control("/clock", {"at": "2026-11-02T12:10:30Z"})
        org.control("/delete", {"object": "Lead", "id": gone})
        org.control("/clock", {"at": "2026-11-02T12:20:30Z"})
        updated = self.ask(api, "updated", "2026-11-02T12:00:59Z", "2026-11-02T13:00:00+00:00").json()
        deleted = self.ask(api, "deleted", "2026-11-02T12:00:00Z", "2026-11-02T13:00:00Z").json()
        org.control("/clock", {"at": "2026-11-02T12:00:00Z"})
        assert kept in updated["ids"]
        assert gone not in updated["ids"]
        assert updated["latestDateCovered"] == "2026-11-02T12:20:00.000+0000"
        assert {"id": gone, "deletedDate": "2026-11-02T12:10:30.000+0000"} in deleted["deletedRecords"]

    @pytest.mark.parametrize(
        ("start", "end"),
        [
            ("2026-11-02T11:00:00", "2026-11-02T12:00:00Z"),
            ("2026-11-02T11:00:01Z", "2026-11-02T11:00:59Z"),
            ("2026-09-02T11:00:00Z", "2026-11-02T12:00:00Z"),
        ],
    )
    def test_wrong_windows(self, api, start, end):
        assert error(self.ask(api, "updated", start, end)) == (400, "INVALID_REPLICATION_DATE")


class TestBulk:
    def job(self, api, soql, operation="query"):
        return api("POST", "jobs/query", json={"operation": operation, "query": soql})

    def finished(self, api, soql, operation="query"):
        job = self.job(api, soql, operation).json()
        states = [job["state"], *(api("GET", f"jobs/query/{job['id']}").json()["state"] for _ in range(2))]
        assert states == ["UploadComplete", "InProgress", "JobComplete"]
        return f"jobs/query/{job['id']}"

    def test_pages(self, api):
        soql = "SELECT Id, Email, CreatedDate, HasOptedOutOfEmail FROM Lead WHERE Company = 'Oulu Paper' ORDER BY Id"
        path = self.finished(api, soql)
        first = api("GET", f"{path}/results", params={"maxRecords": 3})
        assert first.headers["Sforce-NumberOfRecords"] == "3"
        following = {"maxRecords": 3, "locator": first.headers["Sforce-Locator"]}
        for _ in range(2):
            second = api("GET", f"{path}/results", params=following)
            assert (second.headers["Sforce-Locator"], second.headers["Sforce-NumberOfRecords"]) == ("null", "1")
        lines = first.content.decode().splitlines()
        assert lines[0] == '"Id","Email","CreatedDate","HasOptedOutOfEmail"'
        assert lines[2].endswith('"Noel.Lefevre@example.org","2026-03-01T08:00:00.000Z","true"')
        assert second.content.decode().splitlines()[1].split(",")[1] == '""'
        assert api("GET", f"{path}/results").headers["Sforce-Locator"] == "null"
        assert error(api("GET", f"/services/data/v63.0/{path}/results"))[0] == 409

    def test_query_all_abort_delete_and_refusals(self, api):
        soql = "SELECT Id FROM Lead WHERE Email = 'gone@example.com'"
        path = self.finished(api, soql, "queryAll")
        assert api("GET", f"{path}/results").headers["Sforce-NumberOfRecords"] == "1"
        assert api("DELETE", path).status_code == 204
        assert error(api("GET", path)) == (404, "NOT_FOUND")
        path = f"jobs/query/{self.job(api, soql).json()['id']}"
        assert error(api("GET", f"{path}/results"))[0] == 400
        assert error(api("DELETE", path))[0] == 400
        assert api("PATCH", path, json={"state": "Aborted"}).json()["state"] == "Aborted"
        assert error(self.job(api, "SELECT COUNT() FROM Lead"))[0] == 400
        assert error(self.job(api, "SELECT Nope FROM Lead")) == (400, "INVALID_FIELD")
        assert error(self.job(api, soql, "insert"))[0] == 400


class TestSimpleSalesforce:
    def test_rows_and_queries(self, client):
        new = client.Lead.create({"LastName": "Vogel", "Company": "Lviv Machines", "Email": "vogel@example.com"})
        assert new["success"]
        assert client.Lead.update(new["id"], {"HasOptedOutOfEmail": True}) == 204
        assert client.Lead.get(new["id"])["HasOptedOutOfEmail"] is True
        with pytest.raises(SalesforceGeneralError) as caught:
            client.Lead.update(new["id"], {"Title": "x"}, headers={"If-Unmodified-Since": BEFORE})
        assert caught.value.status == 412
        assert client.Lead.delete(new["id"]) == 204
        assert client.query_all("SELECT Id FROM Lead WHERE Email = 'vogel@example.com'")["totalSize"] == 0
        deleted = client.query_all("SELECT Id FROM Lead WHERE Email = 'vogel@example.com'", include_deleted=True)
        assert [r["Id"] for r in deleted["records"]] == [new["id"]]
        assert "Email" in [f["name"] for f in client.Contact.describe()["fields"]]
        assert client.api_usage["api-usage"].used > 0

    def test_paging(self, client, org):
        records = [{"attributes": {"type": "Contact"}, "LastName": f"Page {n}"} for n in range(200)]
        for _ in range(3):
            client.restful("composite/sobjects", method="POST", json={"records": records})
        soql = "SELECT Id FROM Contact WHERE LastName LIKE 'Page%'"
        first = client.query(soql, headers={"Sforce-Query-Options": "batchSize=250"})
        assert (first["totalSize"], len(first["records"]), first["done"]) == (600, 250, False)
        second = client.query_more(first["nextRecordsUrl"], identifier_is_url=True)
        third = client.query_more(second["nextRecordsUrl"], identifier_is_url=True)
        ids = {r["Id"] for page in (first, second, third) for r in page["records"]}
        assert (len(ids), third["done"]) == (600, True)
        org.control("/clock", {"advance": 3 * 86_400})
        with pytest.raises(Exception, match="INVALID_QUERY_LOCATOR"):
            client.query_more(first["nextRecordsUrl"], identifier_is_url=True)
        org.control("/clock", {"advance": -3 * 86_400})

    def test_updated_and_deleted(self, client):
        end = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
        assert "ids" in client.Lead.updated(end - timedelta(days=1), end)
        assert "deletedRecords" in client.Lead.deleted(end - timedelta(days=1), end)

    def test_bulk_query(self, client):
        pages = list(
            client.bulk2.Lead.query("SELECT Id, LastName FROM Lead WHERE Company = 'Oulu Paper'", max_records=3, wait=0.01)
        )
        assert [len(p.splitlines()) for p in pages] == [4, 2]
        assert "Ångström" in pages[0]

    def test_an_ended_session(self, org, client):
        org.control("/tokens", {"expire": True})
        with pytest.raises(SalesforceExpiredSession):
            client.query("SELECT Id FROM Lead")
        fresh = requests.post(
            f"{org.url}/services/oauth2/token",
            {"grant_type": "client_credentials"},
            auth=(org.client_id, org.client_secret),
            timeout=10,
        ).json()["access_token"]
        org.access_token = fresh

    def test_login_with_client_credentials(self, org):
        class Rerouted(HTTPAdapter):
            def send(self, request, *args, **kwargs):
                request.url = f"{org.url}/{request.url.split('/', 3)[3]}"
                return super().send(request, *args, **kwargs)

        session = requests.Session()
        session.mount("https://", Rerouted())
        found = Salesforce(
            consumer_key=org.client_id,
            consumer_secret=org.client_secret,
            domain="scratch.my",
            session=session,
            version="64.0",
        )
        assert found.query("SELECT COUNT() FROM Organization")["totalSize"] == 1


def test_a_quoted_plus_stays_a_plus(api):
    soql = quote("SELECT Id FROM Lead WHERE Email = 'a+b@example.com'")
    assert api("GET", f"query?q={soql}").json()["totalSize"] == 0
