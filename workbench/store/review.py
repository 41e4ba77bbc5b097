"""The people grid's questions to the register: filter, sort, one page at a time, count.

What may be filtered and sorted by is an allow-list; every value is checked and bound, never pasted. A page is found by the key
of its neighbour (keyset), so page 10,000 costs what page 1 costs. Decides nothing about a person.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from workbench.errors import InputError
from workbench.mismatch import KINDS
from workbench.person import UNSUBSCRIBE_SOURCES, normalize_address
from workbench.store import schema as s
from workbench.store.database import Transaction
from workbench.store.schema import instant_text

END = "end"
"""``before=END`` asks for the last page."""

SORTS = {name: s.person.c[name] for name in ("unsubscribed_at", "email", "last_name", "company", "domain")}
SALESFORCE_STATES = ("opted_out", "opted_in", "no_record")
COLUMNS = (
    "person_id", "email", "first_name", "last_name", "company", "unsubscribed_at", "source",
    "salesforce", "records", "mismatches", "consents",
)  # fmt: skip
MOST_ROWS = 1000
MOST_IDS = 30_000  # below SQLite's limit on bound values
MOST_WORDS = 8
LONGEST_TEXT = 200
FEW = 1000  # of so many people it is quicker to sort them all than to walk the whole list in order until a page is full
IN_FORCE = ("given", "renewed")  # a withdrawn or refused consent is not one on file

Row = dict[str, Any]


class holds(FunctionElement[bool]):  # noqa: N801 - it is written like an SQL function
    """Whether a text fits a LIKE pattern, whatever the case of its letters (on SQLite: of ASCII letters, as its LIKE does)."""

    type = sa.Boolean()
    inherit_cache = True


@compiles(holds)
def _like(element: Any, compiler: Any, **kw: Any) -> str:
    text, pattern = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"({text} LIKE {pattern} ESCAPE '/')"


@compiles(holds, "postgresql")
def _ilike(element: Any, compiler: Any, **kw: Any) -> str:
    text, pattern = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"({text} ILIKE {pattern} ESCAPE '/')"


@dataclass(frozen=True, kw_only=True)
class Page:
    """Some neighbouring rows of one sorted, filtered list; the keys lead to the pages before and after."""

    rows: list[Row]
    first_key: str | None
    last_key: str | None
    has_next: bool
    has_previous: bool


@dataclass(frozen=True)
class _Order:
    sort: str
    descending: bool

    @property
    def column(self) -> sa.Column[Any]:
        return SORTS[self.sort]

    def turned(self) -> _Order:
        return _Order(self.sort, not self.descending)

    def by(self) -> tuple[sa.ColumnElement[Any], ...]:
        """NULL counts as the smallest value on every database; both directions read one index."""
        if self.descending:
            return self.column.desc().nulls_last(), s.person.c.person_id.desc()
        return self.column.asc().nulls_first(), s.person.c.person_id.asc()


def page(
    tx: Transaction,
    filters: Mapping[str, Any],
    *,
    sort: str,
    descending: bool,
    after: str | None = None,
    before: str | None = None,
    limit: int,
) -> Page:
    """One page of the people who fit the filters.

    ``filters``: any of `FILTERS`. ``sort``: one of `SORTS`; ties are broken by person id. ``after``/``before`` are keys of an
    earlier page, ``before=END`` gives the last page. Rows have the keys `COLUMNS`, ``unsubscribed_at`` aware or None.

    Raises:
        InputError: an unknown filter or sort, a value of the wrong kind, a key that belongs to another sort, a limit outside
            1 to `MOST_ROWS`.
    """
    order = _order(sort, descending)
    if not 1 <= limit <= MOST_ROWS:
        raise InputError(f"a page has 1 to {MOST_ROWS} rows")
    if after is not None and before is not None:
        raise InputError("a page lies after one row or before one, not both")
    where = _where(filters)
    backwards = before is not None
    key = None if before == END else _key(before if backwards else after, sort)
    where = _narrowed(tx, filters, where)
    found = _walk(tx, where, order.turned() if backwards else order, key=key, limit=limit + 1)
    more, rows = len(found) > limit, found[:limit]
    if backwards:
        rows.reverse()
    return Page(
        rows=_complete(tx, rows),
        first_key=_token(sort, rows[0]) if rows else None,
        last_key=_token(sort, rows[-1]) if rows else None,
        has_next=(key is not None) if backwards else more,
        has_previous=more if backwards else key is not None,
    )


def count(tx: Transaction, filters: Mapping[str, Any]) -> int:
    """How many people fit the filters.

    Raises:
        InputError: an unknown filter, or a value of the wrong kind.
    """
    return int(tx.execute(sa.select(sa.func.count()).select_from(s.person).where(*_where(filters))).scalar_one())


def select_ids(tx: Transaction, filters: Mapping[str, Any]) -> tuple[str, ...]:
    """The person ids of everyone who fits the filters, in order of the ids: what "all N matching" means at this moment.

    Raises:
        InputError: an unknown filter, or a value of the wrong kind.
    """
    ids = sa.select(s.person.c.person_id).where(*_where(filters)).order_by(s.person.c.person_id)
    return tuple(tx.execute(ids).scalars())


def rows(
    tx: Transaction, filters: Mapping[str, Any], *, sort: str = "email", descending: bool = False, limit: int | None = None
) -> Iterator[Row]:
    """Everyone who fits the filters, row by row as in a `Page`, read page by page within one transaction.

    Raises:
        InputError: an unknown filter or sort, or a value of the wrong kind.
    """
    order, where = _order(sort, descending), _where(filters)
    key: tuple[Any, str] | None = None
    left = limit
    while left is None or left > 0:
        size = MOST_ROWS if left is None else min(MOST_ROWS, left)
        found = _walk(tx, where, order, key=key, limit=size)
        yield from _complete(tx, found)
        if len(found) < size:
            return
        key = (found[-1][sort], found[-1]["person_id"])
        left = None if left is None else left - size


def _order(sort: str, descending: bool) -> _Order:
    if sort not in SORTS:
        raise InputError("the list can't be sorted by this column", f"Sort by one of: {', '.join(SORTS)}.")
    return _Order(sort, bool(descending))


def _narrowed(
    tx: Transaction, filters: Mapping[str, Any], where: tuple[sa.ColumnElement[bool], ...]
) -> tuple[sa.ColumnElement[bool], ...]:
    """The same people, by their ids where few of them fit: a walk in order reads everybody else on its way to them."""
    if not SEARCHED.intersection(name for name, value in filters.items() if value is not None and value != ""):
        return where
    found = tx.execute(sa.select(s.person.c.person_id).where(*where).limit(FEW + 1)).scalars().all()
    return where if len(found) > FEW else (s.person.c.person_id.in_(found),)


def _walk(
    tx: Transaction, where: Sequence[sa.ColumnElement[bool]], order: _Order, *, key: tuple[Any, str] | None, limit: int
) -> list[Row]:
    """The next rows behind a key, in order. Up to two ranges of one index: the values, and the people without one."""
    p = s.person.c
    chosen = sa.select(
        p.person_id,
        p.email,
        p.first_name,
        p.last_name,
        p.company,
        p.domain,
        p.unsubscribed_at,
        p.unsubscribe_source.label("source"),
    )
    found: list[Row] = []
    for part in _ranges(order, key):
        if len(found) < limit:
            query = chosen.where(*where, *part).order_by(*order.by()).limit(limit - len(found))
            found += [dict(row) for row in tx.execute(query).mappings()]
    return found


def _ranges(order: _Order, key: tuple[Any, str] | None) -> list[tuple[sa.ColumnElement[bool], ...]]:
    column, person_id = order.column, s.person.c.person_id
    if key is None:
        return [()]
    value, neighbour = key
    if value is None:
        without = (column.is_(None), person_id < neighbour if order.descending else person_id > neighbour)
        return [without] if order.descending else [without, (column.is_not(None),)]
    here, there = sa.tuple_(column, person_id), sa.tuple_(sa.literal(value, column.type), sa.literal(neighbour))
    beyond: tuple[sa.ColumnElement[bool], ...] = (here < there if order.descending else here > there,)
    return [beyond, (column.is_(None),)] if order.descending and column.nullable else [beyond]


def _token(sort: str, row: Row) -> str:
    value = row[sort]
    return json.dumps([sort, instant_text(value) if isinstance(value, datetime) else value, row["person_id"]])


def _key(token: str | None, sort: str) -> tuple[Any, str] | None:
    """A page key back to (value, person id); it came from a browser, so nothing in it is trusted."""
    if token is None:
        return None
    try:
        named, value, person_id = json.loads(token)
        if sort == "unsubscribed_at" and value is not None:
            value = datetime.fromisoformat(value)
    except (ValueError, TypeError, RecursionError):
        raise _foreign_key() from None
    kind: type = datetime if sort == "unsubscribed_at" else str
    fits = isinstance(value, kind) or (value is None and SORTS[sort].nullable)
    if named != sort or not fits or not _storable(value) or not (isinstance(person_id, str) and _storable(person_id)):
        raise _foreign_key()
    return value, person_id


def _foreign_key() -> InputError:
    return InputError("this is not the key of a page of this list", "Start again at the first page.")


def _storable(value: Any) -> bool:
    """Whether a database can take it: no naive moment, no NUL, no half of a surrogate pair."""
    if isinstance(value, datetime):
        return value.tzinfo is not None
    return not isinstance(value, str) or ("\x00" not in value and not any("\ud800" <= c <= "\udfff" for c in value))


def _complete(tx: Transaction, rows: list[Row]) -> list[Row]:
    """Records, open mismatches and consents of the people on one page, and `COLUMNS` in their order."""
    ids = [row["person_id"] for row in rows]
    records, m, c = _records(tx, ids), s.mismatch.c, s.consent.c
    mismatches = _counts(tx, m.person_id, m.person_id.in_(ids), m.resolved_at.is_(None))
    consents = _counts(tx, c.person_id, c.person_id.in_(ids), c.state.in_(IN_FORCE))
    for row in rows:
        number, opted_out = records.get(row["person_id"], (0, False))
        row["salesforce"] = "no_record" if not number else "opted_out" if opted_out else "opted_in"
        row["records"] = number
        row["mismatches"] = mismatches.get(row["person_id"], 0)
        row["consents"] = consents.get(row["person_id"], 0)
    return [{name: row[name] for name in COLUMNS} for row in rows]


def _records(tx: Transaction, ids: Sequence[str]) -> dict[str, tuple[int, bool]]:
    opted_out = sa.func.max(sa.case((s.org_record.c.opted_out, 1), else_=0))
    chosen = sa.select(s.link.c.person_id, sa.func.count(), opted_out).where(s.link.c.person_id.in_(ids), *_live())
    return {row[0]: (row[1], bool(row[2])) for row in tx.execute(chosen.group_by(s.link.c.person_id))}


def _counts(tx: Transaction, column: sa.Column[str], *where: sa.ColumnElement[bool]) -> dict[str, int]:
    return {row[0]: row[1] for row in tx.execute(sa.select(column, sa.func.count()).where(*where).group_by(column))}


def _live() -> tuple[sa.ColumnElement[bool], ...]:
    """Join of links to the records that still exist; merged records are deleted ones."""
    return s.link.c.record_id == s.org_record.c.record_id, s.org_record.c.is_deleted.is_(False)


def _where(filters: Mapping[str, Any]) -> tuple[sa.ColumnElement[bool], ...]:
    unknown = sorted(str(name) for name in filters if name not in FILTERS)
    if unknown:
        raise InputError("the list can't be filtered by this", f"Filter by any of: {', '.join(FILTERS)}.")
    terms: list[sa.ColumnElement[bool]] = [s.person.c.erased_at.is_(None)]
    for name, value in filters.items():
        if value is not None and value != "":
            terms += FILTERS[name](value)
    return tuple(terms)


Terms = list[sa.ColumnElement[bool]]


def _wrong(name: str, wanted: str) -> InputError:
    return InputError(f"the filter {name} needs {wanted}")


def _plain_text(name: str, value: Any) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_TEXT or not _storable(value):
        raise _wrong(name, f"a text of at most {LONGEST_TEXT} characters")
    return value.strip()


def _words(name: str, value: Any, *columns: sa.Column[str]) -> Terms:
    """Every word has to occur in one of the columns."""
    words = _plain_text(name, value).split()
    if len(words) > MOST_WORDS:
        raise _wrong(name, f"at most {MOST_WORDS} words")
    return [sa.or_(*(holds(c, _pattern(spelling)) for c in columns for spelling in _spellings(w))) for w in words]


def _pattern(word: str) -> str:
    escaped = word.replace("/", "//").replace("%", "/%").replace("_", "/_")
    return f"%{escaped}%"


def _spellings(word: str) -> tuple[str, ...]:
    """SQLite folds the case of ASCII letters only; other letters are asked for in their usual cases."""
    if word.isascii():
        return (word,)
    return tuple(dict.fromkeys((word, word.lower(), word.casefold(), word.upper(), word.capitalize())))


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _wrong(name, "yes or no")
    return value


def _unsubscribed(value: Any) -> Terms:
    at = s.person.c.unsubscribed_at
    return [at.is_not(None) if _flag("unsubscribed", value) else at.is_(None)]


def _moment(name: str, value: Any) -> datetime:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise _wrong(name, "a date and time with its zone")
    return value


def _one_of(name: str, value: Any, known: Sequence[str]) -> str:
    if not isinstance(value, str) or value not in known:
        raise _wrong(name, f"one of: {', '.join(known)}")
    return value


def _salesforce(value: Any) -> Terms:
    state = _one_of("salesforce", value, SALESFORCE_STATES)
    live = sa.exists(s.link.c.person_id).where(s.link.c.person_id == s.person.c.person_id, *_live())
    out = live.where(s.org_record.c.opted_out.is_(True))
    terms: dict[str, Terms] = {"opted_out": [out], "opted_in": [live, ~out], "no_record": [~live]}
    return terms[state]


def _domain(value: Any) -> Terms:
    return [s.person.c.domain == _plain_text("domain", value).lower().lstrip("@")]


def _mismatch(value: Any) -> Terms:
    """An open mismatch of one kind, or of ``any``."""
    kind = _one_of("mismatch", value, ("any", *KINDS))
    m = s.mismatch.c
    chosen = [] if kind == "any" else [m.kind == kind]
    return [s.person.c.person_id.in_(sa.select(m.person_id).where(m.resolved_at.is_(None), *chosen))]


def _consent(value: Any) -> Terms:
    c = s.consent.c
    on_file = s.person.c.person_id.in_(sa.select(c.person_id).where(c.state.in_(IN_FORCE)))
    return [on_file if _flag("consent", value) else ~on_file]


def _listed(name: str, value: Any) -> list[str]:
    if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(i, str) and _storable(i) for i in value):
        raise _wrong(name, "a list of texts")
    if len(value) > MOST_IDS:
        raise _wrong(name, f"at most {MOST_IDS} entries")
    return list(value)


def _addresses(value: Any) -> Terms:
    """People with one of these addresses, compared in their normalised form."""
    return [s.person.c.email.in_([address for text in _listed("addresses", value) if (address := normalize_address(text))])]


FILTERS: Mapping[str, Callable[[Any], Terms]] = {
    "text": lambda value: _words("text", value, *(s.person.c[n] for n in ("email", "first_name", "last_name", "company"))),
    "unsubscribed": _unsubscribed,
    "since": lambda value: [s.person.c.unsubscribed_at >= _moment("since", value)],
    "until": lambda value: [s.person.c.unsubscribed_at < _moment("until", value)],
    "source": lambda value: [s.person.c.unsubscribe_source == _one_of("source", value, UNSUBSCRIBE_SOURCES)],
    "salesforce": _salesforce,
    "domain": _domain,
    "company": lambda value: _words("company", value, s.person.c.company),
    "mismatch": _mismatch,
    "consent": _consent,
    "addresses": _addresses,
    "person_ids": lambda value: [s.person.c.person_id.in_(_listed("person_ids", value))],
}
"""What the list can be filtered by; None and "" leave a filter out. ``since`` is included, ``until`` is not."""

SEARCHED = frozenset({"text", "company", "mismatch", "consent"})
"""Filters that no sorted list serves, and that few people may fit."""
