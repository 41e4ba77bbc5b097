"""From a SOQL tree to parameterised SQLite, and from its rows to the JSON and CSV that Salesforce sends.

SOQL is two-valued: NULL != 'x' is true, and a negated comparison with a null holds. Text compares without case, ids
exactly, in either length.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from ..clock import instant, stamp
from ..describe import ID_TYPES, OBJECTS, TEXT_TYPES, Field, ObjectType, Permissions
from ..ids import long_id
from ..messages import OrgError
from ..tables import decoded
from .grammar import Comparison, Condition, Junction, Literal, Membership, Negation, Order, Query
from .periods import period
from .shapes import flattened, joined
from .words import Word, malformed, placed

MOST_LEVELS, MOST_PARENTS = 5, 55  # "Understanding Relationship Query Limitations" in the SOQL and SOSL Reference


@dataclass(frozen=True)
class Column:
    """One selected field: its path below the record, e.g. ("CreatedBy", "Name"), and where its parent's id stands."""

    path: tuple[str, ...]
    field: Field
    alias: str


@dataclass(frozen=True)
class Selection:
    """A translated query: ``sql`` ends before LIMIT; the first column of a row is the record's id."""

    query: Query
    kind: ObjectType
    columns: tuple[Column, ...]
    parents: dict[str, tuple[int, ObjectType]]
    sql: str
    tail: str
    parameters: tuple[Any, ...]

    @property
    def bounds(self) -> tuple[int, int]:
        """LIMIT (-1 for none) and OFFSET."""
        return (-1 if self.query.limit is None else self.query.limit), self.query.offset

    def rows_sql(self) -> str:
        """SELECT of all columns; two more parameters: LIMIT and OFFSET."""
        names = [f'{c.alias}."{c.field.name}"' for c in self.columns]
        parents = [f'{alias}."Id"' for alias in self.parents]
        return f'SELECT t0."Id", {", ".join([*names, *parents])} {self.sql} {self.tail} LIMIT ? OFFSET ?'

    def ids_sql(self) -> str:
        """SELECT of the ids alone; two more parameters: LIMIT and OFFSET."""
        return f'SELECT t0."Id" {self.sql} {self.tail} LIMIT ? OFFSET ?'

    def count_sql(self) -> str:
        """SELECT of the number of records within LIMIT and OFFSET."""
        return f"SELECT COUNT(*) FROM (SELECT 1 {self.sql} LIMIT ? OFFSET ?)"  # noqa: S608 - names come from OBJECTS

    def header(self) -> list[str]:
        """Column names of a CSV result."""
        return [".".join(c.path) for c in self.columns]

    def line(self, row: Sequence[Any]) -> list[str]:
        """The values of a CSV line: empty for null, ``.000Z`` for instants."""
        return [_as_text(c.field, value) for c, value in zip(self.columns, row[1:], strict=False)]

    def record(self, row: Sequence[Any], base: str) -> dict[str, Any]:
        """The JSON record, with its attributes and those of its parents."""
        record = {"attributes": _attributes(self.kind, row[0], base)}
        first_parent = len(self.columns) + 1
        for column, value in zip(self.columns, row[1:], strict=False):
            place: dict[str, Any] | None = record
            if len(column.path) > 1:
                index, kind = self.parents[column.alias]
                place = _parent_place(record, column.path[:-1], row[first_parent + index], kind, base)
            if place is not None:
                place[column.path[-1]] = decoded(column.field, value)
        return record


def translated(
    query: Query, permissions: Permissions, now: datetime, *, every: bool = False, ids: Sequence[str] | None = None
) -> Selection:
    """The SQL of a query. ``every`` includes deleted records (queryAll); ``ids`` limits it to one page of a cursor.

    Raises:
        OrgError: INVALID_TYPE, INVALID_FIELD or another refusal with its place in the query.
    """
    kind = OBJECTS.get(query.object.text.lower())
    if kind is None:
        raise OrgError(400, "INVALID_TYPE", placed(query.soql, query.object.at, _unknown_type(query.object.text)))
    writer = _Writer(query, kind, permissions, now, every)
    columns = writer.columns()
    conditions, parameters = [], []
    if ids is not None:
        conditions.append('t0."Id" IN (SELECT value FROM json_each(?))')
        parameters.append(json.dumps(list(ids)))
    else:
        if query.where is not None:
            conditions.append(writer.condition(flattened(query.where)))
            parameters.extend(writer.parameters)
        if kind.has("IsDeleted") and not every:
            conditions.append('t0."IsDeleted" = 0')
    tail = writer.ordering()
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    sql = f'FROM "{kind.name}" t0{writer.joins()}{where}'
    return Selection(query, kind, columns, writer.parents(columns), sql, tail, tuple(parameters))


@dataclass
class _Writer:
    query: Query
    kind: ObjectType
    permissions: Permissions
    now: datetime
    every: bool = False
    parameters: list[Any] = field(default_factory=list)
    aliases: dict[tuple[str, ...], tuple[str, ObjectType, str]] = field(default_factory=dict)

    def columns(self) -> tuple[Column, ...]:
        found: list[Column] = []
        for word in self.words():
            column = self.column(word)
            if any(c.path == column.path for c in found):
                raise malformed(self.query.soql, word.at, f"duplicate field selected: {word.text}")
            found.append(column)
        return tuple(found)

    def words(self) -> list[Word]:
        """The selected fields, with FIELDS(STANDARD) spelt out: whatever isn't custom and may be read."""
        found: list[Word] = []
        for word in self.query.fields:
            if word.kind != "fields":
                found.append(word)
                continue
            standard = [f for f in self.kind.fields if not f.custom and self.permissions.readable(self.kind, f)]
            found += [Word("name", f.name, word.at) for f in standard]
        return found

    def column(self, word: Word) -> Column:
        """The field a path names, joining its parents."""
        *steps, last = word.text.split(".")
        kind, alias = self.kind, "t0"
        path: tuple[str, ...] = ()
        if len(steps) > MOST_LEVELS:
            raise self.invalid(word, f"a relationship path can have {MOST_LEVELS} levels at most")
        for step in steps:
            if not path and step.lower() == self.kind.name.lower() and kind.relation(step) is None:
                continue
            relation = kind.relation(step)
            if relation is None or not self.permissions.readable(kind, relation):
                raise self.invalid(word, _unknown_relation(step, kind))
            path = (*path, relation.relationship)
            kind, alias = self.joined(path, alias, relation)
        found = kind.field(last)
        if found is None or not self.permissions.readable(kind, found):
            raise self.invalid(word, _unknown_field(last, kind))
        return Column((*path, found.name), found, alias)

    def joined(self, path: tuple[str, ...], alias: str, relation: Field) -> tuple[ObjectType, str]:
        if path not in self.aliases:
            kind = OBJECTS[relation.refers_to.lower()]
            name = f"t{len(self.aliases) + 1}"
            if len(self.aliases) == MOST_PARENTS:
                message = f"A query can follow {MOST_PARENTS} relationships at most"
                raise OrgError(400, "QUERY_TOO_COMPLICATED", message)
            join = f' LEFT JOIN "{kind.name}" {name} ON {name}."Id" = {alias}."{relation.name}"'
            self.aliases[path] = (name, kind, join)
        name, kind, _ = self.aliases[path]
        return kind, name

    def joins(self) -> str:
        return "".join(join for _, _, join in self.aliases.values())

    def parents(self, columns: tuple[Column, ...]) -> dict[str, tuple[int, ObjectType]]:
        kinds = {alias: kind for alias, kind, _ in self.aliases.values()}
        used = dict.fromkeys(c.alias for c in columns if c.alias != "t0")
        return {alias: (index, kinds[alias]) for index, alias in enumerate(used)}

    def ordering(self) -> str:
        """Always ends in the id, so that pages don't overlap. The + keeps SQLite on the index of a condition."""
        last = 't0."Id"' if self.query.where is None else '+t0."Id"'
        return f"ORDER BY {', '.join([*(self.order(o) for o in self.query.order), last])}"

    def order(self, order: Order) -> str:
        column = self.column(order.field)
        self.refuse_unfilterable(column.field, order.field, "sorted")
        direction = "DESC" if order.descending else "ASC"
        return f'{column.alias}."{column.field.name}" {direction} NULLS {"LAST" if order.nulls_last else "FIRST"}'

    def condition(self, condition: Condition) -> str:
        if isinstance(condition, Junction):
            return joined(condition.operator, [self.condition(c) for c in condition.conditions])
        if isinstance(condition, Negation):
            return f"NOT COALESCE({self.condition(condition.condition)}, 0)"
        column = self.column(condition.field)
        self.refuse_unfilterable(column.field, condition.field, "filtered")
        name = f'{column.alias}."{column.field.name}"'
        if isinstance(condition, Membership):
            if condition.query is not None:
                return self.semi_join(name, column, condition, condition.query)
            return self.membership(name, column.field, condition)
        return self.comparison(name, column.field, condition)

    def comparison(self, name: str, field: Field, condition: Comparison) -> str:
        literal, operator = condition.literal, condition.operator
        if literal.is_null:
            if operator not in ("=", "!="):
                raise malformed(self.query.soql, literal.at, "unexpected token: 'null'")
            return f"{name} IS {'NOT ' if operator == '!=' else ''}NULL"
        if operator == "LIKE":
            return self.like(name, field, condition)
        if literal.kind == "relative":
            return self.relative(name, field, condition)
        value = self.value(field, condition.field, literal)
        if field.type == "boolean" and operator not in ("=", "!="):
            raise self.refused_operator(condition.field, operator, field)
        if isinstance(value, str) and field.type in TEXT_TYPES and not value.isascii():
            name, value = f"folded({name})", value.casefold()
        self.parameters.append(value)
        return f"{name} IS NOT ?" if operator == "!=" else f"{name} {operator} ?"

    def membership(self, name: str, field: Field, condition: Membership) -> str:
        rest = [e for e in condition.literals if not e.is_null]
        nulls = len(rest) < len(condition.literals)
        values = [self.value(field, condition.field, e) for e in rest]
        folded = [v.casefold() for v in values if self.needs_folding(field, v)]
        plain = [v for v in values if not self.needs_folding(field, v)]
        tests = [f"{name} IS NULL"] if nulls else []
        for column, entries in ((name, plain), (f"folded({name})", folded)):
            if entries:
                tests.append(f"{column} IN (SELECT value FROM json_each(?))")  # noqa: S608 - names come from OBJECTS
                self.parameters.append(json.dumps(entries))
        either = f"({' OR '.join(tests)})"
        return f"NOT COALESCE({either}, 0)" if condition.negated else either

    def semi_join(self, name: str, column: Column, condition: Membership, query: Query) -> str:
        """``field IN (SELECT ...)``: ids of one object on both sides; nulls inside match nothing."""
        kind = OBJECTS.get(query.object.text.lower())
        if kind is None:
            raise OrgError(400, "INVALID_TYPE", placed(query.soql, query.object.at, _unknown_type(query.object.text)))
        if kind is self.kind:
            message = "The inner and outer selects should not be on the same object type"
            raise malformed(query.soql, query.object.at, message)
        inner = _Writer(query, kind, self.permissions, self.now, self.every)
        (chosen,) = inner.columns()
        sides = [_target(self.kind, column), _target(kind, chosen)]
        if not sides[0] or sides[0] != sides[1]:
            message = (
                f"The selected field '{chosen.field.name}' in the subquery and the left operand field in the where expression"
                f" in the outer query '{column.field.name}' should point to the same object type"
            )
            raise malformed(query.soql, condition.field.at, message)
        tests = [f'{chosen.alias}."{chosen.field.name}" IS NOT NULL']
        if query.where is not None:
            tests.append(inner.condition(flattened(query.where)))
        if kind.has("IsDeleted") and not self.every:
            tests.append('t0."IsDeleted" = 0')
        self.parameters.extend(inner.parameters)
        source = f'"{kind.name}" t0{inner.joins()} WHERE {" AND ".join(tests)}'
        either = f'{name} IN (SELECT {chosen.alias}."{chosen.field.name}" FROM {source})'  # noqa: S608 - names come from OBJECTS
        return f"NOT COALESCE({either}, 0)" if condition.negated else either

    def needs_folding(self, field: Field, value: Any) -> bool:
        return field.type in TEXT_TYPES and not value.isascii()

    def like(self, name: str, field: Field, condition: Comparison) -> str:
        literal = condition.literal
        if field.type not in TEXT_TYPES or literal.kind != "pattern":
            raise self.refused_operator(condition.field, "LIKE", field)
        pattern = literal.text
        if not pattern.isascii():
            name, pattern = f"folded({name})", pattern.casefold()
        self.parameters.append(pattern)
        return f"{name} LIKE ? ESCAPE '\\'"

    def relative(self, name: str, field: Field, condition: Comparison) -> str:
        if field.type not in ("datetime", "date"):
            raise self.mistyped(field, condition.field)
        literal = condition.literal
        try:
            start, end = period(literal.text, literal.days, self.now)
        except (ValueError, OverflowError) as error:
            raise malformed(self.query.soql, literal.at, f"invalid date literal: {literal.text}:{literal.days}") from error
        write = stamp if field.type == "datetime" else _day
        low, high = write(start), write(end)
        tests: dict[str, tuple[str, list[str]]] = {
            "=": (f"({name} >= ? AND {name} < ?)", [low, high]),
            "!=": (f"NOT COALESCE({name} >= ? AND {name} < ?, 0)", [low, high]),
            "<": (f"{name} < ?", [low]),
            "<=": (f"{name} < ?", [high]),
            ">": (f"{name} >= ?", [high]),
            ">=": (f"{name} >= ?", [low]),
        }
        sql, parameters = tests[condition.operator]
        self.parameters.extend(parameters)
        return sql

    def value(self, field: Field, word: Word, literal: Literal) -> Any:
        """A literal in the stored type of the field."""
        wanted = {"boolean": "boolean", "datetime": "datetime", "date": "date"}.get(field.type, "string")
        if literal.kind != wanted:
            raise self.mistyped(field, word)
        if field.type in ID_TYPES:
            found = long_id(literal.text)
            if found is None:
                raise OrgError(
                    400, "INVALID_QUERY_FILTER_OPERATOR", placed(self.query.soql, literal.at, f"invalid ID field: {literal.text}")
                )
            return found
        if field.type == "datetime":
            return self.moment(literal)
        if field.type == "date":
            return self.day(literal)
        return int(literal.text == "true") if field.type == "boolean" else literal.text

    def moment(self, literal: Literal) -> str:
        try:
            at = instant(literal.text)
        except ValueError as error:
            raise malformed(self.query.soql, literal.at, f"line 1 at column {literal.at}: invalid dateTime") from error
        # Rows have whole seconds: a fraction has to sort between them.
        return stamp(at).replace(".000", f".{at.microsecond // 1000:03d}")

    def day(self, literal: Literal) -> str:
        try:
            return date.fromisoformat(literal.text).isoformat()
        except ValueError as error:
            raise malformed(self.query.soql, literal.at, f"line 1 at column {literal.at}: invalid date") from error

    def refuse_unfilterable(self, field: Field, word: Word, what: str) -> None:
        if not field.filterable:
            raise self.invalid(word, f"field '{field.name}' can not be {what} in a query call")

    def refused_operator(self, word: Word, operator: str, field: Field) -> OrgError:
        message = placed(self.query.soql, word.at, f"invalid operator on {field.type} field: {operator}")
        return OrgError(400, "INVALID_QUERY_FILTER_OPERATOR", message)

    def mistyped(self, field: Field, word: Word) -> OrgError:
        kind = {"datetime": "dateTime", "date": "date", "boolean": "boolean"}.get(field.type, "string")
        quotes = "should be" if kind == "string" else "should not be"
        return self.invalid(
            word, f"value of filter criterion for field '{field.name}' must be of type {kind} and {quotes} enclosed in quotes"
        )

    def invalid(self, word: Word, message: str) -> OrgError:
        return OrgError(400, "INVALID_FIELD", placed(self.query.soql, word.at, message))


def _target(kind: ObjectType, column: Column) -> str:
    """The object whose ids a field of the object itself holds; empty for any other field."""
    if len(column.path) > 1:
        return ""
    return kind.name if column.field.type == "id" else column.field.refers_to


def _day(at: datetime) -> str:
    return at.date().isoformat()


def _attributes(kind: ObjectType, record_id: str, base: str) -> dict[str, str]:
    return {"type": kind.name, "url": f"{base}/sobjects/{kind.name}/{record_id}"}


def _parent_place(
    record: dict[str, Any], path: tuple[str, ...], parent_id: str | None, kind: ObjectType, base: str
) -> dict[str, Any] | None:
    place = record
    for step in path[:-1]:
        inner = place.setdefault(step, {})
        if inner is None:
            return None
        place = inner
    if parent_id is None:
        place[path[-1]] = None
        return None
    found: dict[str, Any] = place.setdefault(path[-1], {"attributes": _attributes(kind, parent_id, base)})
    return found


def _as_text(field: Field, value: Any) -> str:
    if value is None:
        return ""
    if field.type == "datetime":
        return str(value).replace("+0000", "Z")
    found = decoded(field, value)
    return str(found).lower() if isinstance(found, bool) else str(found)


def _unknown_type(name: str) -> str:
    return (
        f"sObject type '{name}' is not supported. If you are attempting to use a custom object, be sure to append the"
        " '__c' after the entity name. Please reference your WSDL or the describe call for the appropriate names."
    )


def _unknown_field(name: str, kind: ObjectType) -> str:
    return (
        f"No such column '{name}' on entity '{kind.name}'. If you are attempting to use a custom field, be sure to append"
        " the '__c' after the custom field name. Please reference your WSDL or the describe call for the appropriate names."
    )


def _unknown_relation(name: str, kind: ObjectType) -> str:
    return (
        f"Didn't understand relationship '{name}' in field path. If you are attempting to use a custom relationship, be"
        f" sure to append the '__r' after the custom relationship name. Entity: '{kind.name}'."
    )
