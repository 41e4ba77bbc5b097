"""The grammar of SOQL as far as this org speaks it: recursive descent to a small tree."""

from dataclasses import dataclass

from ..messages import OrgError
from .periods import COUNTED, PLAIN
from .words import Word, malformed, placed, unquoted, words

_OPERATORS = ("=", "!=", "<>", "<", "<=", ">", ">=")
_LITERAL_KINDS = ("string", "datetime", "date", "number")
_MOST_NESTED = 200  # parentheses and NOT inside one another
_LONGEST_TEXT = 4_000
_LARGEST_NUMBER = 2**31 - 1
_RESERVED = frozenset({"SELECT", "FROM", "WHERE", "AND", "OR", "NOT", "LIKE", "IN", "ORDER", "BY", "LIMIT", "OFFSET", "NULL"})


@dataclass(frozen=True)
class Literal:
    """A value: kind string, pattern, datetime, date, number, boolean, null or relative; ``days`` is the n of LAST_N_DAYS:n."""

    kind: str
    text: str
    at: int
    days: int = 0

    @property
    def is_null(self) -> bool:
        """Whether it stands for null, as the empty text does."""
        return self.kind == "null" or (self.kind == "string" and not self.text)


@dataclass(frozen=True)
class Comparison:
    """``field operator value``."""

    field: Word
    operator: str
    literal: Literal


@dataclass(frozen=True)
class Membership:
    """``field [NOT] IN (values)``, or with ``query`` a semi-join: ``Id IN (SELECT LeadId FROM LeadHistory ...)``."""

    field: Word
    negated: bool
    literals: tuple[Literal, ...]
    query: "Query | None" = None


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
    """A whole query; ``count`` is ``SELECT COUNT()``, without fields; ``FIELDS(STANDARD)`` is a word of kind ``fields``."""

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
        self.nested = 0
        self.in_subquery = False

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
        self.refuse_nested_semi_joins(query.where)
        if query.offset > 2000:
            raise OrgError(400, "NUMBER_OUTSIDE_VALID_RANGE", "Maximum SOQL offset allowed is 2000")
        return query

    def selection(self) -> tuple[tuple[Word, ...], bool]:
        fields = [self.selected()]
        if fields[0].is_("COUNT") and self.taken("("):
            self.expect(")")
            return (), True
        while self.taken(","):
            fields.append(self.selected())
        return tuple(fields), False

    def selected(self) -> Word:
        """One field, or FIELDS(STANDARD); FIELDS(ALL) and FIELDS(CUSTOM) are not served here."""
        name = self.name()
        following = self.words[self.next : self.next + 3]
        if name.is_("FIELDS") and [w.text.upper() for w in following] == ["(", "STANDARD", ")"]:
            self.next += 3
            return Word("fields", "STANDARD", name.at)
        return name

    def refuse_nested_semi_joins(self, where: Condition | None) -> None:
        """Semi-joins stand at the top, alone or joined by AND, at most two of them."""
        top = where.conditions if isinstance(where, Junction) and where.operator == "AND" else (where,)
        allowed = [c for c in top if isinstance(c, Membership) and c.query is not None]
        if len(allowed) > 2:
            raise malformed(self.soql, allowed[2].field.at, "maximum 2 semi join sub-selects are allowed")
        nested = [c for c in _semi_joins(where) if not any(c is a for a in allowed)]
        if nested:
            message = (
                "Semi join sub-selects are only allowed at the top level WHERE expressions and not in nested WHERE expressions"
            )
            raise malformed(self.soql, nested[0].field.at, message)

    def name(self) -> Word:
        if self.word.kind != "name" or self.word.text.upper() in _RESERVED:
            raise self.unexpected()
        return self.take()

    def number(self) -> int:
        if self.word.kind != "number" or not self.word.text.isdigit():
            raise self.unexpected()
        text = self.take().text.lstrip("0") or "0"
        if len(text) > len(str(_LARGEST_NUMBER)) or int(text) > _LARGEST_NUMBER:
            raise OrgError(400, "NUMBER_OUTSIDE_VALID_RANGE", f"Value {text[:20]} is outside the valid range of an integer")
        return int(text)

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
        if not self.word.is_("NOT", "("):
            return self.comparison()
        self.nested += 1
        if self.nested > _MOST_NESTED:
            message = f"The conditions are nested too deeply: {_MOST_NESTED} levels are allowed"
            raise OrgError(400, "QUERY_TOO_COMPLICATED", placed(self.soql, self.word.at, message))
        inner: Condition
        if self.taken("NOT"):
            inner = Negation(self.term())
        else:
            self.take()
            inner = self.condition()
            self.expect(")")
        self.nested -= 1
        return inner

    def comparison(self) -> Condition:
        field = self.name()
        if self.taken("IN"):
            return self.membership(field, negated=False)
        if self.word.is_("NOT"):
            self.take()
            self.expect("IN")
            return self.membership(field, negated=True)
        if self.taken("LIKE"):
            return Comparison(field, "LIKE", self.literal(pattern=True))
        if not self.word.is_(*_OPERATORS):
            raise self.unexpected()
        operator = self.take().text
        return Comparison(field, "!=" if operator == "<>" else operator, self.literal())

    def membership(self, field: Word, *, negated: bool) -> Membership:
        if self.word.is_("(") and not self.in_subquery and self.words[self.next + 1].is_("SELECT"):
            return Membership(field, negated, (), self.subquery())
        return Membership(field, negated, self.literals())

    def subquery(self) -> Query:
        """The inner query of a semi-join: one field, an object, conditions; nothing else, and none inside another."""
        self.expect("(")
        self.in_subquery = True
        self.expect("SELECT")
        fields = (self.name(),)
        self.expect("FROM")
        found = Query(self.soql, fields, False, self.name(), self.condition() if self.taken("WHERE") else None)
        self.in_subquery = False
        self.expect(")")
        return found

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
            text = unquoted(self.soql, word, pattern=pattern)
            if len(text) > _LONGEST_TEXT:
                raise malformed(self.soql, word.at, f"Maximum SOQL criterion length is {_LONGEST_TEXT}")
            return Literal("pattern" if pattern else "string", text, word.at)
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
        if word.is_(*PLAIN):
            self.take()
            return Literal("relative", word.text.upper(), word.at)
        if word.is_(*COUNTED):
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


def _semi_joins(condition: Condition | None) -> list[Membership]:
    """All semi-joins of a condition, however deep."""
    if isinstance(condition, Junction):
        return [found for inner in condition.conditions for found in _semi_joins(inner)]
    if isinstance(condition, Negation):
        return _semi_joins(condition.condition)
    return [condition] if isinstance(condition, Membership) and condition.query is not None else []
