"""Queries at the edge of what an org takes: long, deep, huge numbers, odd characters. Each has an answer or a refusal."""

import pytest

from workbench.scratch_org.messages import Call
from workbench.scratch_org.rest import answer
from workbench.scratch_org.serve import Options, prepared

LEADS = 4
OWNER = "Title = 'owner'"
CHAIN = [".".join(("CreatedBy", "LastModifiedBy")[n >> bit & 1] for bit in range(5)) + ".Name" for n in range(32)]


@pytest.fixture(scope="module")
def ask(data):
    """Asks an org in this process: no URI is too long for it, as inside a composite."""
    org = prepared(Options(data=data))
    token = org.new_token()

    def asked(soql, path="query"):
        headers = {"authorization": f"Bearer {token}"}
        call = Call("GET", f"/services/data/v64.0/{path}", {"q": soql}, headers, number=org.next_request())
        return answer(org, call)

    return asked


def nested(depth, opening="(", closing=")"):
    return f"SELECT Id FROM Lead WHERE {opening * depth}{OWNER}{closing * depth}"


def alternating(depth):
    return f"SELECT Id FROM Lead WHERE {(OWNER + ' AND (Email = null OR (') * depth}{OWNER}{'))' * depth}"


TAKEN = [
    (f"SELECT Id FROM Lead WHERE {' OR '.join(f'Title = {n!r}' for n in map(str, range(1100)))} OR {OWNER}", 1),
    (f"SELECT Id FROM Lead WHERE {' AND '.join(['(NOT Title = {!r})'.format('é')] * 1100)}", LEADS),
    (f"SELECT Id FROM Lead WHERE {' OR '.join(['Title = null'] * 6000)}", 2),
    (f"SELECT Id FROM Lead WHERE Title IN ({', '.join(['null'] * 14_000)}, 'owner')", 3),
    (nested(200), 1),
    (nested(200, "NOT ", ""), 1),
    (nested(99, "NOT (", ")"), LEADS - 1),
    (nested(100, "NOT (", ")"), 1),
    (alternating(25), 1),
    ("SELECT Id FROM Lead WHERE " + "(Title = 'x' OR " * 150 + OWNER + ")" * 150, 1),
    (r"SELECT Id FROM Lead WHERE Title != '\uD83D\uDE00'", LEADS),
    ("SELECT Id FROM Lead WHERE Title != '\U0001f600'", LEADS),
    (f"SELECT Id FROM Lead WHERE Title LIKE '{'%o' * 1999}'", 0),
    (f"SELECT Id FROM Lead WHERE CreatedDate > 2026-03-01T07:59:59.{'9' * 5000}Z", LEADS),
    ("SELECT Id FROM Lead LIMIT 2147483647", LEADS),
    (f"SELECT Id FROM Lead LIMIT {'0' * 5000}3", 3),
    ("SELECT CreatedBy.CreatedBy.CreatedBy.CreatedBy.CreatedBy.Name FROM Lead", LEADS),
    (f"SELECT {', '.join(CHAIN[:20])} FROM Lead", LEADS),
]
REFUSED = [
    (nested(201), "QUERY_TOO_COMPLICATED", "200 levels"),
    (nested(1500), "QUERY_TOO_COMPLICATED", "200 levels"),
    (nested(20_000, "NOT ", ""), "QUERY_TOO_COMPLICATED", "200 levels"),
    (alternating(90), "QUERY_TOO_COMPLICATED", "nested too deeply"),
    (f"SELECT {', '.join(CHAIN)} FROM Lead", "QUERY_TOO_COMPLICATED", "55 relationships"),
    (f"SELECT Id FROM Lead ORDER BY {', '.join(['Id'] * 3000)}", "QUERY_TOO_COMPLICATED", "too deeply"),
    ("SELECT CreatedBy.CreatedBy.CreatedBy.CreatedBy.CreatedBy.CreatedBy.Id FROM Lead", "INVALID_FIELD", "5 levels"),
    (f"SELECT Id FROM Lead WHERE Title = '{'x' * 100_001}'", "QUERY_TOO_COMPLICATED", "100,000 characters"),
    (f"SELECT Id FROM Lead WHERE Title = '{'x' * 4001}'", "MALFORMED_QUERY", "criterion length is 4000"),
    (f"SELECT Id FROM Lead WHERE Title LIKE '{'%o' * 30_000}'", "MALFORMED_QUERY", "criterion length is 4000"),
    (r"SELECT Id FROM Lead WHERE Title = '\uD800'", "MALFORMED_QUERY", "half of a surrogate pair"),
    (r"SELECT Id FROM Lead WHERE Title IN ('x', '\uDE00\uD83D')", "MALFORMED_QUERY", "half of a surrogate pair"),
    (r"SELECT Id FROM Lead WHERE Title LIKE 'Ow\u0000%'", "MALFORMED_QUERY", "U+0000"),
    ("SELECT Id FROM Lead WHERE CreatedDate > 0001-01-01T00:00:00+05:00", "MALFORMED_QUERY", "invalid dateTime"),
    ("SELECT Id FROM Lead WHERE CreatedDate > 9999-12-31T23:00:00-05:00", "MALFORMED_QUERY", "invalid dateTime"),
    ("SELECT Id FROM Lead WHERE CreatedDate > 0000-01-01T00:00:00Z", "MALFORMED_QUERY", "invalid dateTime"),
    ("SELECT Id FROM Lead WHERE CreatedDate > 2026-01-01T00:00:00+99:99", "MALFORMED_QUERY", "invalid dateTime"),
    ("SELECT Id FROM Lead WHERE ConvertedDate > 2026-02-29", "MALFORMED_QUERY", "invalid date"),
    ("SELECT Id FROM Lead LIMIT 2147483648", "NUMBER_OUTSIDE_VALID_RANGE", "2147483648"),
    (f"SELECT Id FROM Lead LIMIT {'9' * 5000}", "NUMBER_OUTSIDE_VALID_RANGE", "outside the valid range"),
    ("SELECT Id FROM Lead OFFSET 99999999999999999999", "NUMBER_OUTSIDE_VALID_RANGE", "outside the valid range"),
    ("SELECT Id FROM Lead WHERE CreatedDate = LAST_N_DAYS:99999999999", "NUMBER_OUTSIDE_VALID_RANGE", "99999999999"),
    ("SELECT Id FROM Lead WHERE CreatedDate = LAST_N_DAYS:2147483647", "MALFORMED_QUERY", "invalid date literal"),
    ("SELECT Id FROM Lead WHERE CreatedDate = NEXT_N_YEARS:9000", "MALFORMED_QUERY", "invalid date literal"),
    ("'" * 99_999, "MALFORMED_QUERY", "unexpected char"),
    ("SELECT Id FROM Lead WHERE Title = 'x' \0", "MALFORMED_QUERY", "unexpected char"),
]


def short(value):
    return value[:60].replace("\0", "NUL") if isinstance(value, str) else None


@pytest.mark.parametrize(("soql", "size"), TAKEN, ids=short)
def test_taken(ask, soql, size):
    reply = ask(soql)
    assert reply.status == 200, reply.body
    assert len(reply.body["records"]) == size


@pytest.mark.parametrize(("soql", "code", "sentence"), REFUSED, ids=short)
def test_refused(ask, soql, code, sentence):
    for path in ("query", "queryAll"):
        reply = ask(soql, path)
        assert (reply.status, reply.body[0]["errorCode"]) == (400, code)
        assert sentence in reply.body[0]["message"]


def test_a_moved_negation_means_the_same(ask):
    """NOT before parentheses, against the rows it has to leave out: also with nulls, lists and patterns inside."""
    everybody = {r["Id"] for r in ask("SELECT Id FROM Lead").body["records"]}
    for condition in (
        "Title = 'owner' OR HasOptedOutOfEmail = true",
        "Title != null AND (Email LIKE 'w%' OR Email = null)",
        "NOT (Title IN (null, 'owner') AND NOT Email NOT IN ('wangfang@example.net', null))",
        "(Email > 'b' AND NOT Email <= 'b') OR NOT (CreatedDate < TODAY AND Title LIKE '%')",
        "Id IN ('00QSCR000000101') OR NOT (LastModifiedBy.Name = 'nobody' AND Title < 'z')",
    ):
        inside, outside = (
            {r["Id"] for r in ask(f"SELECT Id FROM Lead WHERE {w}({condition})").body["records"]} for w in ("", "NOT ")
        )
        assert inside | outside == everybody, condition
        assert not inside & outside, condition
        assert inside, condition
