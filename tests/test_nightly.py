"""The nightly sync and the follow-up: against a real scratch org over HTTP, and over random worlds with an org in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from conftest import OPTED_OUT, contact_id, lead_id, org_line
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from invented_register import FIELD, SECOND, THEM, US, Invented, lead, new_store, row_of, wipe

from workbench import nightly
from workbench.desk import Desk
from workbench.errors import NotAllowedError, WorkbenchError
from workbench.evidence import EvidenceStore
from workbench.org import (
    ApiUsage,
    Bookmark,
    Changes,
    ConditionalClear,
    FieldAccess,
    FieldChange,
    OrgError,
    OrgIdentity,
    OrgQuotaError,
    OrgRow,
    Reading,
    RowAnswer,
)
from workbench.person import normalize_address, salesforce_id_18
from workbench.policy import Policy
from workbench.settings import Operator
from workbench.store import leases, mismatches, operators, people, records
from workbench.store import schema as s
from workbench.store.trail_log import TrailWriter
from workbench.trail import Signer

ANN, BOB = (salesforce_id_18(i) for i in (lead_id(1), contact_id(2)))


# --- against a scratch org


@pytest.fixture
def both(world):
    """Ann is opted out in Salesforce only, Bob is unsubscribed in the register only."""
    made = world(
        org_line("Lead", lead_id(1), "ann@example.com", opted_out=True),
        org_line("Contact", contact_id(2), "bob@example.com", opted_out=False),
    )
    made.ann = made.person("ann@example.com", unsubscribed=False)
    made.bob = made.person("bob@example.com")
    return made


def episodes(world, person_id):
    with world.wb.store.read() as tx:
        return people.unsubscribes(tx, [person_id]).get(person_id, ())


def told(world):
    with world.wb.store.read() as tx:
        return list(tx.execute(sa.select(s.trail_event.c.action).order_by(s.trail_event.c.seq)).scalars())


def hold(world, person_id, holder="batch:7"):
    now = world.wb.clock()
    with world.wb.store.write() as tx:
        leases.take(tx, [person_id], holder=holder, now=now, lasting=timedelta(minutes=5))


def test_whoever_is_opted_out_on_one_side_is_opted_out_on_both(both):
    result = both.wb.sync()
    assert result.sentence == "1 person unsubscribed; 1 Salesforce record opted out."
    assert both.flags(ANN, BOB) == {ANN: True, BOB: True}
    (episode,) = episodes(both, both.ann)
    assert (episode.source, episode.opted_out_at, episode.closed_at) == ("salesforce_sync", OPTED_OUT, None)
    assert episode.detail.startswith(f"Lead {ANN} was opted out in Salesforce by user 005")
    (kept,) = episodes(both, both.bob)
    assert kept.source == "clicked_link"
    assert len(both.wb.forecast()) == 0
    order = [a for a in told(both) if a.startswith(("sync", "person", "opt_out"))]
    assert order == ["sync_started", "person_unsubscribed_by_sync", "opt_out_intended", "opt_out_written", "sync_finished"]
    assert both.wb.trail.verify().ok
    with both.wb.store.read() as tx:
        (gone,) = mismatches.list_(tx, kind="unsubscribed_only_locally", resolved=True)
        assert gone.resolved_by == "nightly sync"
        assert leases.held(tx, [both.ann, both.bob], now=both.wb.clock()) == frozenset()
    again = both.wb.sync()
    assert (again.unsubscribed, again.opted_out) == (0, 0)


def test_a_dry_run_writes_nothing_outward(both):
    result = both.wb.sync(dry_run=True)
    assert result.sentence == "1 person would be unsubscribed; 1 Salesforce record would be opted out."
    assert both.flags(ANN, BOB) == {ANN: True, BOB: False}
    assert episodes(both, both.ann) == ()
    assert "sync_started" not in told(both)


def test_more_changes_than_the_cap_stop_it_before_anything_is_written(both):
    with pytest.raises(WorkbenchError, match="the sync would change 2 people and records, more than its cap of 1") as refused:
        both.wb.sync(cap=1)
    assert "--cap 2" in refused.value.advice
    assert both.flags(BOB) == {BOB: False}
    assert (episodes(both, both.ann), "sync_started" in told(both)) == ((), False)
    with both.wb.store.read() as tx:
        assert leases.held(tx, [both.ann, both.bob], now=both.wb.clock()) == frozenset()
    assert both.wb.sync(cap=2).opted_out == 1


def test_whom_a_batch_holds_is_left_alone_and_named(both):
    hold(both, both.bob)
    assert both.wb.sync(dry_run=True).skipped_leased == (both.bob,)
    result = both.wb.sync()
    assert (result.unsubscribed, result.opted_out, result.skipped_leased) == (1, 0, (both.bob,))
    assert both.bob in result.sentence
    assert both.flags(BOB) == {BOB: False}
    assert list(both.wb.forecast()["action"]) == ["opt_out_record"]


def test_a_record_of_somebody_held_is_left_alone_with_what_follows_from_it(both):
    other = both.person("bob@example.com", unsubscribed=False)
    hold(both, other)
    result = both.wb.sync()
    assert (result.opted_out, result.skipped_leased) == (0, (other,))
    assert (both.flags(BOB), episodes(both, other)) == ({BOB: False}, ())


def test_what_would_only_follow_from_a_skipped_change_is_skipped_too(both):
    other = both.person("bob@example.com", unsubscribed=False)
    hold(both, both.bob)
    assert both.wb.sync().skipped_leased == (both.bob,)
    assert episodes(both, other) == ()  # the shared record is not opted out yet, so nothing says that this person is


def test_people_sharing_a_record_follow_in_the_same_night(both):
    other = both.person("bob@example.com", unsubscribed=False)
    assert both.wb.sync().unsubscribed == 2
    (episode,) = episodes(both, other)
    assert episode.detail == f"Contact {BOB} is opted out because of another person or record it is joined with"
    assert len(both.wb.forecast()) == 0


def test_a_record_that_cannot_be_written_stays_in_the_forecast(both):
    both.org.control("/permissions", {"object": "Contact", "field": FIELD, "updateable": False})
    result = both.wb.sync()
    assert (result.unsubscribed, result.opted_out, result.failed) == (1, 0, (BOB,))
    assert f"1 records could not be written: {BOB}" in result.sentence
    assert "opt_out_failed" in told(both)
    assert list(both.wb.forecast()["record_id"]) == [BOB]


def test_only_an_administrator_runs_it(both):
    analyst = replace(both.wb._desk, operator=Operator(name="bea", auth="os-user"))
    with pytest.raises(NotAllowedError, match="only an administrator runs the sync"):
        nightly.sync(analyst)
    assert nightly.sync(analyst, dry_run=True).opted_out == 1


@pytest.fixture
def resubscribed(world):
    """Ann was resubscribed by us an hour ago and both sides say so."""
    made = world(org_line("Lead", lead_id(1), "ann@example.com", opted_out=False))
    made.ann = made.person("ann@example.com")
    made.wb.pull()
    now = made.wb.clock()
    with made.wb.store.write() as tx:
        at, given = now - timedelta(hours=1), now - timedelta(days=2)
        made.intent = Invented(tx).resubscribed(made.ann, at=at, given_at=given)
    return made


def test_a_resubscription_that_held(resubscribed):
    (found,) = nightly.follow_up(resubscribed.wb._desk)
    assert (found.intent_id, found.person_id, found.outcome, found.cause) == (resubscribed.intent, resubscribed.ann, "held", "")
    with resubscribed.wb.store.read() as tx:
        assert tx.execute(sa.select(s.follow_up.c.outcome)).scalars().all() == ["held"]
    assert "follow_up_checked" in told(resubscribed)


def test_a_relapse_by_a_new_request_in_salesforce(resubscribed):
    resubscribed.org.control("/write", {"object": "Lead", "id": ANN, "values": {FIELD: True}, "user": "Marketing"})
    (found,) = nightly.follow_up(resubscribed.wb._desk)
    assert (found.outcome, found.cause) == ("relapsed", "new_request")
    assert "mismatch_found" in told(resubscribed)


def test_a_relapse_by_a_new_record_with_the_address(resubscribed):
    values = {"LastName": "Ann", "Company": "Example", "Email": "ann@example.com", FIELD: True}
    resubscribed.org.control("/write", {"object": "Lead", "values": values, "user": "Marketing"})
    (found,) = nightly.follow_up(resubscribed.wb._desk)
    assert (found.outcome, found.cause) == ("relapsed", "new_request")


def test_a_relapse_by_the_sync(resubscribed):
    now = resubscribed.wb.clock()
    with resubscribed.wb.store.write() as tx:
        Invented(tx).out(resubscribed.ann, at=now, source="salesforce_sync")
    (found,) = nightly.follow_up(resubscribed.wb._desk)
    assert (found.outcome, found.cause) == ("relapsed", "sync")


# --- over random worlds, with an org in memory


class OrgInMemory:
    """An `Org` of a few rows. Some rows refuse to be written; clearing is refused outright: a sync must never ask for it."""

    def __init__(
        self, rows: Iterable[OrgRow], *, refusing: frozenset[str] = frozenset(), fields: tuple[str, ...] = (FIELD,)
    ) -> None:
        self.rows_by_id = {row.record_id: row for row in rows}
        self.opt_out_fields = fields
        self.refusing = refusing
        self.now = datetime(2026, 11, 20, 20, tzinfo=UTC)
        self.breaks_after: int | None = None
        self.told: list[FieldChange] = []

    def identity(self) -> OrgIdentity:
        return OrgIdentity(org_id="00D000000000001AAA", name="memory", kind="scratch", user_id=US, api_version="64.0")

    def access(self) -> tuple[FieldAccess, ...]:
        return ()

    def usage(self) -> ApiUsage:
        return ApiUsage(used=0, allowed=1)

    def keep_within_budget(self) -> None:
        """Nobody else uses this org."""

    def read(self, *, record_ids: Sequence[str], addresses: Sequence[str], history: bool) -> Reading:
        wanted = {normalize_address(a) for a in addresses}
        rows = tuple(
            r
            for r in self.rows_by_id.values()
            if r.record_id in record_ids or (normalize_address(r.email) in wanted and not r.is_deleted)
        )
        changes = tuple(c for c in self.told if c.record_id in {r.record_id for r in rows}) if history else ()
        missing = frozenset(record_ids) - self.rows_by_id.keys()
        return Reading(rows=rows, history=changes, missing=missing, server_time=self.now)

    def clear(self, writes: Sequence[ConditionalClear]) -> tuple[RowAnswer, ...]:
        raise AssertionError("the sync asked for an opt-out to be cleared")

    def opt_out(self, rows: Sequence[tuple[str, str]]) -> tuple[RowAnswer, ...]:
        answers = []
        for _, record_id in rows:
            if self.breaks_after is not None and len(answers) >= self.breaks_after:
                raise OrgQuotaError("the org's calls are used up")
            row = self.rows_by_id[record_id]
            fine = record_id not in self.refusing and not (row.is_deleted or row.is_converted)
            if fine:
                self.told += [
                    FieldChange(record_id=record_id, field=f, old=False, new=True, at=self.now, by=US)
                    for f, v in row.opt_outs.items()
                    if not v
                ]
                self.rows_by_id[record_id] = replace(
                    row,
                    opt_outs=dict.fromkeys(row.opt_outs, True),
                    system_modstamp=self.now,
                    last_modified_date=self.now,
                    last_modified_by=US,
                )
            answers.append(RowAnswer(record_id=record_id, outcome="done" if fine else "refused", code="" if fine else "RULE"))
        return tuple(answers)

    def begin_pull(self, object: str, *, history: bool = False) -> Bookmark:
        return Bookmark(job="", locator="", delivered=0, promised=len(self.rows_by_id))

    def pull(self, object: str, *, at: Bookmark | None = None) -> Iterator[Sequence[OrgRow]]:
        yield [r for r in self.rows_by_id.values() if r.object == object]

    def pull_history(self, object: str, *, at: Bookmark | None = None) -> Iterator[Sequence[FieldChange]]:
        yield [c for c in self.told if self.rows_by_id[c.record_id].object == object]

    def changes(self, object: str, *, since: datetime) -> Changes:
        ids = tuple(r.record_id for r in self.rows_by_id.values() if r.object == object and r.system_modstamp >= since)
        return Changes(updated=ids, deleted=(), covered_until=self.now)

    def rows(self, object: str, record_ids: Iterable[str]) -> Iterator[Sequence[OrgRow]]:
        yield [self.rows_by_id[i] for i in record_ids if i in self.rows_by_id]


@dataclass
class Night:
    """A desk with an org in memory."""

    desk: Desk
    org: OrgInMemory

    def connect(self, org: OrgInMemory) -> Desk:
        self.org = org
        self.desk.__dict__.pop("org", None)
        return self.desk


@pytest.fixture(scope="module")
def night(tmp_path_factory) -> Iterator[Night]:
    folder = tmp_path_factory.mktemp("night")
    store = new_store(folder)
    if store.engine.dialect.name == "sqlite":  # no power cut here
        sa.event.listen(store.engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
    now = datetime(2026, 11, 20, 20, tzinfo=UTC)
    made = Night.__new__(Night)
    made.desk = Desk(
        folder=folder,
        store=store,
        connect=lambda: made.org,
        evidence=EvidenceStore(folder / "evidence"),
        policy=Policy(),
        trail=TrailWriter(actor="ada", actor_auth="os-user", clock=lambda: now, signer=Signer("example.org/trail", b"1" * 32)),
        clock=lambda: now,
        operator=Operator(name="ada", auth="os-user"),
    )
    with store.write() as tx:
        operators.grant(tx, "ada", "admin", by="ada", at=now)
    yield made
    store.close()


THINGS = st.fixed_dictionaries(
    {
        "email": st.sampled_from(["a@example.com", "b@example.com", "c@example.com", ""]),
        "out": st.booleans(),
        "second": st.booleans(),
        "fate": st.sampled_from(["live", "live", "live", "deleted", "merged", "converted"]),
        "heir": st.integers(0, 5),
        "refuses": st.sampled_from([False, False, False, True]),
    }
)
FOLK = st.fixed_dictionaries(
    {
        "email": st.sampled_from(["a@example.com", "b@example.com", "c@example.com"]),
        "ids": st.sets(st.integers(0, 6), max_size=2),
        "out": st.booleans(),
        "held": st.sampled_from([False, False, False, True]),
    }
)
RANDOM = settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def furnish(night: Night, folk: list[dict], things: list[dict]) -> Desk:
    rows = []
    for number, thing in enumerate(things):
        heir = lead(thing["heir"])
        fate = {
            "live": {},
            "deleted": {"is_deleted": True},
            "merged": {"is_deleted": True, "merged_into": heir},
            "converted": {"is_converted": True, "converted_contact_id": heir},
        }[thing["fate"]]
        rows.append(row_of(number, thing["email"], opt_outs={FIELD: thing["out"], SECOND: thing["second"]}, at=OPTED_OUT, **fate))
    refusing = frozenset(row.record_id for row, thing in zip(rows, things, strict=True) if thing["refuses"])
    desk = night.connect(OrgInMemory(rows, refusing=refusing, fields=(FIELD, SECOND)))
    with desk.store.write() as tx:
        wipe(
            tx,
            (
                s.lease,
                s.mismatch,
                s.link,
                s.unsubscribe,
                s.person_salesforce_id,
                s.person,
                s.org_history,
                s.org_record,
                s.snapshot,
            ),
        )
        made = Invented(tx)
        for number, one in enumerate(folk):
            made.person(one["email"], *(lead(n) for n in one["ids"]), person_id=f"person-{number}")
            if one["out"]:
                made.out(f"person-{number}")
        held = [f"person-{n}" for n, one in enumerate(folk) if one["held"]]
        leases.take(tx, held, holder="batch:7", now=desk.clock(), lasting=timedelta(hours=1))
    return desk


def unsubscribed(desk: Desk) -> set[str]:
    with desk.store.read() as tx:
        return set(tx.execute(sa.select(s.person.c.person_id).where(s.person.c.unsubscribed_at.is_not(None))).scalars())


@RANDOM
@given(st.lists(FOLK, max_size=5), st.lists(THINGS, max_size=6))
def test_after_a_sync_only_what_was_skipped_or_failed_is_left_and_nothing_was_cleared(night, folk, things):
    desk = furnish(night, folk, things)
    rehearsed = nightly.sync(desk, dry_run=True)
    set_before = {(r.record_id, f) for r in night.org.rows_by_id.values() for f, v in r.opt_outs.items() if v}
    out_before = unsubscribed(desk)
    result = nightly.sync(desk)
    assert set_before <= {(r.record_id, f) for r in night.org.rows_by_id.values() for f, v in r.opt_outs.items() if v}
    assert out_before <= unsubscribed(desk)
    assert (result.unsubscribed, result.skipped_leased) == (rehearsed.unsubscribed, rehearsed.skipped_leased)
    assert result.opted_out + len(result.failed) == rehearsed.opted_out
    with desk.store.read() as tx:
        left = mismatches.forecast(tx)
        concerned = nightly._concerned(tx, left)
        held = {f"person-{n}" for n, one in enumerate(folk) if one["held"]}
        ours = [c for c in nightly._apart(tx, left, busy=frozenset(concerned & held)) if c.record_id not in result.failed]
        assert ours == []
        assert {c.record_id for c in left if c.action == "opt_out_record"} >= set(result.failed)


@RANDOM
@given(st.lists(FOLK, max_size=4), st.lists(THINGS, max_size=6), st.integers(0, 3))
def test_a_sync_that_breaks_off_is_done_by_the_next_one(night, folk, things, after):
    free = [one | {"held": False} for one in folk]
    desk = furnish(night, free, [one | {"refuses": False} for one in things])
    night.org.breaks_after = after
    try:
        nightly.sync(desk)
    except OrgError:
        with desk.store.read() as tx:
            assert (
                tx.execute(sa.select(s.sync_run.c.finished_at).order_by(s.sync_run.c.run_id.desc())).scalars().first() is not None
            )
    night.org.breaks_after = None
    assert nightly.sync(desk).failed == ()
    with desk.store.read() as tx:
        assert mismatches.forecast(tx) == ()


def test_leases_that_ran_out_do_not_stand_in_the_way(night):
    desk = furnish(night, [{"email": "a@example.com", "ids": set(), "out": True, "held": False}], [])
    night.connect(OrgInMemory([row_of(0, "a@example.com", opt_outs={FIELD: False}, at=OPTED_OUT)]))
    with desk.store.write() as tx:
        leases.take(tx, ["person-0"], holder="batch:7", now=desk.clock() - timedelta(hours=1), lasting=timedelta(minutes=1))
    assert nightly.sync(desk).opted_out == 1


def test_two_hundred_and_more_are_written_in_steps(night):
    people_there = [{"email": f"p{n}@example.com", "ids": set(), "out": True, "held": False} for n in range(230)]
    desk = furnish(night, people_there, [])
    night.connect(OrgInMemory([row_of(n, f"p{n}@example.com", opt_outs={FIELD: False}, at=OPTED_OUT) for n in range(230)]))
    assert nightly.sync(desk).opted_out == 230
    assert all(r.opted_out and r.last_modified_by == US != THEM for r in night.org.rows_by_id.values())
    with desk.store.read() as tx:
        assert mismatches.forecast(tx) == ()
        assert len(records.rows_by_ids(tx, [lead(n) for n in range(230)])) == 230
