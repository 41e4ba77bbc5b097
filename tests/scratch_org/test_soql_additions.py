"""FIELDS(STANDARD), semi-joins and date literals: what they mean and what stays refused."""

from datetime import UTC, datetime

import pytest

from workbench.scratch_org.soql.periods import COUNTED, PLAIN, period

NOW = datetime(2026, 11, 2, 12, 30, tzinfo=UTC)  # a Monday in the fourth quarter


def refused(api, soql):
    reply = api("GET", "query", params={"q": soql})
    assert reply.status_code == 400, soql
    return reply.json()[0]["errorCode"], reply.json()[0]["message"]


class TestStandardFields:
    def test_all_that_is_not_custom(self, org, api):
        org.control("/permissions", {"object": "Lead", "field": "Title", "readable": False})
        (record,) = api.query("SELECT FIELDS(STANDARD), Sales_Opt_Out__c FROM Lead WHERE LastName = 'Lefèvre'")
        (plain,) = api.query("SELECT fields ( standard ) FROM Lead WHERE LastName = 'Lefèvre'")
        org.control("/permissions", {"object": "Lead", "field": "Title"})
        assert set(record) - set(plain) == {"Sales_Opt_Out__c"}
        assert plain["HasOptedOutOfEmail"] is True
        assert "SystemModstamp" in plain
        assert "Title" not in plain

    @pytest.mark.parametrize(
        ("soql", "sentence"),
        [
            ("SELECT FIELDS(STANDARD), Email FROM Lead", "duplicate field selected: Email"),
            ("SELECT FIELDS(CUSTOM) FROM Lead LIMIT 10", "expecting 'FROM'"),
            ("SELECT Id FROM Lead WHERE FIELDS(STANDARD) = 'x'", "unexpected token: '('"),
        ],
    )
    def test_refused(self, api, soql, sentence):
        code, message = refused(api, soql)
        assert code == "MALFORMED_QUERY"
        assert sentence in message


class TestSemiJoins:
    @pytest.fixture
    def opted(self, org, api, lead):
        """Two leads of one company; the first was opted out by a web form."""
        ids = [lead(Company="Joined & Sons"), lead(Company="Joined & Sons")]
        order = {"object": "Lead", "id": ids[0], "values": {"HasOptedOutOfEmail": True}, "user": "Web Form"}
        org.control("/write", order)
        yield ids
        for record_id in ids:
            api("DELETE", f"sobjects/Lead/{record_id}")

    @pytest.mark.parametrize(
        ("inner", "joined"),
        [
            ("Field = 'HasOptedOutOfEmail'", 0),
            ("Field = 'hasoptedoutofemail' AND CreatedBy.Name = 'web form' AND CreatedDate = TODAY", 0),
            ("Field = 'HasOptedOutOfEmail' OR Field = 'created'", None),
        ],
    )
    def test_in_and_not_in(self, api, opted, inner, joined):
        inside = {opted[0]} if joined == 0 else set(opted)
        for word, expected in (("IN", inside), ("NOT IN", set(opted) - inside)):
            soql = (
                f"SELECT Id FROM Lead WHERE Company = 'joined & sons' AND Id {word}"
                f" (SELECT LeadId FROM LeadHistory WHERE {inner}) AND IsConverted = false ORDER BY Id"
            )
            assert {r["Id"] for r in api.query(soql)} == expected

    def test_alone_counted_and_in_a_bulk_query(self, api, opted):
        where = "WHERE Id IN (SELECT LeadId FROM LeadHistory WHERE Field = 'HasOptedOutOfEmail')"
        total = api("GET", "query", params={"q": f"SELECT COUNT() FROM Lead {where}"}).json()["totalSize"]
        assert total >= 1
        job = api("POST", "jobs/query", json={"operation": "query", "query": f"SELECT Id FROM Lead {where}"}).json()["id"]
        ended = [api("GET", f"jobs/query/{job}").json() for _ in range(2)][-1]
        assert ended["numberRecordsProcessed"] == total

    def test_by_a_reference(self, api):
        found = api.query("SELECT Name FROM Account WHERE Id IN (SELECT AccountId FROM Contact WHERE Email LIKE 'g.nik%')")
        assert [r["Name"] for r in found] == ["Bergamo Optics"]
        found = api.query(
            "SELECT Email FROM Contact WHERE AccountId NOT IN (SELECT Id FROM Account WHERE Name = 'Bergamo Optics')"
        )
        assert "g.nikolaou@example.com" not in [r["Email"] for r in found]

    @pytest.mark.parametrize(
        ("where", "code", "sentence"),
        [
            ("Id IN (SELECT Id FROM Lead)", "MALFORMED_QUERY", "should not be on the same object type"),
            ("Id IN (SELECT ContactId FROM ContactHistory)", "MALFORMED_QUERY", "should point to the same object type"),
            ("Email IN (SELECT LeadId FROM LeadHistory)", "MALFORMED_QUERY", "should point to the same object type"),
            ("Id IN (SELECT Field FROM LeadHistory)", "MALFORMED_QUERY", "should point to the same object type"),
            ("Id IN (SELECT Lead.Id FROM LeadHistory)", "MALFORMED_QUERY", "should point to the same object type"),
            ("Id IN (SELECT LeadId, Id FROM LeadHistory)", "MALFORMED_QUERY", "expecting 'FROM'"),
            ("Id IN (SELECT LeadId FROM LeadHistory LIMIT 1)", "MALFORMED_QUERY", "expecting ')'"),
            ("Id IN (SELECT LeadId FROM LeadHistory ORDER BY Id)", "MALFORMED_QUERY", "expecting ')'"),
            ("Id IN (SELECT LeadId FROM LeadHistory) OR Email = null", "MALFORMED_QUERY", "top level WHERE"),
            ("NOT Id IN (SELECT LeadId FROM LeadHistory)", "MALFORMED_QUERY", "top level WHERE"),
            (
                "Id IN (SELECT LeadId FROM LeadHistory WHERE CreatedById IN (SELECT Id FROM User))",
                "MALFORMED_QUERY",
                "unexpected token: 'SELECT'",
            ),
            ("Id IN (SELECT LeadId FROM Nope)", "INVALID_TYPE", "sObject type 'Nope'"),
            ("Id IN (SELECT Nope FROM LeadHistory)", "INVALID_FIELD", "No such column 'Nope' on entity 'LeadHistory'"),
            ("Id = (SELECT LeadId FROM LeadHistory)", "MALFORMED_QUERY", "unexpected token: '('"),
        ],
    )
    def test_refused(self, api, where, code, sentence):
        found, message = refused(api, f"SELECT Id FROM Lead WHERE {where}")
        assert (found, sentence in message) == (code, True), message


class TestDateLiterals:
    @pytest.mark.parametrize(
        ("literal", "number", "start", "end"),
        [
            ("TODAY", 0, "2026-11-02", "2026-11-03"),
            ("YESTERDAY", 0, "2026-11-01", "2026-11-02"),
            ("TOMORROW", 0, "2026-11-03", "2026-11-04"),
            ("LAST_N_DAYS", 30, "2026-10-03", "2026-11-03"),
            ("NEXT_N_DAYS", 2, "2026-11-03", "2026-11-05"),
            ("N_DAYS_AGO", 2, "2026-10-31", "2026-11-01"),
            ("LAST_90_DAYS", 0, "2026-08-04", "2026-11-03"),
            ("THIS_WEEK", 0, "2026-11-01", "2026-11-08"),
            ("LAST_WEEK", 0, "2026-10-25", "2026-11-01"),
            ("LAST_N_WEEKS", 2, "2026-10-18", "2026-11-01"),
            ("THIS_MONTH", 0, "2026-11-01", "2026-12-01"),
            ("LAST_MONTH", 0, "2026-10-01", "2026-11-01"),
            ("LAST_N_MONTHS", 12, "2025-11-01", "2026-11-01"),
            ("NEXT_N_MONTHS", 2, "2026-12-01", "2027-02-01"),
            ("N_MONTHS_AGO", 11, "2025-12-01", "2026-01-01"),
            ("THIS_QUARTER", 0, "2026-10-01", "2027-01-01"),
            ("LAST_QUARTER", 0, "2026-07-01", "2026-10-01"),
            ("NEXT_QUARTER", 0, "2027-01-01", "2027-04-01"),
            ("THIS_YEAR", 0, "2026-01-01", "2027-01-01"),
            ("LAST_N_YEARS", 2, "2024-01-01", "2026-01-01"),
        ],
    )
    def test_what_they_mean(self, literal, number, start, end):
        assert tuple(d.date().isoformat() for d in period(literal, number, NOW)) == (start, end)

    def test_every_literal_is_taken(self, api):
        for literal in [*sorted(PLAIN), *(f"{name}:3" for name in sorted(COUNTED))]:
            api.query(f"SELECT Id FROM Lead WHERE CreatedDate = {literal} OR ConvertedDate < {literal.lower()}")

    def test_in_a_query(self, api):
        for literal, size in (("THIS_YEAR", 4), ("LAST_N_MONTHS:7", 0), ("N_MONTHS_AGO:8", 4), ("LAST_YEAR", 0)):
            soql = f"SELECT Id FROM Lead WHERE Company = 'Oulu Paper' AND CreatedDate = {literal}"
            assert len(api.query(soql)) == size, literal

    @pytest.mark.parametrize(
        "literal", ["LAST_N_DAYS", "LAST_N_MONTHS:99999", "LAST_N_DAYS:9999999", "THIS_DAY", "TODAY:1", "LAST_N_DAYS:-1"]
    )
    def test_refused(self, api, literal):
        assert refused(api, f"SELECT Id FROM Lead WHERE CreatedDate = {literal}")[0] == "MALFORMED_QUERY"
