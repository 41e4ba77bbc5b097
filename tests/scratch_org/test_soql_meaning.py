"""Where SOQL means something else than SQL: the rows that a query has to find, one by one."""

import json

import pytest

from workbench.scratch_org import start_scratch_org

from .conftest import NOON, Api

# name: (title, email, opted out, created, converted on)
PEOPLE = {
    "upper": ("OWNER", "Upper@Example.com", True, "2026-10-31T23:59:59Z", None),
    "lower": ("owner", "lower@example.com", False, "2026-11-01T00:00:00Z", "2026-11-01"),
    "nothing": (None, None, False, "2026-11-01T23:59:59Z", None),
    "percent": ("100% sure", "a_b@example.com", True, "2026-11-02T00:00:00Z", "2026-11-02"),
    "plain": ("100 x sure", "axb@example.com", False, "2026-11-02T11:59:59Z", "2026-10-31"),
    "foreign": ("ÉLÈVE ß Σ", "Łukasz@example.org", False, "2026-11-02T11:59:59+01:00", None),
    "quoted": ('O\'Neill \\ "x"', "tab@example.net", False, "2025-11-02T12:00:00Z", None),
}
ALL = set(PEOPLE)


@pytest.fixture(scope="module")
def find(tmp_path_factory):
    """The names of the people a condition finds."""
    file = tmp_path_factory.mktemp("meaning") / "records.jsonl"
    lines = [
        {"object": "Lead", "id": f"00QSCR00000050{n}", "LastName": name, "Company": "C", "Title": title, "Email": email}
        | {"HasOptedOutOfEmail": out, "CreatedDate": created, "IsConverted": bool(day), "ConvertedDate": day}
        for n, (name, (title, email, out, created, day)) in enumerate(PEOPLE.items())
    ]
    file.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    with start_scratch_org(data=file, clock=NOON) as org:
        api = Api(org)
        yield lambda where: [r["LastName"] for r in api.query(f"SELECT LastName FROM Lead {where}")]


@pytest.mark.parametrize(
    ("where", "names"),
    [
        # Text compares without case, whatever its script.
        ("Title = 'Owner'", {"upper", "lower"}),
        ("Email = 'upper@EXAMPLE.com'", {"upper"}),
        ("Title IN ('oWNER', 'élève ß σ')", {"upper", "lower", "foreign"}),
        ("Title LIKE 'élÈve%'", {"foreign"}),
        ("Email LIKE 'łUKASZ@%'", {"foreign"}),
        ("Title < 'b' AND Title != null", {"percent", "plain"}),
        # Null is a value: unequal to every other, so a negation finds it.
        ("Title != 'owner'", ALL - {"upper", "lower"}),
        ("NOT Title = 'owner'", ALL - {"upper", "lower"}),
        ("Title NOT IN ('owner')", ALL - {"upper", "lower"}),
        ("NOT Title LIKE '%'", {"nothing"}),
        ("NOT (Title = 'owner' AND HasOptedOutOfEmail = true)", ALL - {"upper"}),
        ("Title = null", {"nothing"}),
        ("Title = ''", {"nothing"}),
        ("Title != ''", ALL - {"nothing"}),
        ("Title IN ('owner', null)", {"upper", "lower", "nothing"}),
        ("Title NOT IN ('owner', null)", ALL - {"upper", "lower", "nothing"}),
        ("NOT Title > 'a'", {"nothing", "percent", "plain"}),
        ("ConvertedDate != 2026-11-01", ALL - {"lower"}),
        ("MasterRecord.Name = null", ALL),
        ("NOT MasterRecord.Name = 'x'", ALL),
        # In a pattern _ and % stand for something unless they are escaped.
        (r"Title LIKE '100\% sure'", {"percent"}),
        ("Title LIKE '100% sure'", {"percent", "plain"}),
        ("Email LIKE 'a_b@%'", {"percent", "plain"}),
        (r"Email LIKE 'a\_b@%'", {"percent"}),
        (r"Title = '100% sure'", {"percent"}),
        (r"Title LIKE 'o\'neill \\ \"_\"'", {"quoted"}),
        (r"Title = 'o\'neill \\ \"X\"'", {"quoted"}),
        (r"Title = '\u00c9L\u00c8VE \u00df \u03a3'", {"foreign"}),
        # Instants compare as instants, in any zone and to the fraction.
        ("CreatedDate = 2026-11-01T01:00:00+01:00", {"lower"}),
        ("CreatedDate > 2026-11-02T11:59:58.999Z", {"plain"}),
        ("CreatedDate >= 2026-11-02T11:59:59.001Z", set()),
        ("CreatedDate = 2026-11-02T10:59:59Z", {"foreign"}),
        ("CreatedDate IN (2026-11-01T00:00:00Z, 2026-11-01T19:59:59-0400)", {"lower", "nothing"}),
        # Relative days reach from midnight to midnight.
        ("CreatedDate = YESTERDAY", {"lower", "nothing"}),
        ("CreatedDate < YESTERDAY", {"upper", "quoted"}),
        ("CreatedDate <= YESTERDAY", {"upper", "quoted", "lower", "nothing"}),
        ("CreatedDate > YESTERDAY", {"percent", "plain", "foreign"}),
        ("CreatedDate = TODAY", {"percent", "plain", "foreign"}),
        ("CreatedDate != TODAY", {"upper", "lower", "nothing", "quoted"}),
        ("CreatedDate = LAST_N_DAYS:1", {"lower", "nothing", "percent", "plain", "foreign"}),
        ("CreatedDate = LAST_MONTH", {"upper"}),
        ("ConvertedDate = TODAY", {"percent"}),
        ("ConvertedDate < 2026-11-01", {"plain"}),
        ("ConvertedDate >= YESTERDAY", {"lower", "percent"}),
        # Ids in either length; the long one in any case, the short one exactly.
        ("Id = '00QSCR000000501'", {"lower"}),
        ("Id IN ('00QSCR0000005012BA', '00QSCR000000502')", {"lower", "nothing"}),
        ("Id = '00qscr0000005012BA'", {"lower"}),
        ("Id = '00qSCR000000501'", set()),
        ("Id NOT IN ('00QSCR000000501')", ALL - {"lower"}),
    ],
)
def test_conditions(find, where, names):
    assert set(find(f"WHERE {where}")) == names


@pytest.mark.parametrize(
    ("order", "names"),
    [
        ("WHERE Title < 'p' OR Title = null ORDER BY Title, Email", ["nothing", "plain", "percent", "quoted", "lower", "upper"]),
        ("ORDER BY Title NULLS LAST LIMIT 2", ["plain", "percent"]),
        ("ORDER BY ConvertedDate DESC NULLS LAST LIMIT 3", ["percent", "lower", "plain"]),
        ("ORDER BY ConvertedDate DESC, Email LIMIT 2", ["nothing", "quoted"]),
        ("WHERE ConvertedDate != null ORDER BY ConvertedDate LIMIT 2 OFFSET 1", ["lower", "percent"]),
        ("ORDER BY HasOptedOutOfEmail DESC, Email DESC LIMIT 2", ["upper", "percent"]),
        ("LIMIT 0", []),
    ],
)
def test_order(find, order, names):
    assert find(order) == names
