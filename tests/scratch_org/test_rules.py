"""What an administrator forbids, and what is held by somebody else: validation rules, duplicate rules, long transactions."""

import csv
import io

import pytest

from workbench.scratch_org import ScratchOrgError

RULE = {"object": "Lead", "when": "HasOptedOutOfEmail = false AND Title = 'Guarded'", "message": "Guarded leads stay opted out"}
BROKEN = "FIELD_CUSTOM_VALIDATION_EXCEPTION"
CLEAR = {"HasOptedOutOfEmail": False}


def error(reply):
    return reply.status_code, reply.json()[0]["errorCode"]


def patch(api, record_id, values, reference="a", headers=None):
    url = f"{api.base}/sobjects/Lead/{record_id}"
    return {"method": "PATCH", "url": url, "referenceId": reference, "httpHeaders": headers or {}, "body": values}


def ingested(api, operation, text):
    """The failed rows of a bulk job."""
    path = f"jobs/ingest/{api('POST', 'jobs/ingest', json={'operation': operation, 'object': 'Lead'}).json()['id']}"
    api("PUT", f"{path}/batches", data=text.encode(), headers={"Content-Type": "text/csv"})
    api("PATCH", path, json={"state": "UploadComplete"})
    assert [api("GET", path).json()["state"] for _ in range(2)] == ["InProgress", "JobComplete"]
    return list(csv.DictReader(io.StringIO(api("GET", f"{path}/failedResults").content.decode())))


@pytest.fixture
def guarded(org, lead):
    """A lead that a validation rule keeps opted out."""
    org.control("/rules", RULE | {"field": "HasOptedOutOfEmail"})
    yield lead(Title="Guarded", HasOptedOutOfEmail=True)
    org.control("/rules", {"clear": True})


class TestValidationRules:
    def opted_out(self, api, record_id):
        return api("GET", f"sobjects/Lead/{record_id}").json()["HasOptedOutOfEmail"]

    def test_a_row(self, api, guarded):
        reply = api("PATCH", f"sobjects/Lead/{guarded}", json=CLEAR)
        assert reply.status_code == 400
        expected = {"message": RULE["message"], "errorCode": BROKEN, "fields": ["HasOptedOutOfEmail"]}
        assert reply.json() == [expected]
        assert self.opted_out(api, guarded) is True
        assert api("PATCH", f"sobjects/Lead/{guarded}", json={**CLEAR, "Title": "Free"}).status_code == 204

    def test_a_new_row(self, api, guarded):
        before = api.query("SELECT Id FROM Lead WHERE Title = 'guarded'")
        reply = api("POST", "sobjects/Lead", json={"LastName": "A", "Company": "B", "Title": "Guarded"})
        assert error(reply) == (400, BROKEN)
        assert api.query("SELECT Id FROM Lead WHERE Title = 'guarded'") == before

    def test_a_collection(self, api, lead, guarded):
        free = lead(HasOptedOutOfEmail=True)
        records = [{"attributes": {"type": "Lead"}, "id": i, **CLEAR} for i in (free, guarded)]
        good, bad = api("PATCH", "composite/sobjects", json={"records": records}).json()
        assert good["success"]
        assert bad["errors"] == [{"statusCode": BROKEN, "message": RULE["message"], "fields": ["HasOptedOutOfEmail"]}]
        assert (self.opted_out(api, free), self.opted_out(api, guarded)) == (False, True)

    def test_a_composite(self, api, lead, guarded):
        free = lead(HasOptedOutOfEmail=True)
        parts = [patch(api, free, CLEAR, "free"), patch(api, guarded, CLEAR, "guarded")]
        results = api("POST", "composite", json={"compositeRequest": parts}).json()["compositeResponse"]
        assert [r["httpStatusCode"] for r in results] == [204, 400]
        assert results[1]["body"][0]["errorCode"] == BROKEN
        assert (self.opted_out(api, free), self.opted_out(api, guarded)) == (False, True)

    def test_a_bulk_job(self, api, guarded):
        (row,) = ingested(api, "update", f"Id,HasOptedOutOfEmail\n{guarded},false\n")
        assert row["sf__Error"] == f"{BROKEN}:{RULE['message']}:HasOptedOutOfEmail--"
        assert self.opted_out(api, guarded) is True

    def test_a_hidden_field_counts_and_other_users_are_not_asked(self, org, api, guarded):
        org.control("/permissions", {"object": "Lead", "field": "Title", "readable": False})
        reply = api("PATCH", f"sobjects/Lead/{guarded}", json=CLEAR)
        org.control("/permissions", {"object": "Lead", "field": "Title"})
        assert error(reply) == (400, BROKEN)
        org.control("/write", {"object": "Lead", "id": guarded, "values": CLEAR})
        assert self.opted_out(api, guarded) is False

    @pytest.mark.parametrize(
        ("path", "order", "sentence"),
        [
            ("/rules", RULE | {"when": "Title = "}, "MALFORMED_QUERY"),
            ("/rules", RULE | {"when": "Nope = null"}, "INVALID_FIELD"),
            ("/rules", RULE | {"field": "Nope"}, "Lead has no field Nope"),
            ("/rules", RULE | {"object": "LeadHistory"}, "No rules for LeadHistory"),
            ("/duplicates", {"object": "Lead", "fields": ["Nope"]}, "needs fields of Lead"),
            ("/duplicates", {"object": "Lead", "fields": []}, "needs fields of Lead"),
            ("/begin", {"object": "Lead", "id": "00QSCR0zzzzzzzz", "values": {}}, "NOT_FOUND"),
            ("/commit", {"transaction": 4711}, "No open transaction 4711"),
        ],
    )
    def test_wrong_orders(self, org, path, order, sentence):
        with pytest.raises(ScratchOrgError, match=sentence):
            org.control(path, order)


class TestDuplicateRules:
    @pytest.fixture
    def known(self, org, lead):
        first = lead(Email="twice@example.com")
        org.control("/duplicates", {"object": "Lead", "fields": ["email"]})
        yield first
        org.control("/rules", {"clear": True})
        org.control("/delete", {"object": "Lead", "id": first})

    def test_a_second_one_is_refused_unless_the_header_allows_it(self, api, known):
        body = {"LastName": "Again", "Company": "B", "Email": "TWICE@example.com"}
        reply = api("POST", "sobjects/Lead", json=body)
        assert error(reply) == (400, "DUPLICATES_DETECTED")
        assert reply.json()[0]["message"] == "Use one of these records?"
        (match,) = reply.json()[0]["duplicateResult"]["matchResults"]
        assert [m["record"]["Id"] for m in match["matchRecords"]] == [known]
        allowed = api("POST", "sobjects/Lead", json=body, headers={"Sforce-Duplicate-Rule-Header": "allowSave=true"})
        assert allowed.status_code == 201
        assert api("DELETE", f"sobjects/Lead/{allowed.json()['id']}").status_code == 204

    def test_a_change_and_a_collection(self, api, lead, known):
        other = lead(Email="once@example.com")
        assert error(api("PATCH", f"sobjects/Lead/{other}", json={"Email": "twice@example.com"}))[1] == "DUPLICATES_DETECTED"
        record = {"attributes": {"type": "Lead"}, "LastName": "A", "Company": "B", "Email": "twice@example.com"}
        (result,) = api("POST", "composite/sobjects", json={"records": [record]}).json()
        assert result["errors"][0]["statusCode"] == "DUPLICATES_DETECTED"
        assert api("PATCH", f"sobjects/Lead/{known}", json={"Title": "x"}).status_code == 204, "its fields aren't written"

    def test_a_rule_that_blocks_can_not_be_talked_out_of_it(self, org, api, lead):
        lead(Title="One only")
        org.control("/duplicates", {"object": "Lead", "fields": ["Title"], "allow_save": False})
        body = {"LastName": "Again", "Company": "B", "Title": "one only"}
        reply = api("POST", "sobjects/Lead", json=body, headers={"Sforce-Duplicate-Rule-Header": "allowSave=true"})
        org.control("/rules", {"clear": True})
        assert error(reply) == (400, "DUPLICATES_DETECTED")


class TestLongTransactions:
    def test_it_holds_its_record_and_commits_late_with_the_stamps_of_its_beginning(self, org, api, lead):
        record_id, path = (i := lead()), f"sobjects/Lead/{i}"
        org.control("/clock", {"at": "2026-11-02T12:10:40Z"})
        order = {"object": "Lead", "id": record_id, "values": {"HasOptedOutOfEmail": True}, "user": "Web Form"}
        held = org.control("/begin", order)["transaction"]
        org.control("/clock", {"at": "2026-11-02T12:30:20Z"})
        window = {"start": "2026-11-02T12:05:00Z", "end": "2026-11-02T12:40:00Z"}
        try:
            assert api("GET", path).json()["HasOptedOutOfEmail"] is False
            assert error(api("PATCH", path, json={"Title": "x"})) == (400, "UNABLE_TO_LOCK_ROW")
            (part,) = api("POST", "composite", json={"compositeRequest": [patch(api, record_id, CLEAR)]}).json()[
                "compositeResponse"
            ]
            assert part["body"][0]["errorCode"] == "UNABLE_TO_LOCK_ROW"
            assert error(api("DELETE", path)) == (400, "UNABLE_TO_LOCK_ROW")
            before = api("GET", "sobjects/Lead/updated", params=window).json()
            assert record_id not in before["ids"]
            assert before["latestDateCovered"] == "2026-11-02T12:10:00.000+0000"
            assert api("GET", "sobjects/Lead/deleted", params=window).json()["latestDateCovered"] == before["latestDateCovered"]
            assert org.control("/commit", {"transaction": held})["opt_out"] == {"HasOptedOutOfEmail": [False, True]}
            row = api("GET", path).json()
            assert (row["HasOptedOutOfEmail"], row["SystemModstamp"]) == (True, "2026-11-02T12:10:40.000+0000")
            after = api("GET", "sobjects/Lead/updated", params=window).json()
            assert record_id in after["ids"]
            assert after["latestDateCovered"] == "2026-11-02T12:30:00.000+0000"
        finally:
            org.control("/clock", {"at": "2026-11-02T12:00:00Z"})

    def test_one_that_is_rolled_back_leaves_nothing(self, org, api, lead):
        record_id = lead()
        order = {"object": "Lead", "id": record_id, "values": {"HasOptedOutOfEmail": True}}
        held = org.control("/begin", order)["transaction"]
        with pytest.raises(ScratchOrgError, match="held by another transaction"):
            org.control("/begin", order)
        org.control("/commit", {"transaction": held, "rollback": True})
        assert api("PATCH", f"sobjects/Lead/{record_id}", json={"Title": "x"}).status_code == 204
        assert [c for c in org.control("/changes")["changes"] if c["id"] == record_id] == []


class TestPersonAccounts:
    @pytest.fixture
    def person(self, api):
        body = {"LastName": "Ito", "FirstName": "陽子", "PersonEmail": "ito@example.com"}
        account = api("POST", "sobjects/Account", json=body).json()["id"]
        return account, api("GET", f"sobjects/Account/{account}").json()["PersonContactId"]

    def test_opt_outs_address_and_stamps_are_mirrored(self, org, api, person):
        account, contact = person
        org.control("/clock", {"advance": 7})
        body = {"PersonHasOptedOutOfEmail": True, "Sales_Opt_Out__pc": True, "PersonEmail": "yoko@example.com"}
        assert api("PATCH", f"sobjects/Account/{account}", json=body).status_code == 204
        org.control("/clock", {"advance": -7})
        soql = f"SELECT HasOptedOutOfEmail, Sales_Opt_Out__c, Email, Name, IsPersonAccount, SystemModstamp FROM Contact WHERE Id = '{contact}'"
        (row,) = api.query(soql)
        (upper,) = api.query(f"SELECT IsPersonAccount, SystemModstamp FROM Account WHERE Id = '{account}'")
        assert (row["HasOptedOutOfEmail"], row["Sales_Opt_Out__c"], row["Email"]) == (True, True, "yoko@example.com")
        assert (row["Name"], row["IsPersonAccount"], upper["IsPersonAccount"]) == ("陽子 Ito", True, True)
        assert row["SystemModstamp"] == upper["SystemModstamp"] == "2026-11-02T12:00:07.000+0000"

    def test_its_contact_is_not_written_and_its_name_comes_from_its_parts(self, api, person):
        account, contact = person
        reply = api("PATCH", f"sobjects/Contact/{contact}", json={"HasOptedOutOfEmail": True})
        assert error(reply) == (400, "INSUFFICIENT_ACCESS_OR_READONLY")
        reply = api("PATCH", f"sobjects/Account/{account}", json={"Name": "Ito & Co"})
        assert (error(reply), reply.json()[0]["fields"]) == ((400, "INVALID_FIELD_FOR_INSERT_UPDATE"), ["Name"])

    def test_a_business_account_has_no_persons_fields(self, api):
        account = api("POST", "sobjects/Account", json={"Name": "Ghent Glass"}).json()["id"]
        for values in ({"PersonEmail": "x@example.com"}, {"PersonHasOptedOutOfEmail": True}, {"LastName": "Ito"}):
            reply = api("PATCH", f"sobjects/Account/{account}", json=values)
            assert (error(reply), reply.json()[0]["fields"]) == ((400, "INVALID_FIELD_FOR_INSERT_UPDATE"), list(values))
        reply = api("POST", "sobjects/Account", json={"Name": "Ghent Glass", "Sales_Opt_Out__pc": True})
        assert error(reply) == (400, "INVALID_FIELD_FOR_INSERT_UPDATE")
