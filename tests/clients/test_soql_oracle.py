"""What SOQL the scratch org takes and refuses, and what it reads in it, against a parser that nobody here wrote."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from workbench.scratch_org.describe import Permissions
from workbench.scratch_org.messages import OrgError
from workbench.scratch_org.org import Org
from workbench.scratch_org.serve import Options, prepared
from workbench.scratch_org.soql import Query, parsed, translated

from .soql_samples import damaged_queries, sound_queries

SOUND, DAMAGED = 1000, 2500


@dataclass(frozen=True)
class Difference:
    """What only one side takes: why, one example, and the text that stands before and after the place."""

    reason: str
    example: str
    after: str = ""
    before: str = ""

    def explains(self, soql: str, at: int) -> bool:
        """Whether the text around the place is this difference's."""
        return bool(
            re.search(rf"(?:{self.before})$", soql[:at], re.IGNORECASE | re.DOTALL)
            and re.match(self.after, soql[at:], re.IGNORECASE | re.DOTALL)
        )


_KEYWORDS = r"(?:AND|OR|NOT|LIKE|IN|BY|LIMIT|OFFSET|FROM|WHERE|ASC|DESC)"
_ALIASED = rf"(?!{_KEYWORDS}\b)[A-Z]\w*\s*(?:,|\)|FROM\b|WHERE\b|ORDER\b|LIMIT\b|OFFSET\b|$)"
_CONDITION = r"(?:\(\s*|NOT\b\s*)*[A-Z][\w.]*\s*(?:[=<>]|!=|(?:NOT\s+)?IN\b|LIKE\b)"
_INNER = r"(?:[\w.]+\s+(?:NOT\s+)?IN\s*)?\(?\s*SELECT\b"
_LEAD = "SELECT Id FROM Lead"

# What Salesforce refuses and the oracle takes. The place is where the org's parser stops.
LAX_ORACLE = (
    Difference("no space after a keyword", f"{_LEAD} WHERE Title = 'a' ANDEmail = 'b'", rf"{_KEYWORDS}[\w.]"),
    Difference("no space after a number", f"{_LEAD} LIMIT 5OFFSET 7", r"\d+[A-Z]"),
    Difference("a number in the middle of a word", "SELECT Id1.5 Email FROM Lead", r"\.\d", r"\w"),
    Difference("a point at the end of a name", "SELECT Id. FROM Lead", r"\.(?!\w)", r"\w"),
    Difference(
        "a path as alias",
        "SELECT Id Owner.Name FROM Lead",
        r"[A-Z]\w*(?:\.\w+)+\s*(?:,|FROM\b|WHERE\b|ORDER\b|LIMIT\b|$)",
        r"[\w.]\s+",
    ),
    Difference("OFFSET as alias of a field", "SELECT Id OFFSET FROM Lead", r"OFFSET\b", r"[\w,]\s+"),
    Difference(
        "OFFSET or ORDER as alias of the object",
        f"{_LEAD} OFFSET WHERE Id = null",
        r"$|=|LIMIT\b|WHERE\b",
        r"\b(?:OFFSET|ORDER)\s*",
    ),
    Difference("conditions side by side", f"{_LEAD} WHERE Title = 'a' Email = 'b'", _CONDITION, r"['\w)]\s*"),
    Difference("AND before the first condition", f"{_LEAD} WHERE AND Title = 'a'", r"(?:AND|OR)\b", r"(?:WHERE|\()\s*"),
    Difference("AND beside OR", f"{_LEAD} WHERE Id = null AND Id = null OR Id = null", r"(?:AND|OR)\b", r"\bWHERE\b.*"),
    Difference("IN without parentheses", f"{_LEAD} WHERE Title IN 'a'", r"['\w+-]", r"\bIN\s*"),
    Difference("a list after a comparison", f"{_LEAD} WHERE Title = ('a', 'b')", r"\(", r"[=<>]\s*"),
    Difference("a no-break space", f"{_LEAD}\u00a0LIMIT 5", "\u00a0"),
    Difference("an escape that doesn't exist", rf"{_LEAD} WHERE Title = '\x'", r"\\"),
    Difference("a negative number of days", f"{_LEAD} WHERE CreatedDate > LAST_N_DAYS:-3", r"-\d", r":\s*"),
    Difference("something beside COUNT()", "SELECT COUNT(), Id FROM Lead", r"[A-Z(,]", r"COUNT\s*\(\s*\)\s*"),
)
# What Salesforce takes too, but the org doesn't speak: it refuses such queries rather than drop a part of them.
NOT_SPOKEN = (
    Difference("aliases", "SELECT l.Id FROM Lead l", _ALIASED, r"[\w.)]\s+"),
    Difference("functions and FIELDS()", "SELECT FIELDS(STANDARD) FROM Lead", r"\(", r"[A-Z]\w*\s*"),
    Difference("COUNT of a field", "SELECT COUNT(Id) FROM Lead", r"[\w']", r"COUNT\s*\(\s*"),
    Difference("queries inside", f"{_LEAD} WHERE Id IN (SELECT LeadId FROM LeadHistory)", _INNER),
    Difference("other relative dates", f"{_LEAD} WHERE CreatedDate = LAST_MONTH", r"(?:LAST|THIS|NEXT|N)_\w+"),
    Difference("amounts with a currency", f"{_LEAD} WHERE Title = USD5", r"[A-Z]{3}\d"),
    Difference("numbers that begin with a point", f"{_LEAD} WHERE Title = .5", r"\.\d"),
    Difference("grouping", "SELECT Email FROM Lead GROUP BY Email", r"(?:GROUP|HAVING)\b"),
    Difference("other clauses", f"{_LEAD} FOR VIEW", r"(?:FOR|UPDATE|USING|WITH|INCLUDES|EXCLUDES|TYPEOF)\b"),
)
# What the org takes and the oracle doesn't. The place is the end of the query.
STRICT_ORACLE = (
    Difference(
        "Salesforce takes OFFSET without LIMIT, the oracle not after a WHERE",
        f"{_LEAD} WHERE Id = null OFFSET 5",
        before=r"\bWHERE\b(?!.*\bLIMIT\b).*OFFSET\s+\d+\s*",
    ),
    Difference(
        "a line's end inside a string; what Salesforce says to it isn't known",
        f"{_LEAD} WHERE Title = 'a\nb'",
        before=r"'(?:[^'\\]|\\.)*\n(?:[^'\\]|\\.)*'.*",
    ),
    Difference("more than one space in ORDER BY", f"{_LEAD} ORDER  BY Id", before=r"\bORDER\s{2,}BY\b.*"),
    Difference("zeros before a number", f"{_LEAD} LIMIT 05", before=r"\b(?:LIMIT|OFFSET|:)\s*0\d+.*"),
)


@dataclass(frozen=True)
class Verdicts:
    """Each query with what the oracle read (None: refused) and what the org's parser said."""

    soql: list[str]
    oracle: list[dict[str, Any] | None]
    org: list[Query | OrgError]
    examples: dict[str, dict[str, Any] | None]


# The oracle reads only two of three negations inside one another, and only the end of a path after FROM.
_LOST = re.compile(r"(?:\bNOT\b[\s(]*){3}|\bFROM\s+\w+\.", re.IGNORECASE)


@pytest.fixture(scope="module")
def verdicts(node: Callable[[str, Any], Any]) -> Verdicts:
    soql = [*sound_queries(SOUND, seed=1), *damaged_queries(DAMAGED, seed=2)]
    examples = [d.example for d in (*LAX_ORACLE, *NOT_SPOKEN, *STRICT_ORACLE)]
    read = node("oracle.mjs", soql + examples)
    return Verdicts(soql, read[: len(soql)], [_read(s) for s in soql], dict(zip(examples, read[len(soql) :], strict=True)))


@pytest.fixture(scope="module")
def org() -> Org:
    return prepared(Options(people=50))


def _read(soql: str) -> Query | OrgError:
    try:
        return parsed(soql)
    except OrgError as error:
        return error


def _answered(org: Org, query: Query) -> bool:
    """Whether the org answers a query that it could parse; any exception but its own is the test's failure."""
    try:
        found = translated(query, Permissions(), org.clock.now())
    except OrgError:
        return False
    org.tables.db.execute(found.count_sql() if query.count else found.rows_sql(), (*found.parameters, *found.bounds)).fetchall()
    return True


def test_sound_queries_are_taken_by_both_and_answered(org: Org, verdicts: Verdicts) -> None:
    refused = [
        (soql, oracle is not None, query)
        for soql, oracle, query in zip(verdicts.soql[:SOUND], verdicts.oracle, verdicts.org, strict=False)
        if oracle is None or isinstance(query, OrgError) or not _answered(org, query)
    ]
    assert not refused, refused[:3]
    assert len(set(verdicts.soql[:SOUND])) > 0.98 * SOUND


def test_both_read_the_same_clauses_in_the_same_query(verdicts: Verdicts) -> None:
    read = zip(verdicts.soql, verdicts.oracle, verdicts.org, strict=True)
    both = [(s, o, q) for s, o, q in read if o and isinstance(q, Query) and not _LOST.search(s)]
    differing = [(s, o, _clauses(q)) for s, o, q in both if _plain(o) != _plain(_clauses(q))]
    assert not differing, differing[:3]
    assert len(both) > SOUND + 100


def test_what_the_oracle_takes_the_org_takes_but_for_known_differences(verdicts: Verdicts) -> None:
    used: Counter[str] = Counter()
    unexplained = []
    for soql, oracle, error in zip(verdicts.soql, verdicts.oracle, verdicts.org, strict=True):
        if oracle is None or isinstance(error, Query) or error.code == "NUMBER_OUTSIDE_VALID_RANGE":
            continue
        found = next((d for d in (*LAX_ORACLE, *NOT_SPOKEN) if d.explains(soql, _place(soql, error))), None)
        used[found.reason if found else ""] += 1
        unexplained += [] if found else [(soql, soql[_place(soql, error) :], error.message.rsplit("\n", 1)[-1])]
    assert not unexplained, unexplained[:5]
    assert len(used) >= 5
    assert sum(used.values()) < 0.1 * DAMAGED


def test_what_the_org_answers_the_oracle_takes_but_for_known_differences(org: Org, verdicts: Verdicts) -> None:
    answers = refusals = 0
    unexplained = []
    for soql, oracle, query in zip(verdicts.soql[SOUND:], verdicts.oracle[SOUND:], verdicts.org[SOUND:], strict=True):
        if isinstance(query, OrgError) or not _answered(org, query):
            refusals += 1
            continue
        answers += 1
        if oracle is None and not any(d.explains(soql, len(soql)) for d in STRICT_ORACLE):
            unexplained.append(soql)
    assert not unexplained, unexplained[:5]
    assert answers + refusals == DAMAGED
    assert answers > 0.1 * DAMAGED
    assert refusals > 0.5 * DAMAGED


@pytest.mark.parametrize("difference", [*LAX_ORACLE, *NOT_SPOKEN, *STRICT_ORACLE], ids=lambda d: d.reason)
def test_each_known_difference_is_one(difference: Difference, verdicts: Verdicts) -> None:
    oracle = verdicts.examples[difference.example]
    org = _read(difference.example)
    assert (oracle is None) == (difference in STRICT_ORACLE)
    if difference not in NOT_SPOKEN:
        assert isinstance(org, Query) == (oracle is None)
    if isinstance(org, OrgError):
        assert org.code == "MALFORMED_QUERY"
        assert difference.explains(difference.example, _place(difference.example, org))


def _place(soql: str, error: OrgError) -> int:
    """Where the org's parser stopped, from the row and column of its message."""
    found = re.search(r"ERROR at Row:(\d+):Column:(\d+)", error.message)
    assert found, error.message
    row, column = int(found[1]), int(found[2])
    return sum(len(line) + 1 for line in soql.split("\n")[: row - 1]) + column - 1


def _clauses(query: Query) -> dict[str, Any]:
    """A query in the form that oracle.mjs prints."""
    return {
        "fields": [f"FIELDS({w.text})" if w.kind == "fields" else w.text for w in query.fields] or ["COUNT()"],
        "object": query.object.text,
        "conditions": list(_conditions(query.where)) if query.where else [],
        "order": [[o.field.text, "DESC" if o.descending else "ASC", "LAST" if o.nulls_last else "FIRST"] for o in query.order],
        "limit": query.limit,
        "offset": query.offset,
    }


def _conditions(condition: Any) -> list[Any]:
    kind = type(condition).__name__
    if kind == "Negation":
        return ["NOT", *_conditions(condition.condition)]
    if kind == "Junction":
        first, *others = condition.conditions
        return [*_conditions(first), *(part for c in others for part in (condition.operator, *_conditions(c)))]
    if kind == "Membership":
        inner = getattr(condition, "query", None)
        values = ["query", _clauses(inner)] if inner else [e.kind for e in condition.literals]
        return [[condition.field.text, "NOT IN" if condition.negated else "IN", values]]
    literal = "string" if condition.literal.kind == "pattern" else condition.literal.kind
    return [[condition.field.text, "!=" if condition.operator == "<>" else condition.operator, [literal]]]


def _plain(clauses: Any) -> Any:
    """Without what differs in spelling alone."""
    if isinstance(clauses, dict):
        return {k: _plain(v) for k, v in clauses.items()}
    if isinstance(clauses, list):
        return [_plain(v) for v in clauses]
    return re.sub(r"\s+", "", clauses).lower().replace("<>", "!=") if isinstance(clauses, str) else clauses
