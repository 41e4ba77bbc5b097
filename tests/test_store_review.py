"""The grid's questions against an oracle in plain Python, over random registers."""

from __future__ import annotations

import random
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from workbench.errors import InputError
from workbench.person import UNSUBSCRIBE_SOURCES, domain_of, new_id
from workbench.store import review
from workbench.store import schema as s
from workbench.store.database import Store

START = datetime(2026, 1, 1, tzinfo=UTC)
NASTY = [
    "",
    "O'Hara",
    '"; DROP TABLE person; --',
    "100%",
    "a_b",
    "Müller",
    "ÉCOLE",
    "<img src=x onerror=alert(1)>",
    "back\\slash",
    "李",
]


@pytest.fixture(scope="module")
def register(tmp_path_factory):
    """A store, and the same 160 people as plain dicts."""
    store = Store(f"sqlite:///{tmp_path_factory.mktemp('review')}/register.db")
    store.upgrade()
    people = _people(random.Random(7), 160)
    with store.write() as tx:
        _fill(tx, people)
    yield store, [p for p in people if not p["erased"]]
    store.close()


def _people(draw: random.Random, number: int) -> list[dict]:
    people = []
    for i in range(number):
        email = f"p{draw.randrange(10**6)}.{draw.choice(['ann', 'böb', 'x_y', 'a%b'])}@{draw.choice(['example.com', 'example.org', 'mail.example.net'])}"
        at = None if draw.random() < 0.3 else START + timedelta(days=draw.randrange(9))
        people.append(
            {
                "person_id": f"00000000-0000-7000-8000-{draw.randrange(10**12):012d}",
                "email": email,
                "domain": domain_of(email),
                "first_name": draw.choice(NASTY),
                "last_name": draw.choice(NASTY),
                "company": draw.choice([*NASTY, "Acme", "acme ltd"]),
                "unsubscribed_at": at,
                "source": draw.choice(UNSUBSCRIBE_SOURCES) if at else None,
                "erased": i % 40 == 39,
                # each record: (opted out, deleted)
                "links": [(draw.random() < 0.5, draw.random() < 0.2) for _ in range(draw.randrange(3))],
                "mismatch_kinds": draw.sample(["relapse", "never_syncs"], draw.randrange(3)) if draw.random() < 0.4 else [],
                "consent_states": [draw.choice(["given", "withdrawn"]) for _ in range(draw.randrange(3))],
            }
        )
    return people


def _fill(tx: sa.Connection, people: list[dict]) -> None:
    number = 0
    for p in people:
        tx.execute(
            sa.insert(s.person).values(
                **{k: p[k] for k in ("person_id", "email", "domain", "first_name", "last_name", "company", "unsubscribed_at")},
                email_as_given=p["email"],
                unsubscribe_source=p["source"],
                created_at=START,
                updated_at=START,
                erased_at=START if p["erased"] else None,
            )
        )
        for opted_out, deleted in p["links"]:
            number += 1
            _record(tx, f"00Q{number:015d}", opted_out=opted_out, deleted=deleted)
            tx.execute(sa.insert(s.link).values(person_id=p["person_id"], record_id=f"00Q{number:015d}", how="id"))
        for kind in p["mismatch_kinds"]:
            _mismatch(tx, p["person_id"], kind=kind, resolved=None)
        _mismatch(tx, p["person_id"], kind="records_disagree", resolved=START)
        for n, state in enumerate(p["consent_states"]):
            tx.execute(
                sa.insert(s.consent).values(
                    consent_id=f"{n}{p['person_id'][1:]}",
                    person_id=p["person_id"],
                    recorded_at=START,
                    recorded_by="ann",
                    state=state,
                    document={},
                )
            )


def _record(tx: sa.Connection, record_id: str, *, opted_out: bool, deleted: bool) -> None:
    tx.execute(
        sa.insert(s.org_record).values(
            record_id=record_id,
            object="Lead",
            email="",
            email_as_given="",
            opted_out=opted_out,
            opt_outs={},
            fields_differ=False,
            system_modstamp=START,
            last_modified_date=START,
            last_modified_by="005",
            is_deleted=deleted,
            is_converted=False,
            seen_at=START,
            snapshot_id="x",
        )
    )


def _mismatch(tx: sa.Connection, person_id: str, *, kind: str, resolved: datetime | None) -> None:
    tx.execute(
        sa.insert(s.mismatch).values(
            mismatch_id=new_id(),
            kind=kind,
            person_id=person_id,
            record_id="",
            first_seen=START,
            last_seen=START,
            resolved_at=resolved,
        )
    )


def _as_row(p: dict) -> dict:
    live = [opted_out for opted_out, deleted in p["links"] if not deleted]
    plain = {k: p[k] for k in ("person_id", "email", "first_name", "last_name", "company", "unsubscribed_at", "source")}
    return plain | {
        "salesforce": "no_record" if not live else "opted_out" if any(live) else "opted_in",
        "records": len(live),
        "mismatches": len(p["mismatch_kinds"]),
        "consents": p["consent_states"].count("given"),
    }


def _fits(p: dict, filters: dict) -> bool:
    at, row = p["unsubscribed_at"], _as_row(p)
    texts = [p[k].casefold() for k in ("email", "first_name", "last_name", "company")]
    tests = {
        "text": lambda v: all(any(w.casefold() in t for t in texts) for w in v.split()),
        "unsubscribed": lambda v: (at is not None) == v,
        "since": lambda v: at is not None and at >= v,
        "until": lambda v: at is not None and at < v,
        "source": lambda v: p["source"] == v,
        "salesforce": lambda v: row["salesforce"] == v,
        "domain": lambda v: p["domain"] == v,
        "company": lambda v: v.casefold() in p["company"].casefold(),
        "mismatch": lambda v: v in p["mismatch_kinds"] or (v == "any" and bool(p["mismatch_kinds"])),
        "consent": lambda v: ("given" in p["consent_states"]) == v,
        "addresses": lambda v: p["email"] in {a.lower() for a in v},
        "person_ids": lambda v: p["person_id"] in v,
    }
    return all(tests[name](value) for name, value in filters.items())


def _random_filters(draw: random.Random, people: list[dict]) -> dict:
    every = {
        "text": draw.choice(["ann", "EXAMPLE.ORG", "100%", "a_b", "acme", "müller", "École", "o'h p1", "\\", "<img"]),
        "unsubscribed": draw.random() < 0.8,
        "since": START + timedelta(days=draw.randrange(5)),
        "until": START + timedelta(days=draw.randrange(3, 10)),
        "source": draw.choice(UNSUBSCRIBE_SOURCES),
        "salesforce": draw.choice(review.SALESFORCE_STATES),
        "domain": draw.choice(["example.com", "mail.example.net", "nobody.example"]),
        "company": draw.choice(["ACME", "%", "_", "école"]),
        "mismatch": draw.choice(["relapse", "never_syncs", "any", "records_disagree"]),
        "consent": draw.random() < 0.5,
        "addresses": ["not an address", *(p["email"].upper() for p in draw.sample(people, 40))],
        "person_ids": [p["person_id"] for p in draw.sample(people, 40)],
    }
    return {name: every[name] for name in draw.sample(sorted(every), draw.choice([0, 1, 1, 2, 3]))}


def _sorted(people: list[dict], sort: str, descending: bool) -> list[dict]:
    def key(p: dict) -> tuple:
        return (p[sort] is not None, p[sort] if p[sort] is not None else "", p["person_id"])

    return [_as_row(p) for p in sorted(people, key=key, reverse=descending)]


@pytest.mark.parametrize("few", [review.FEW, 3])
def test_every_filter_sort_and_direction_pages_like_the_sorted_list(register, few, monkeypatch):
    monkeypatch.setattr(review, "FEW", few)  # so that both ways of finding a page are gone with so few people in the register
    store, people = register
    draw = random.Random(11)
    seen: set[str] = set()
    with store.read() as tx:
        for sort in review.SORTS:
            for descending in (False, True):
                for _ in range(6):
                    filters = _random_filters(draw, people)
                    wanted = _sorted([p for p in people if _fits(p, filters)], sort, descending)
                    seen |= set(filters) if wanted else set()
                    limit = draw.choice([1, 7, 50]) if len(wanted) < 60 else 50
                    asked = {"sort": sort, "descending": descending, "limit": limit}
                    assert _forwards(tx, filters, asked) == wanted
                    assert _backwards(tx, filters, asked) == wanted
                    assert review.count(tx, filters) == len(wanted)
                    assert sorted(r["person_id"] for r in wanted) == list(review.select_ids(tx, filters))
                    assert list(review.rows(tx, filters, sort=sort, descending=descending)) == wanted
    assert seen == set(review.FILTERS), "every filter has to have found somebody"


def _forwards(tx: sa.Connection, filters: dict, asked: dict) -> list[dict]:
    page = review.page(tx, filters, **asked)
    assert not page.has_previous
    rows = page.rows
    while page.has_next:
        page = review.page(tx, filters, after=page.last_key, **asked)
        assert page.has_previous
        rows = rows + page.rows
    return rows


def _backwards(tx: sa.Connection, filters: dict, asked: dict) -> list[dict]:
    page = review.page(tx, filters, before=review.END, **asked)
    assert not page.has_next
    rows = page.rows
    while page.has_previous:
        page = review.page(tx, filters, before=page.first_key, **asked)
        assert page.has_next
        rows = page.rows + rows
    return rows


def test_a_row_has_the_documented_columns(register):
    store, _ = register
    with store.read() as tx:
        (row,) = review.page(tx, {}, sort="email", descending=False, limit=1).rows
        assert next(iter(review.rows(tx, {}, limit=3))) == row
    assert tuple(row) == review.COLUMNS


def test_empty_filters_are_left_out(register):
    store, people = register
    with store.read() as tx:
        assert review.count(tx, {"text": "", "source": None, "consent": None}) == len(people)


ATTACKS = ["'; DROP TABLE person; --", "' OR 1=1 --", '" OR ""="', "%' ESCAPE '", "x\x00y", "\ud800", "x" * 5000, "a " * 99]


@pytest.mark.parametrize("attack", ATTACKS)
def test_text_is_data_never_sql(register, attack):
    store, people = register
    with store.read() as tx:
        for name in ("text", "domain", "company", "source", "salesforce", "mismatch"):
            with suppress(InputError):
                assert review.count(tx, {name: attack}) <= 40
        assert review.count(tx, {"person_ids": ["' OR 1=1 --"]}) == 0
        assert review.count(tx, {}) == len(people)


@pytest.mark.parametrize(
    "filters",
    [
        {"email; --": "x"},
        {"version": 1},
        {1: 2},
        {"text": ["x"]},
        {"text": {"$ne": ""}},
        {"unsubscribed": "yes"},
        {"consent": 1},
        {"since": "2026-01-01"},
        {"until": datetime(2026, 1, 1)},  # noqa: DTZ001 - a moment without a zone is the case
        {"source": "laundered"},
        {"salesforce": True},
        {"mismatch": "RELAPSE'"},
        {"person_ids": "abc"},
        {"addresses": "a@example.com"},
        {"addresses": [None]},
        {"person_ids": [1]},
        {"person_ids": ["x"] * (review.MOST_IDS + 1)},
    ],
)
def test_a_filter_that_is_not_on_the_list_is_refused(register, filters):
    store, _ = register
    with store.read() as tx, pytest.raises(InputError):
        review.count(tx, filters)


@pytest.mark.parametrize("sort", ["person_id", "email DESC", "1; DROP TABLE person", ""])
def test_only_listed_columns_sort(register, sort):
    store, _ = register
    with store.read() as tx, pytest.raises(InputError, match="sorted by this column"):
        review.page(tx, {}, sort=sort, descending=False, limit=5)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "x",
        "[]",
        "[" * 5000,
        '["company","a","b"]',
        '["email",null,"b"]',
        '["email",1,"b"]',
        '["email","a",{"x":1}]',
        '["email","\\ud800","b"]',
        '["email","a\\u0000","b"]',
        '{"a":1,"b":2,"c":3}',
        "null",
    ],
)
def test_a_forged_page_key_is_refused(register, key):
    store, _ = register
    with store.read() as tx, pytest.raises(InputError, match="not the key of a page"):
        review.page(tx, {}, sort="email", descending=False, after=key, limit=5)


@pytest.mark.parametrize("value", ['"2026-01-01"', '"yesterday"', "5"])
def test_a_forged_moment_in_a_page_key_is_refused(register, value):
    store, _ = register
    with store.read() as tx, pytest.raises(InputError, match="not the key of a page"):
        review.page(tx, {}, sort="unsubscribed_at", descending=False, after=f'["unsubscribed_at",{value},"b"]', limit=5)


@pytest.mark.parametrize("limit", [0, -1, review.MOST_ROWS + 1])
def test_a_page_is_bounded(register, limit):
    store, _ = register
    with store.read() as tx, pytest.raises(InputError, match="a page has 1 to"):
        review.page(tx, {}, sort="email", descending=False, limit=limit)


def test_after_and_before_exclude_each_other(register):
    store, _ = register
    with store.read() as tx, pytest.raises(InputError, match="not both"):
        review.page(tx, {}, sort="email", descending=False, after="x", before=review.END, limit=5)


@pytest.mark.parametrize("sort", sorted(review.SORTS))
@pytest.mark.parametrize("descending", [False, True])
def test_a_page_of_the_unsubscribed_is_read_from_an_index_without_sorting(register, sort, descending):
    """SQLite's own plan, first page and a later one: no temporary sort, so a page costs the same in any register."""
    store, _ = register
    plans: list[str] = []

    def explain(connection, cursor, statement, parameters, context, executemany):
        if "ORDER BY" in statement and not statement.startswith("EXPLAIN"):
            plans.extend(
                r[3] for r in connection.connection.driver_connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            )

    sa.event.listen(store.engine, "before_cursor_execute", explain)
    try:
        with store.read() as tx:
            first = review.page(tx, {"unsubscribed": True}, sort=sort, descending=descending, limit=5)
            review.page(tx, {"unsubscribed": True}, sort=sort, descending=descending, after=first.last_key, limit=5)
    finally:
        sa.event.remove(store.engine, "before_cursor_execute", explain)
    assert plans
    assert not [step for step in plans if "TEMP B-TREE" in step]


def test_text_among_the_unsubscribed_is_read_from_its_index(register):
    store, _ = register
    query = sa.select(s.person.c.person_id).where(*review._where({"unsubscribed": True, "text": "ann"}))
    with store.read() as tx:
        sql = str(query.compile(tx, compile_kwargs={"literal_binds": True}))
        plan = [row[3] for row in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql.replace('%%', '%')}")]
    assert [step for step in plan if "ix_person_unsubscribed_text" in step]


def test_times_are_told_in_utc(register):
    store, _ = register
    with store.read() as tx:
        page = review.page(tx, {"unsubscribed": True}, sort="unsubscribed_at", descending=True, limit=50)
    assert {row["unsubscribed_at"].tzinfo for row in page.rows} == {UTC}
