"""The grammar of SOQL as far as this org speaks it: recursive descent to a small tree."""

from dataclasses import dataclass

from ..messages import OrgError
from .words import Word, malformed, unquoted, words

_OPERATORS = ("=", "!=", "<>", "<", "<=", ">", ">=")
_LITERAL_KINDS = ("string", "datetime", "date", "number")
_RELATIVE = ("TODAY", "YESTERDAY")
_RELATIVE_DAYS = "LAST_N_DAYS"
_RESERVED = frozenset({"SELECT", "FROM", "WHERE", "AND", "OR", "NOT", "LIKE", "IN", "ORDER", "BY", "LIMIT", "OFFSET", "NULL"})


@dataclass(frozen=True)
class Literal:
    """A value: kind string, pattern, datetime, date, number, boolean, null or relative; ``days`` for LAST_N_DAYS."""

    kind: str
    text: str
    at: int
    days: int = 0


@dataclass(frozen=True)
class Comparison:
    """``field operator value``."""

    field: Word
    operator: str
    literal: Literal


@dataclass(frozen=True)
class Membership:
    """``field [NOT] IN (values)``."""

    field: Word
    negated: bool
    literals: tuple[Literal, ...]


@dataclass(frozen=True)
class Negation:
    """``NOT condition``."""

    condition: "Condition"


@dataclass(frozen=True)
class Junction:
    """Conditions joined by one operator, AND or OR."""

    operator: str
    conditions: tuple["Condition", ...]


Condition = Comparison | Membership | Negation | Junction


@dataclass(frozen=True)
class Order:
    """One ORDER BY entry; nulls come first unless said otherwise."""

    field: Word
    descending: bool
    nulls_last: bool


@dataclass(frozen=True)
class Query:
    """A whole query; ``count`` is ``SELECT COUNT()``, without fields."""

    soql: str
    fields: tuple[Word, ...]
    count: bool
    object: Word
    where: Condition | None = None
    order: tuple[Order, ...] = ()
    limit: int | None = None
    offset: int = 0


def parsed(soql: str) -> Query:
    """The tree of a query.

    Raises:
        OrgError: MALFORMED_QUERY for anything outside the grammar.
    """
    if len(soql) > 100_000:
        raise OrgError(400, "QUERY_TOO_COMPLICATED", "Your query is too long: 100,000 characters are allowed")
    if not soql.strip():
        raise OrgError(400, "MALFORMED_QUERY", "A query string has to be specified")
    return _Reader(soql).query()


class _Reader:
    def __init__(self, soql: str) -> None:
        self.soql = soql
        self.words = words(soql)
        self.next = 0

    @property
    def word(self) -> Word:
        return self.words[self.next]

    def take(self) -> Word:
        word = self.word
        self.next += 1
        return word

    def taken(self, *texts: str) -> bool:
        if self.word.is_(*texts):
            self.next += 1
            return True
        return False

    def expect(self, text: str) -> Word:
        if not self.word.is_(text):
            raise self.unexpected(f"expecting '{text}', found '{self.word.text[:40]}'")
        return self.take()

    def unexpected(self, message: str = "") -> OrgError:
        return malformed(self.soql, self.word.at, message or f"unexpected token: '{self.word.text[:40]}'")

    def query(self) -> Query:
        self.expect("SELECT")
        fields, count = self.selection()
        self.expect("FROM")
        query = Query(
            soql=self.soql,
            fields=fields,
            count=count,
            object=self.name(),
            where=self.condition() if self.taken("WHERE") else None,
            order=self.ordering() if self.taken("ORDER") else (),
            limit=self.number() if self.taken("LIMIT") else None,
            offset=self.number() if self.taken("OFFSET") else 0,
        )
        if self.word.kind != "end":
            raise self.unexpected()
        if query.offset > 2000:
            raise OrgError(400, "NUMBER_OUTSIDE_VALID_RANGE", "Maximum SOQL offset allowed is 2000")
        return query

    def selection(self) -> tuple[tuple[Word, ...], bool]:
        fields = [self.name()]
        if fields[0].is_("COUNT") and self.taken("("):
            self.expect(")")
            return (), True
        while self.taken(","):
            fields.append(self.name())
        return tuple(fields), False

    def name(self) -> Word:
        if self.word.kind != "name" or self.word.text.upper() in _RESERVED:
            raise self.unexpected()
        return self.take()

    def number(self) -> int:
        if self.word.kind != "number" or not self.word.text.isdigit():
            raise self.unexpected()
        return int(self.take().text)

    def condition(self) -> Condition:
        """One level: terms joined by AND or by OR; both need parentheses, as in Salesforce."""
        terms = [self.term()]
        operator = ""
        while self.word.is_("AND", "OR"):
            if operator and not self.word.is_(operator):
                raise self.unexpected()
            operator = self.take().text.upper()
            terms.append(self.term())
        return Junction(operator, tuple(terms)) if operator else terms[0]

    def term(self) -> Condition:
        if self.taken("NOT"):
            return Negation(self.term())
        if self.taken("("):
            inner = self.condition()
            self.expect(")")
            return inner
        return self.comparison()

    def comparison(self) -> Condition:
        field = self.name()
        if self.taken("IN"):
            return Membership(field, False, self.literals())
        if self.word.is_("NOT"):
            self.take()
            self.expect("IN")
            return Membership(field, True, self.literals())
        if self.taken("LIKE"):
            return Comparison(field, "LIKE", self.literal(pattern=True))
        if not self.word.is_(*_OPERATORS):
            raise self.unexpected()
        operator = self.take().text
        return Comparison(field, "!=" if operator == "<>" else operator, self.literal())

    def literals(self) -> tuple[Literal, ...]:
        self.expect("(")
        found = [self.literal()]
        while self.taken(","):
            found.append(self.literal())
        self.expect(")")
        return tuple(found)

    def literal(self, *, pattern: bool = False) -> Literal:
        word = self.word
        if word.kind == "string":
            self.take()
            return Literal("pattern" if pattern else "string", unquoted(self.soql, word, pattern=pattern), word.at)
        if word.kind in _LITERAL_KINDS:
            self.take()
            return Literal(word.kind, word.text, word.at)
        if word.is_("TRUE", "FALSE"):
            self.take()
            return Literal("boolean", word.text.lower(), word.at)
        if word.is_("NULL"):
            self.take()
            return Literal("null", "", word.at)
        return self.relative()

    def relative(self) -> Literal:
        word = self.word
        if word.is_(*_RELATIVE):
            self.take()
            return Literal("relative", word.text.upper(), word.at)
        if word.is_(_RELATIVE_DAYS):
            self.take()
            self.expect(":")
            return Literal("relative", word.text.upper(), word.at, self.number())
        raise self.unexpected()

    def ordering(self) -> tuple[Order, ...]:
        self.expect("BY")
        orders = [self.order()]
        while self.taken(","):
            orders.append(self.order())
        return tuple(orders)

    def order(self) -> Order:
        field = self.name()
        descending = self.taken("DESC")
        if not descending:
            self.taken("ASC")
        nulls_last = False
        if self.taken("NULLS"):
            if not self.word.is_("FIRST", "LAST"):
                raise self.unexpected()
            nulls_last = self.take().is_("LAST")
        return Order(field, descending, nulls_last)
