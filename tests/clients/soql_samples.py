"""SOQL to try on two parsers: queries made from a grammar, and the same ones damaged. The same for the same seed."""

import random
import re
from collections.abc import Iterator

_TEXT, _FLAG, _MOMENT, _DAY, _ID = "text", "flag", "moment", "day", "id"
_SHARED = {"Id": _ID, "CreatedDate": _MOMENT, "CreatedBy.Name": _TEXT, "LastModifiedBy.Email": _TEXT, "SystemModstamp": _MOMENT}
_PERSON = {
    "LastName": _TEXT,
    "Email": _TEXT,
    "Title": _TEXT,
    "HasOptedOutOfEmail": _FLAG,
    "Sales_Opt_Out__c": _FLAG,
    "IsDeleted": _FLAG,
    "EmailBouncedDate": _MOMENT,
    "MasterRecordId": _ID,
    "OwnerId": _ID,
    "Owner.Name": _TEXT,
}
OBJECTS: dict[str, dict[str, str]] = {
    "Lead": {**_SHARED, **_PERSON, "Company": _TEXT, "ConvertedDate": _DAY, "IsConverted": _FLAG},
    "Contact": {**_SHARED, **_PERSON, "AccountId": _ID, "Account.Name": _TEXT, "Account.PersonHasOptedOutOfEmail": _FLAG},
    "User": {"Id": _ID, "Name": _TEXT, "Username": _TEXT, "IsActive": _FLAG, "SystemModstamp": _MOMENT},
    "LeadHistory": {"Id": _ID, "LeadId": _ID, "Lead.Email": _TEXT, "Field": _TEXT, "CreatedDate": _MOMENT, "CreatedById": _ID},
}
_STRINGS = (
    "'asa@example.com'",
    "'Åsa Ångström'",
    "'王芳'",
    r"'O\'Neill'",
    r"'a\\b'",
    r"'tab\there'",
    r"'\u00e9t\u00e9'",
    r"'\uD83D\uDE00'",
    r"'\r\f\b\\\\\'\"'",
    r"'\N\T'",
    "'\U0001f600'",
    "''",
    "'100%'",
    "' FROM Lead WHERE '",
    "'(('",
    "'\"quoted\"'",
    r"'\"'",
    "'5'",
    "'--'",
)
_PATTERNS = (
    "'%@example.com'",
    r"'100\%'",
    r"'a\_b%'",
    "'_%'",
    "'Ås%'",
    "'%'",
    r"'\\%'",
    r"'O\'%'",
    r"'\u00c5%'",
    "'%%__%'",
    "''",
)
_MOMENTS = (
    "2026-03-01T08:00:00Z",
    "2026-03-01T08:00:00.000Z",
    "2026-03-01T09:00:00+01:00",
    "2024-02-29T23:59:59.123-0500",
    "2026-12-31T00:00:00+0000",
)
_DAYS = ("2026-03-01", "2024-02-29")
_UNITS = ("WEEK", "MONTH", "QUARTER", "YEAR")
_RELATIVE = (
    *(
        "TODAY",
        "YESTERDAY",
        "TOMORROW",
        "LAST_90_DAYS",
        "NEXT_90_DAYS",
        "LAST_N_DAYS:30",
        "last_n_days : 1",
        "Today",
        "This_Week",
    ),
    *(f"{when}_{unit}" for when in ("LAST", "THIS", "NEXT") for unit in _UNITS),
    *(f"{when}_N_{unit}S:{n}" for when in ("LAST", "NEXT") for unit in ("DAY", *_UNITS) for n in (1, 7)),
    *(f"N_{unit}S_AGO:3" for unit in ("DAY", *_UNITS)),
)
_JOINED = {
    "Lead": (("Id", "LeadId", "LeadHistory", "Field"), ("OwnerId", "Id", "User", "Name")),
    "Contact": (("Id", "ContactId", "ContactHistory", "Field"), ("AccountId", "Id", "Account", "Name")),
    "LeadHistory": (("LeadId", "Id", "Lead", "Email"), ("CreatedById", "Id", "User", "Username")),
}
_IDS = ("'00QSCR000000101'", "'00QSCR0000001022BA'", "'003SCR000000001'")
_SPACES = (" ", " ", " ", " ", "  ", "\n", "\t", " \n ")

OTHER_WORDS = (
    *("SELECT", "FROM", "WHERE", "AND", "OR", "NOT", "LIKE", "IN", "ORDER BY", "ASC", "DESC", "NULLS", "FIRST", "LAST", "LIMIT"),
    *("OFFSET", "NULL", "TRUE", "FALSE", "COUNT()", "TODAY", "LAST_N_DAYS:7", "LAST_N_DAYS", "Id", "Email", "Owner.Name", "Lead"),
    *("(", ")", "()", ",", "=", "!=", "<>", "<=", ">=", "<", ">", ":", "'x'", "''", "5", "-5", "1.5", "+3", "2026-01-01", "*"),
    *("2026-01-01T00:00:00Z", "==", ";", "IS", "IS NULL", "AS", "x", "BETWEEN", "JOIN", "DISTINCT", "--", "/*", "'", '"', "\\"),
    *("GROUP BY Email", "HAVING COUNT(Id) > 1", "FOR VIEW", "FOR REFERENCE", "FOR UPDATE", "ALL ROWS", "USING SCOPE mine"),
    *("FIELDS(STANDARD)", "FIELDS(ALL)", "COUNT(Id)", "MAX(CreatedDate)", "(SELECT Id FROM Tasks)", "INCLUDES ('a')", "!", "&&"),
    *(
        "(SELECT LeadId FROM LeadHistory)",
        "WITH SECURITY_ENFORCED",
        "LAST_MONTH",
        "THIS_YEAR",
        "N_DAYS_AGO:3",
        "EXCLUDES",
        "@",
        "#",
    ),
    *(
        "toLabel(Title)",
        "CALENDAR_YEAR(CreatedDate)",
        "USD5",
        "UPDATE TRACKING",
        "UNION SELECT Id FROM Contact",
        ".",
        "$",
        "\u00a0",
    ),
)
_PIECES = re.compile(r"'(?:[^'\\]|\\.)*'|[\w.:+-]+|[<>!=]+|\s+|.", re.DOTALL)


class _Maker:
    def __init__(self, dice: random.Random) -> None:
        self.dice = dice

    def query(self) -> str:
        dice = self.dice
        name, kinds = dice.choice(list(OBJECTS.items()))
        if dice.random() < 0.1:
            selected = dice.choice(("COUNT()", "count()", "COUNT( )"))
        elif dice.random() < 0.1:
            more = dice.choice(
                ("", ", Sales_Opt_Out__c" if "Sales_Opt_Out__c" in kinds else "", ", CreatedBy.Name" if name != "User" else "")
            )
            selected = dice.choice(("FIELDS(STANDARD)", "fields( Standard )")) + more
        else:
            chosen = dice.sample(list(kinds), dice.randint(1, min(6, len(kinds))))
            selected = dice.choice((",", ", ", " , ", ",\n")).join(self.cased(f) for f in chosen)
        parts = ["SELECT", selected, "FROM", self.cased(name)]
        if dice.random() < 0.8:
            parts += ["WHERE", self.where(name, kinds)]
        if dice.random() < 0.4:
            parts += ["ORDER BY", ", ".join(self.order(f) for f in dice.sample(list(kinds), dice.randint(1, 3)))]
        if dice.random() < 0.4:
            parts += ["LIMIT", str(dice.choice((0, 1, 200, 2000, 50_000)))]
        if dice.random() < 0.2 and not ("WHERE" in parts and "LIMIT" not in parts and "ORDER BY" not in parts):
            parts += ["OFFSET", str(dice.randint(0, 2000))]
        return dice.choice(_SPACES).join(p if n % 2 else self.cased(p) for n, p in enumerate(parts))

    def cased(self, word: str) -> str:
        return self.dice.choice((word, word, word, word.lower(), word.upper(), word.title()))

    def where(self, name: str, kinds: dict[str, str]) -> str:
        """Conditions, now and then beside one or two semi-joins, which stand at the top only."""
        dice = self.dice
        found = self.condition(kinds, dice.randint(0, 3))
        joins = _JOINED.get(name, ())
        if not joins or dice.random() < 0.8:
            return found
        terms = [self.semi_join(*dice.choice(joins)) for _ in range(dice.randint(1, 2))]
        if dice.random() < 0.6:
            terms.append(f"({found})" if _joined(found) else found)
        dice.shuffle(terms)
        return f" {self.cased('AND')} ".join(terms)

    def semi_join(self, outer: str, inner: str, name: str, text: str) -> str:
        where = self.dice.choice(
            ("", f" WHERE {text} = {self.dice.choice(_STRINGS)}", f" WHERE ({text} LIKE 'a%' OR {inner} != null)")
        )
        return f"{outer} {self.cased(self.dice.choice(('IN', 'NOT IN')))} (SELECT {inner} FROM {name}{where})"

    def condition(self, kinds: dict[str, str], depth: int) -> str:
        dice = self.dice
        if not depth:
            return self.test(kinds)
        operator = f" {self.cased(dice.choice(('AND', 'OR')))} "
        terms = [self.condition(kinds, dice.randint(0, depth - 1)) for _ in range(dice.randint(1, 3))]
        terms = [f"({t})" if _joined(t) or dice.random() < 0.2 else t for t in terms]
        return operator.join(f"{self.cased('NOT')} {t}" if dice.random() < 0.15 else t for t in terms)

    def test(self, kinds: dict[str, str]) -> str:
        dice = self.dice
        field, kind = dice.choice(list(kinds.items()))
        gap = dice.choice(("", " "))
        if kind == _FLAG:
            return f"{field}{gap}{dice.choice(('=', '!=', '<>'))}{gap}{self.cased(dice.choice(('TRUE', 'FALSE')))}"
        if dice.random() < 0.15:
            return f"{field} {dice.choice(('=', '!=', '<>'))} {self.cased('NULL')}"
        if kind == _TEXT and dice.random() < 0.3:
            return f"{field} {self.cased('LIKE')} {dice.choice(_PATTERNS)}"
        values = {_TEXT: _STRINGS, _MOMENT: _MOMENTS, _DAY: _DAYS, _ID: _IDS}[kind]
        if dice.random() < 0.25:
            entries = ",".join(dice.choice(values) for _ in range(dice.randint(1, 4)))
            return f"{field} {self.cased(dice.choice(('IN', 'NOT IN')))}{gap}({gap}{entries}{gap})"
        if kind in (_MOMENT, _DAY) and dice.random() < 0.3:
            values = _RELATIVE
        value = dice.choice(values)
        operators = ("=", "!=", "<>") if kind == _ID or value == "''" else ("=", "!=", "<>", "<", "<=", ">", ">=")
        return f"{field}{gap}{dice.choice(operators)}{gap}{value}"

    def order(self, field: str) -> str:
        return field + self.dice.choice(("", " ASC", " desc")) + self.dice.choice(("", " NULLS FIRST", " nulls last"))

    def damaged(self, soql: str) -> str:
        """The query after one or two accidents to its words or characters."""
        pieces = _PIECES.findall(soql)
        for _ in range(self.dice.choice((1, 1, 2))):
            pieces = self.accident(pieces) or pieces
        return "".join(pieces)

    def accident(self, pieces: list[str]) -> list[str]:
        dice = self.dice
        at = dice.randrange(len(pieces))
        head, piece, tail = pieces[:at], pieces[at], pieces[at + 1 :]
        spot = dice.randint(0, len(piece))
        return dice.choice(
            (
                head + tail,
                [*head, piece, piece, *tail],
                [*tail, piece, *head] if dice.random() < 0.1 else [*head, *tail[:1], piece, *tail[1:]],
                [*head, dice.choice(OTHER_WORDS), *tail],
                [*head, " ", dice.choice(OTHER_WORDS), " ", piece, *tail],
                [*pieces, " ", dice.choice(OTHER_WORDS)],
                [*head, piece[:spot], dice.choice("'\"\\(),.;:=<>!_-+*5aZé \n"), piece[spot:], *tail],
                [*head, piece[: max(spot - 1, 0)], piece[spot:], *tail],
                [*head, piece[:spot]],
            )
        )


def _joined(condition: str) -> bool:
    """Whether a condition needs parentheses beside others."""
    return bool(re.search(r"\b(and|or)\b", condition, re.IGNORECASE)) or condition.lower().startswith("not ")


def sound_queries(count: int, *, seed: int) -> Iterator[str]:
    """Queries that an org has to answer."""
    maker = _Maker(random.Random(seed))
    return (maker.query() for _ in range(count))


def damaged_queries(count: int, *, seed: int) -> Iterator[str]:
    """Queries that mostly can't be answered."""
    maker = _Maker(random.Random(seed))
    return (maker.damaged(maker.query()) for _ in range(count))
