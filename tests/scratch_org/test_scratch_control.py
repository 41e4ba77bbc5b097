"""What is done behind the API's back: faults, hooks, edits by others; and the org as a process that can be restarted."""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests

from workbench.scratch_org import ScratchOrgError, generate_people, start_scratch_org
from workbench.scratch_org.ids import checksum, long_id

AT = "Mon, 02 Nov 2026 12:00:00 GMT"


def plan(org, *faults):
    org.control("/faults", {"plan": list(faults)})


def opted_out(api, record_id):
    return api("GET", f"sobjects/Lead/{record_id}").json()["HasOptedOutOfEmail"]


class TestFaults:
    @pytest.mark.parametrize(
        ("fault", "status", "text"),
        [
            ({"kind": "503", "retry_after": 7}, 503, "SERVER_UNAVAILABLE"),
            ({"kind": "403_daily"}, 403, "TotalRequests Limit exceeded."),
            ({"kind": "403_concurrent"}, 403, "ConcurrentRequests (Concurrent API Requests) Limit exceeded."),
            ({"kind": "html", "status": 502}, 502, "<html>"),
            ({"kind": "lock"}, 400, "UNABLE_TO_LOCK_ROW"),
            ({"kind": "error", "status": 500, "code": "UNKNOWN_EXCEPTION", "message": "x"}, 500, "UNKNOWN_EXCEPTION"),
        ],
    )
    def test_an_answer_instead(self, org, api, lead, fault, status, text):
        record_id = lead()
        plan(org, {"on": "PATCH /sobjects/Lead/", **fault})
        for expected in (status, 204):
            reply = api("PATCH", f"sobjects/Lead/{record_id}", json={"HasOptedOutOfEmail": True})
            assert reply.status_code == expected
            if expected == status:
                assert text in reply.text
                assert reply.headers.get("Retry-After") == ("7" if status == 503 else None)
                assert opted_out(api, record_id) is False

    def test_expired_token(self, org, api):
        plan(org, {"on": "GET /limits", "nth": 2, "kind": "expire_token"})
        assert [api("GET", "limits").status_code for _ in range(3)] == [200, 401, 401]
        org.access_token = org.control("/tokens", {})["access_token"]

    @pytest.mark.parametrize(("kind", "applied"), [("reset_before", False), ("reset_after", True)])
    def test_reset(self, org, api, lead, kind, applied):
        record_id = lead()
        plan(org, {"on": "PATCH .", "kind": kind})
        with pytest.raises(requests.ConnectionError):
            api("PATCH", f"sobjects/Lead/{record_id}", json={"HasOptedOutOfEmail": True})
        assert opted_out(api, record_id) is applied
        (entry,) = [e for e in org.control("/requests")["requests"] if kind in e["faults"]]
        assert entry["status"] is None
        assert len(entry["writes"]) == int(applied)

    def test_an_error_after_the_commit(self, org, api, lead):
        record_id = lead()
        plan(org, {"on": "PATCH .", "kind": "503", "when": "after"})
        assert api("PATCH", f"sobjects/Lead/{record_id}", json={"HasOptedOutOfEmail": True}).status_code == 503
        assert opted_out(api, record_id) is True

    def test_slow(self, org, api):
        plan(org, {"on": "GET /limits", "kind": "slow", "seconds": 5})
        with pytest.raises(requests.ReadTimeout):
            api.session.get(f"{org.url}{api.base}/limits", timeout=0.2)
        assert api("GET", "limits").status_code == 200

    def test_a_lock_on_one_row_of_a_composite(self, org, api, lead):
        free, locked = lead(), lead()
        plan(org, {"on": "POST /composite$", "kind": "lock", "ids": [locked]})
        parts = [
            {"method": "PATCH", "url": f"{api.base}/sobjects/Lead/{i}", "referenceId": f"r{n}", "body": {"Title": "x"}}
            for n, i in enumerate([free, locked])
        ]
        results = api("POST", "composite", json={"compositeRequest": parts}).json()["compositeResponse"]
        assert [r["httpStatusCode"] for r in results] == [204, 400]
        assert results[1]["body"][0]["errorCode"] == "UNABLE_TO_LOCK_ROW"

    def test_by_request_number(self, org, api):
        number = org.control("/requests")["requests"][-1]["number"]
        plan(org, {"on": number + 2, "kind": "503"})
        assert [api("GET", "limits").status_code for _ in range(3)] == [200, 503, 200]

    @pytest.mark.parametrize("entry", [{"on": "GET ."}, {"kind": "503"}, {"on": "GET (", "kind": "503"}])
    def test_a_wrong_plan_is_refused(self, org, entry):
        with pytest.raises(ScratchOrgError, match="/faults: "):
            plan(org, entry)


class TestHooks:
    def edit(self, record_id, value):
        values = {"HasOptedOutOfEmail": value}
        return {"write": {"object": "Lead", "id": record_id, "values": values, "user": "Web Form"}}

    def test_somebody_opts_out_between_read_and_write(self, org, api, lead):
        record_id = lead(HasOptedOutOfEmail=True)
        org.control("/clock", {"advance": 60})
        org.control("/hooks", {"before": "PATCH /sobjects/Lead/", "do": self.edit(record_id, True)})
        headers = {"If-Unmodified-Since": AT}
        reply = api("PATCH", f"sobjects/Lead/{record_id}", json={"HasOptedOutOfEmail": False}, headers=headers)
        org.control("/clock", {"advance": -60})
        assert reply.status_code == 412
        assert opted_out(api, record_id) is True

    def test_somebody_opts_out_right_after_the_write(self, org, api, lead):
        record_id = lead(HasOptedOutOfEmail=True)
        org.control("/hooks", {"after": "PATCH /sobjects/Lead/", "do": [self.edit(record_id, True)]})
        assert api("PATCH", f"sobjects/Lead/{record_id}", json={"HasOptedOutOfEmail": False}).status_code == 204
        changes = [c for c in org.control("/changes")["changes"] if c["id"] == record_id]
        assert [(c["old"], c["new"]) for c in changes] == [(True, False), (False, True)]
        assert opted_out(api, record_id) is True

    def test_between_two_subrequests_and_by_content(self, org, api, lead):
        record_id = lead(HasOptedOutOfEmail=True)
        org.control(
            "/hooks",
            {"before": {"on": "GET /query", "inside": True, "contains": "HasOptedOutOfEmail"}, "do": self.edit(record_id, False)},
        )
        url = f"{api.base}/query?q=SELECT+HasOptedOutOfEmail+FROM+Lead+WHERE+Id='{record_id}'"
        plain = {"method": "GET", "url": f"{api.base}/sobjects/Lead/{record_id}", "referenceId": "a"}
        asked = {"method": "GET", "url": url, "referenceId": "b"}
        first, second = api("POST", "composite", json={"compositeRequest": [plain, asked]}).json()["compositeResponse"]
        assert first["body"]["HasOptedOutOfEmail"] is True
        assert second["body"]["records"][0]["HasOptedOutOfEmail"] is False

    def test_a_hook_that_can_do_nothing_is_refused(self, org):
        with pytest.raises(ScratchOrgError, match="'before' or 'after'"):
            org.control("/hooks", {"do": {"clock": {"advance": 1}}})


class TestOthers:
    def test_a_merge_leaves_the_loser_in_the_bin(self, org, api, lead):
        master, loser = lead(), lead()
        org.control("/merge", {"object": "Lead", "master": master, "loser": loser})
        soql = f"SELECT Id, IsDeleted, MasterRecordId FROM Lead WHERE Id = '{loser}'"
        (row,) = api("GET", "queryAll", params={"q": soql}).json()["records"]
        assert (row["IsDeleted"], row["MasterRecordId"]) == (True, master)

    def test_a_late_commit_has_an_earlier_stamp(self, org, api, lead):
        record_id = lead()
        order = {"object": "Lead", "id": record_id, "values": {"HasOptedOutOfEmail": True}, "at": "2026-11-02T11:59:58Z"}
        assert org.control("/write", order)["opt_out"] == {"HasOptedOutOfEmail": [False, True]}
        assert api("GET", f"sobjects/Lead/{record_id}").json()["SystemModstamp"] == "2026-11-02T11:59:58.000+0000"

    def test_the_log_has_conditions_and_values_of_opt_outs_but_no_query_values(self, org, api, lead):
        record_id = lead(HasOptedOutOfEmail=True)
        headers = {"If-Unmodified-Since": AT}
        api("PATCH", f"sobjects/Lead/{record_id}", json={"HasOptedOutOfEmail": False}, headers=headers)
        api.query("SELECT Id FROM Lead WHERE Email = 'secret@example.com'")
        *_, write, query = org.control("/requests")["requests"]
        (entry,) = write["writes"]
        assert entry["condition"] == AT
        assert entry["opt_out"] == {"HasOptedOutOfEmail": [True, False]}
        assert write["user"] == org.control("/state")["user"]
        assert query["query"] == ["q"]
        assert "secret" not in str(query)

    @pytest.mark.parametrize(
        ("path", "order", "sentence"),
        [
            ("/write", {"object": "Lead", "id": "x", "values": {}}, "No record id: 'x'"),
            ("/write", {"object": "Lead", "values": {"Nope": 1}}, "Lead has no field Nope"),
            ("/write", {}, "Missing: 'object'"),
            ("/convert", {"id": "00QSCR0zzzzzzzz"}, "NOT_FOUND"),
            ("/nothing", {}, "No such control: nothing"),
        ],
    )
    def test_wrong_orders(self, org, path, order, sentence):
        with pytest.raises(ScratchOrgError, match=sentence):
            org.control(path, order)


class TestProcess:
    def test_restarted_on_its_database_it_goes_on(self, api_for, tmp_path: Path):
        file = tmp_path / "org.db"
        with start_scratch_org(people=30, seed=4, database=file) as org:
            api = api_for(org)
            first = api.query("SELECT Id FROM Lead ORDER BY Id LIMIT 1")[0]["Id"]
            api("PATCH", f"sobjects/Lead/{first}", json={"Title": "Changed"})
            org.control("/permissions", {"object": "Lead", "field": "Email", "readable": False})
            used = org.control("/state")["limits"]["used"]
            org.kill()
        with start_scratch_org(people=30, seed=4, database=file) as again:
            assert (again.client_id, again.client_secret, again.org_id) == (org.client_id, org.client_secret, org.org_id)
            api.url = again.url
            row = api("GET", f"sobjects/Lead/{first}").json()
            assert row["Title"] == "Changed"
            assert "Email" not in row
            state = again.control("/state")
            assert state["limits"]["used"] == used + 1
            assert state["records"]["Lead"] + state["records"]["Contact"] == 30
            assert len([e for e in again.control("/requests")["requests"] if e["method"] == "PATCH"]) == 1

    def test_it_ends_with_the_process_that_started_it(self):
        script = (
            "import os\nfrom workbench.scratch_org import start_scratch_org\n"
            "print(start_scratch_org().process.pid, flush=True)\nos.kill(os.getpid(), 9)\n"
        )
        done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True, timeout=60)
        assert done.returncode == -signal.SIGKILL
        pid = int(done.stdout)
        for _ in range(200):
            if not Path(f"/proc/{pid}").exists():
                return
            time.sleep(0.05)
        os.kill(pid, signal.SIGKILL)
        pytest.fail("The scratch org outlived its parent")

    def test_it_stops_by_order(self):
        org = start_scratch_org()
        assert org.control("/stop", {}) == {"stopping": True}
        assert org.process.wait(20) == 0
        org.stop()

    def test_a_wrong_file_is_named_by_its_line(self, tmp_path: Path, capfd):
        file = tmp_path / "records.jsonl"
        file.write_text('{"object": "Lead", "LastName": "A"}\nnonsense\n', encoding="utf-8")
        with pytest.raises(ScratchOrgError, match="ended with code 2"):
            start_scratch_org(data=file)
        assert "Line 2 is no JSON" in capfd.readouterr().err


class TestLoading:
    def prepared(self, tmp_path: Path, *records):
        from workbench.scratch_org.serve import Options, prepared

        file = tmp_path / "records.jsonl"
        file.write_text("\n".join(json.dumps(r) for r in records), encoding="utf-8")
        return prepared(Options(data=file))

    def test_names_in_any_case_and_what_follows_from_history(self, tmp_path: Path):
        changes = [
            {"field": "Sales_Opt_Out__c", "old": False, "new": True, "at": "2026-02-01T10:00:00+02:00", "by": "Sam Okafor"},
            {"field": "Sales_Opt_Out__c", "old": True, "new": False, "at": "2026-01-01T00:00:00Z", "by": "Web Form"},
        ]
        org = self.prepared(
            tmp_path,
            {"object": "contact", "lastname": "Vogel", "firstName": "Elke", "hasoptedoutofemail": True, "Company": "Ghent Glass"},
            {"object": "Lead", "LastName": "Lange", "Company": "Ghent Glass", "history": changes},
        )
        contact = org.tables.db.execute('SELECT * FROM "Contact"').fetchone()
        assert (contact["Name"], contact["HasOptedOutOfEmail"]) == ("Elke Vogel", 1)
        assert org.tables.db.execute('SELECT "Id" FROM "Account"').fetchone()["Id"] == contact["AccountId"]
        lead = org.tables.db.execute('SELECT * FROM "Lead"').fetchone()
        assert lead["Sales_Opt_Out__c"] == 1
        assert lead["SystemModstamp"] == "2026-02-01T08:00:00.000+0000"
        assert lead["LastModifiedById"] == org.records.user("Sam Okafor")

    @pytest.mark.parametrize(
        ("record", "sentence"),
        [
            ({"object": "Leed"}, "Can't load records of object 'Leed'"),
            ({"object": "Lead", "Nope": 1}, "Lead has no field 'Nope'"),
            ({"object": "Lead", "HasOptedOutOfEmail": "yes"}, "HasOptedOutOfEmail has to be true or false"),
            ({"object": "Lead", "id": "003SCR000000001"}, "is no Lead id"),
            ({"object": "Lead", "CreatedDate": "2026-01-01"}, "Not an instant with a zone"),
        ],
    )
    def test_wrong_records_are_refused(self, tmp_path: Path, record, sentence):
        with pytest.raises(ValueError, match=sentence):
            self.prepared(tmp_path, record)

    def test_an_id_used_twice_loads_nothing(self, tmp_path: Path):
        record = {"object": "Lead", "id": "00QSCR000000001", "LastName": "Lange"}
        with pytest.raises(ValueError, match="A Lead id is used twice"):
            self.prepared(tmp_path, record, record)


class TestPeople:
    UNTIL = datetime(2026, 11, 2, 8, tzinfo=UTC)

    def test_the_same_seed_makes_the_same_people(self):
        first, again, other = (list(generate_people(300, seed, self.UNTIL)) for seed in (7, 7, 8))
        assert first == again
        assert first != other
        assert len(first) == 300

    def test_what_a_crowd_is_made_of(self):
        crowd = list(generate_people(5000, 1, self.UNTIL))
        leads = [p for p in crowd if p["object"] == "Lead"]
        assert 0.5 < len(leads) / len(crowd) < 0.6
        assert len({p["id"] for p in crowd}) == len(crowd)
        assert all(long_id(p["id"]) == p["id"] for p in crowd)
        assert 0.15 < sum(p.get("HasOptedOutOfEmail", False) for p in crowd) / len(crowd) < 0.25
        assert len({h["by"] for p in crowd for h in p.get("history", [])}) > 3
        for mark in ("EmailBouncedDate", "IsConverted", "IsDeleted"):
            assert any(p.get(mark) for p in crowd), mark
        addresses = [p["Email"].lower() for p in crowd]
        assert len(set(addresses)) < len(addresses)
        assert all(a.isascii() and a.rsplit(".", 1)[0].endswith("example") for a in addresses)
        contacts = {p["id"] for p in crowd if p["object"] == "Contact"}
        assert all(p["ConvertedContactId"] in contacts for p in leads if p.get("IsConverted"))
        scripts = {next((s for s in ("LATIN", "CYRILLIC", "GREEK", "CJK", "ARABIC") if s in _script(p)), "") for p in crowd}
        assert scripts >= {"LATIN", "CYRILLIC", "GREEK", "CJK", "ARABIC"}

    def test_dates_lie_in_the_two_years_before(self):
        for person in generate_people(2000, 3, self.UNTIL):
            dates = [v for k, v in person.items() if k.endswith("Date") and k != "ConvertedDate"]
            dates += [h["at"] for h in person.get("history", [])]
            assert all("2024-11-02" <= d < "2026-11-02T08" for d in dates)
            assert person["CreatedDate"] == min(dates)


def test_checksums_are_those_of_the_documentation():
    assert [checksum(i) for i in ("a0D30000001n7Pi", "001xx000003DGb2", "003xx000004TmiQ")] == ["EAI", "AAG", "AAS"]
    assert long_id("A0D30000001N7PIEAI") == "a0D30000001n7PiEAI"
    assert long_id("a0D30000001n7Pi!") is None


def _script(person):
    import unicodedata

    return unicodedata.name(person["LastName"][0])
