"""What SOQL the org takes, what it refuses and how, and what the accepted queries mean."""

from urllib.parse import quote

import pytest

ACCEPTED = [
    ("SELECT Id FROM Lead", 4),
    ("select ID, email from LEAD where LASTNAME = 'ÅNGSTRÖM'", 1),
    ("SELECT Id FROM Lead WHERE Email = 'ASA.angstrom@EXAMPLE.com'", 1),
    ("SELECT Id FROM Lead WHERE Email != 'asa.angstrom@example.com'", 3),
    ("SELECT Id FROM Lead WHERE Email <> null", 3),
    ("SELECT Id FROM Lead WHERE Email = ''", 1),
    ("SELECT Id FROM Lead WHERE NOT Email LIKE '%example%'", 1),
    ("SELECT Id FROM Lead WHERE Email NOT IN ('wangfang@example.net')", 3),
    ("SELECT Id FROM Lead WHERE Email IN (null, 'wangfang@example.net')", 2),
    ("SELECT Id FROM Lead WHERE LastName IN ('王', 'шевченко')", 2),
    ("SELECT Id FROM Lead WHERE FirstName LIKE 'нОЛ%' OR FirstName LIKE 'олеН_'", 1),
    (r"SELECT Id FROM Lead WHERE Title LIKE '100\% \\ sure\_thing'", 1),
    (r"SELECT Id FROM Lead WHERE Title LIKE '100\_%'", 0),
    (r"SELECT Id FROM Lead WHERE Title = '100% \\ sure\u005fthing'", 1),
    ("SELECT Id FROM Lead WHERE HasOptedOutOfEmail = TRUE", 1),
    ("SELECT Id FROM Lead WHERE (HasOptedOutOfEmail = true OR Title = 'owner') AND Email != null", 2),
    ("SELECT Id FROM Lead WHERE NOT (HasOptedOutOfEmail = true OR Title = 'owner')", 2),
    ("SELECT Id FROM Lead WHERE IsDeleted = true", 0),
    ("SELECT Id FROM Lead WHERE Id = '00QSCR000000101'", 1),
    ("SELECT Id FROM Lead WHERE Id IN ('00QSCR000000101', '00QSCR0000001022BA')", 2),
    ("SELECT Id FROM Lead WHERE CreatedDate = 2026-03-01T09:00:00+01:00", 4),
    ("SELECT Id FROM Lead WHERE CreatedDate > 2026-03-01T07:59:59.500Z", 4),
    ("SELECT Id FROM Lead WHERE CreatedDate > 2026-03-01T08:00:00.500Z", 0),
    ("SELECT Id FROM Lead WHERE CreatedDate >= LAST_N_DAYS:300 AND CreatedDate < TODAY", 4),
    ("SELECT Id FROM Lead WHERE LastModifiedBy.Name = 'workbench integration' LIMIT 3", 3),
    ("SELECT Id FROM Lead ORDER BY Email DESC NULLS LAST, Id LIMIT 10 OFFSET 3", 1),
    ("SELECT Id, Contact.Account.Name, CreatedBy.Name FROM ContactHistory WHERE Field = 'HasOptedOutOfEmail'", 1),
    ("SELECT Contact.Email FROM Contact WHERE Account.Name LIKE 'bergamo%'", 1),
    ("SELECT Id FROM Organization WHERE Name = 'Scratch Org'", 1),
]

REFUSED = [
    ("", "MALFORMED_QUERY", "query string"),
    ("SELECT * FROM Lead", "MALFORMED_QUERY", "unexpected char: '*'"),
    ("SELECT Id FORM Lead", "MALFORMED_QUERY", "expecting 'FROM', found 'FORM'"),
    ("SELECT Id FROM Lead WHERE Email == 'a'", "MALFORMED_QUERY", "unexpected token"),
    ("SELECT Id FROM Lead WHERE Email IS NULL", "MALFORMED_QUERY", "unexpected token: 'IS'"),
    ("SELECT Id FROM Lead WHERE A = 'x' AND B = 'x' OR C = 'x'", "MALFORMED_QUERY", "unexpected token: 'OR'"),
    ("SELECT Id FROM Lead ALL ROWS", "MALFORMED_QUERY", "unexpected token: 'ALL'"),
    ("SELECT Id FROM Lead GROUP BY Id", "MALFORMED_QUERY", "unexpected token: 'GROUP'"),
    ("SELECT COUNT(Id) FROM Lead", "MALFORMED_QUERY", "expecting ')'"),
    ("SELECT FIELDS(ALL) FROM Lead", "MALFORMED_QUERY", "expecting 'FROM'"),
    ("SELECT Id, (SELECT Id FROM Histories) FROM Lead", "MALFORMED_QUERY", "unexpected token: '('"),
    ("SELECT Id FROM Lead WHERE Email LIKE 'a' FOR VIEW", "MALFORMED_QUERY", "unexpected token: 'FOR'"),
    (r"SELECT Id FROM Lead WHERE Email = '\x'", "MALFORMED_QUERY", "illegal escape"),
    ("SELECT Id FROM Lead WHERE Email = 'open", "MALFORMED_QUERY", "unexpected char"),
    ("SELECT Id FROM Lead WHERE Email IN ()", "MALFORMED_QUERY", "unexpected token: ')'"),
    ("SELECT Id FROM Lead WHERE Email < null", "MALFORMED_QUERY", "'null'"),
    ("SELECT Id, id FROM Lead", "MALFORMED_QUERY", "duplicate field selected: id"),
    ("SELECT Id FROM Lead WHERE CreatedDate > 2026-13-01T00:00:00Z", "MALFORMED_QUERY", "invalid dateTime"),
    ("SELECT Id FROM Lead LIMIT x", "MALFORMED_QUERY", "unexpected token: 'x'"),
    ("SELECT Id FROM Lead OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE", "2000"),
    ("SELECT Id FROM Leed", "INVALID_TYPE", "sObject type 'Leed' is not supported"),
    ("SELECT Id, Nope__c FROM Lead", "INVALID_FIELD", "No such column 'Nope__c' on entity 'Lead'"),
    ("SELECT Id FROM Lead ORDER BY Nope", "INVALID_FIELD", "Row:1:Column:30"),
    ("SELECT Boss.Name FROM Lead", "INVALID_FIELD", "Didn't understand relationship 'Boss'"),
    ("SELECT Id FROM Lead WHERE HasOptedOutOfEmail = 'true'", "INVALID_FIELD", "must be of type boolean"),
    ("SELECT Id FROM Lead WHERE SystemModstamp > '2026-01-01T00:00:00Z'", "INVALID_FIELD", "must be of type dateTime"),
    ("SELECT Id FROM Lead WHERE SystemModstamp > 2026-01-01", "INVALID_FIELD", "must be of type dateTime"),
    ("SELECT Id FROM Lead WHERE Email = 5", "INVALID_FIELD", "must be of type string"),
    ("SELECT Id FROM LeadHistory WHERE NewValue = 'x'", "INVALID_FIELD", "can not be filtered"),
    ("SELECT Id FROM Lead WHERE Id = 'zzz'", "INVALID_QUERY_FILTER_OPERATOR", "invalid ID field: zzz"),
    ("SELECT Id FROM Lead WHERE Id LIKE '00Q%'", "INVALID_QUERY_FILTER_OPERATOR", "invalid operator on id field"),
]


@pytest.mark.parametrize(("soql", "size"), ACCEPTED)
def test_accepted(api, soql, size):
    assert len(api.query(soql)) == size


@pytest.mark.parametrize(("soql", "code", "sentence"), REFUSED)
def test_refused(api, soql, code, sentence):
    reply = api("GET", "query", params={"q": soql})
    assert reply.status_code == 400
    assert reply.json()[0]["errorCode"] == code
    assert sentence in reply.json()[0]["message"]


def test_count_gives_the_number_only(api):
    reply = api("GET", "query/", params={"q": "SELECT COUNT() FROM Lead WHERE Email != null"})
    assert reply.json() == {"totalSize": 3, "done": True, "records": []}


def test_query_all_sees_the_deleted(api):
    reply = api("GET", "queryAll", params={"q": "SELECT Id, IsDeleted FROM Lead WHERE Email = 'gone@example.com'"})
    assert [r["IsDeleted"] for r in reply.json()["records"]] == [True]


def test_nulls_come_first(api):
    assert [r["Email"] for r in api.query("SELECT Email FROM Lead ORDER BY Email")] == [
        None,
        "asa.angstrom@example.com",
        "Noel.Lefevre@example.org",
        "wangfang@example.net",
    ]


def test_parents_are_nested_with_their_attributes(api):
    (record,) = api.query("SELECT Name, Account.Name, MasterRecord.Name, LastModifiedBy.Name FROM Contact")
    assert record["Name"] == "Γιώργος Νικολάου"
    assert record["Account"]["attributes"]["type"] == "Account"
    assert record["Account"]["Name"] == "Bergamo Optics"
    assert record["LastModifiedBy"]["Name"] == "Web Form"
    assert record["MasterRecord"] is None


def test_two_thousand_addresses_in_one_list(api):
    addresses = ", ".join(f"'person{n}@example.com'" for n in range(1999)) + ", 'WANGFANG@example.net'"
    soql = f"SELECT Id FROM Lead WHERE Email IN ({addresses})"
    part = {"method": "GET", "referenceId": "people", "url": f"{api.base}/query?q={quote(soql)}"}
    reply = api("POST", "composite", json={"compositeRequest": [part]})
    assert reply.json()["compositeResponse"][0]["body"]["totalSize"] == 1


def test_a_uri_that_is_too_long_is_refused(api):
    soql = "SELECT Id FROM Lead WHERE Email = '" + "a" * 17_000 + "'"
    assert api("GET", "query", params={"q": soql}).status_code == 414


def test_a_hidden_field_is_no_such_column(org, api):
    org.control("/permissions", {"object": "Lead", "field": "Sales_Opt_Out__c", "readable": False})
    reply = api("GET", "query", params={"q": "SELECT Sales_Opt_Out__c FROM Lead"})
    names = {f["name"] for f in api("GET", "sobjects/Lead/describe").json()["fields"]}
    org.control("/permissions", {"object": "Lead", "field": "Sales_Opt_Out__c"})
    assert "No such column 'Sales_Opt_Out__c'" in reply.json()[0]["message"]
    assert "HasOptedOutOfEmail" in names
    assert "Sales_Opt_Out__c" not in names


def test_indexes_are_used():
    from workbench.scratch_org.describe import Permissions
    from workbench.scratch_org.serve import Options, prepared
    from workbench.scratch_org.soql import parsed, translated

    org = prepared(Options(people=500))
    for soql, index in (
        ("SELECT Id FROM Lead WHERE Email IN ('a@example.com', 'b@example.com')", "Lead_Email"),
        ("SELECT Id FROM ContactHistory WHERE ContactId IN ('003SCR000000001')", "ContactHistory_ContactId"),
        ("SELECT Id FROM Lead WHERE SystemModstamp > 2999-01-01T00:00:00Z", "Lead_SystemModstamp"),
    ):
        selection = translated(parsed(soql), Permissions(), org.clock.now())
        plan = org.tables.db.execute(f"EXPLAIN QUERY PLAN {selection.rows_sql()}", (*selection.parameters, -1, 0))
        assert index in " ".join(row["detail"] for row in plan), soql
