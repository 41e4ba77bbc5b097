"""A register of each released schema, filled by a day's real work, comes to this version's schema with every row and every guard."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import postgresql_server
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from conftest import CONSENTED, World, lead_id, org_line, worlds
from test_schema import FORBIDDEN
from test_worker import REASON

from workbench.bench import Workbench
from workbench.cli.app import run
from workbench.errors import StoreError
from workbench.settings import FILE, with_register
from workbench.store import schema as s
from workbench.store.database import HEAD, MIGRATIONS, Store

pytestmark = pytest.mark.skipif(postgresql_server.wanted(), reason="both databases are tried here in every run")

REVISIONS = tuple(sorted(script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()))
OLDER = [revision for revision in REVISIONS if revision != HEAD]
NAMES = ("ann", "bea", "cyd", "dora", "eve")
Rows = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Day:
    """A workspace after a day's work, closed: the ids of its people by name, and its rows, also of tables that came later."""

    world: World
    people: dict[str, str]
    consents: dict[str, str]
    rows: Rows


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    """ann resubscribed; bea unsubscribed, without a consent; cyd's consent withdrawn; dora moved; eve proposed, nothing run."""
    with worlds(tmp_path_factory.mktemp("day")) as make:
        world = make(*(org_line("Lead", lead_id(n), f"{name}@example.com", opted_out=True) for n, name in enumerate(NAMES)))
        wb = world.wb
        people = {name: world.person(f"{name}@example.com") for name in NAMES}
        consents = {name: world.consent(people[name]) for name in ("ann", "cyd", "eve")}
        wb.withdraw_consent(consents["cyd"], method="email", at=CONSENTED + timedelta(days=30))
        wb.pull(full=True)
        batch = wb.propose([people["ann"], people["bea"]], reason=REASON)
        wb.approve(batch.id, batch.digest)
        assert wb.run(batch.id).done == 1
        wb.follow_up()
        moved = world.folder.parent / "people.csv"
        moved.write_text(f"Person ID,Email ID\n{people['dora']},dora@example.org\n", encoding="utf-8")
        wb.import_people(moved)
        wb.propose([people["eve"]], reason=REASON)
        wb.mismatches(refresh=True)
        wb.grant("zoe", "auditor")
        rows = rows_of(wb.store)
        wb.close()
        yield Day(world, people, consents, rows)


def rows_of(store: Store) -> Rows:
    """Every row of the register, table by table, in the order of the keys; what was touched is noted anew after an upgrade."""
    with store.read() as tx:
        return {
            table.name: [dict(row) for row in tx.execute(sa.select(table).order_by(*table.primary_key)).mappings()]
            for table in s.metadata.sorted_tables
            if table is not s.touched
        }


def make_at(store: Store, revision: str, rows: Rows) -> None:
    """A register as the version of that schema made it: its migrations up to there, and the rows that it had places for."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    if store.file:
        store.file.touch()
    with store.write() as tx:
        config.attributes["connection"] = tx
        command.upgrade(config, revision)
        there = sa.inspect(tx)
        for table in s.metadata.sorted_tables:
            if rows.get(table.name) and there.has_table(table.name):
                columns = {column["name"] for column in there.get_columns(table.name)}
                had = [{name: value for name, value in row.items() if name in columns} for row in rows[table.name]]
                tx.execute(sa.insert(table), had)


@dataclass(frozen=True)
class Old:
    """A workspace whose register has an older schema."""

    folder: Path
    store: Store


@pytest.fixture(params=["sqlite", "postgresql"])
def old(request: pytest.FixtureRequest, day: Day, tmp_path: Path) -> Iterator[Callable[[str], Old]]:
    """Makes a copy of the day's workspace with a register at a revision, in a file or on the server."""
    made: list[Store] = []

    def at(revision: str) -> Old:
        folder = tmp_path / "workspace"
        shutil.copytree(day.world.folder, folder, ignore=shutil.ignore_patterns("register.db*"))
        address = f"sqlite:///{folder / 'register.db'}"
        if request.param == "postgresql":
            address = postgresql_server.server().create()
            (folder / FILE).write_text(with_register(folder, address)[1], encoding="utf-8")
        made.append(Store(address))
        make_at(made[-1], revision, day.rows)
        return Old(folder, made[-1])

    yield at
    for store in made:
        store.close()


def upgrade(old: Old) -> int:
    return run(["--workspace", str(old.folder), "store", "upgrade"])


def guards(store: Store) -> list[tuple[Any, ...]]:
    """Triggers, and the functions behind them, as the database wrote them down."""
    asked = (
        "SELECT tgname, pg_get_triggerdef(t.oid), prosrc FROM pg_trigger t JOIN pg_proc p ON p.oid = tgfoid WHERE NOT tgisinternal"
        if store.file is None
        else "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
    )
    with store.read() as tx:
        return sorted(map(tuple, tx.exec_driver_sql(asked)))


def test_every_schema_before_this_one_is_tried() -> None:
    assert (OLDER[0], len(OLDER)) == ("0001", len(list((MIGRATIONS / "versions").glob("0*.py"))) - 1)


@pytest.mark.parametrize("revision", OLDER)
def test_an_older_register_is_refused_until_it_is_upgraded(
    old: Callable[[str], Old], revision: str, capsys: pytest.CaptureFixture[str]
) -> None:
    there = old(revision)
    assert run(["--workspace", str(there.folder), "people"]) == 2
    said = capsys.readouterr().err
    assert f"The register has schema version {revision}, this workbench needs {HEAD}." in said
    assert "upgrade the register with `workbench store upgrade`" in said
    assert upgrade(there) == 0
    assert "The register has this version's schema." in capsys.readouterr().err
    assert run(["--workspace", str(there.folder), "people"]) == 0


@pytest.mark.parametrize("revision", OLDER)
def test_every_row_and_every_guard_is_there_afterwards(old: Callable[[str], Old], revision: str, day: Day) -> None:
    there = old(revision)
    assert upgrade(there) == 0
    expected = day.rows
    if revision < "0003":  # it kept the newest state of a consent only
        states = rows_of(there.store)["consent_state"]
        assert {(row["consent_id"], row["state"]) for row in states} == {
            (row["consent_id"], row["state"]) for row in day.rows["consent"]
        }
        assert (day.consents["cyd"], "withdrawn") in {(row["consent_id"], row["state"]) for row in states}
        expected = expected | {"consent_state": states}
    if revision < "0002":
        expected = expected | {"org_record": [row | {"person_account": None} for row in day.rows["org_record"]]}
    assert rows_of(there.store) == expected
    fresh = Store(postgresql_server.server().create() if there.store.file is None else f"sqlite:///{there.folder / 'fresh.db'}")
    fresh.upgrade()
    assert guards(there.store) == guards(fresh)
    fresh.close()


@pytest.mark.parametrize("revision", OLDER)
@pytest.mark.parametrize("deed", ["delete an unsubscribe", "change its source", "open a closed one", "change an event"])
def test_what_nobody_may_rewrite_still_is_refused(old: Callable[[str], Old], revision: str, deed: str) -> None:
    there = old(revision)
    assert upgrade(there) == 0
    sentence = r"^(the audit trail can only be added to|an unsubscribe can only be closed)"
    with pytest.raises(StoreError, match=sentence), there.store.write() as tx:
        tx.exec_driver_sql(FORBIDDEN[deed])


@pytest.mark.parametrize("revision", OLDER)
def test_work_goes_on_where_it_stood_and_no_opt_out_is_lost(old: Callable[[str], Old], revision: str, day: Day) -> None:
    there = old(revision)
    assert upgrade(there) == 0
    with Workbench.open(there.folder) as wb:
        world = replace(day.world, folder=there.folder, wb=wb)
        assert wb.trail.verify().ok
        assert set(wb.verify_consents()["state"]) == {"intact"}
        assert set(wb.people(unsubscribed=True)["person_id"]) == set(day.people.values()) - {day.people["ann"]}
        refused = wb.check([day.people["bea"], day.people["cyd"], day.people["ann"]], reason=REASON)
        assert refused.eligible == 0
        codes = dict(zip(refused.table["person_id"], refused.table["codes"], strict=True))
        assert "no_consent" in codes[day.people["bea"]]
        assert "consent_withdrawn" in codes[day.people["cyd"]]
        assert "not_unsubscribed" in codes[day.people["ann"]]
        wb.pull(full=True)
        wb.sync()
        flags = world.flags(*(lead_id(n) for n in range(len(NAMES))))
        assert [flags[record] for record in sorted(flags)] == [name != "ann" for name in NAMES]
        wb.unsubscribe(day.people["ann"])
        assert wb.trail.verify().ok


@pytest.mark.parametrize("revision", [one for one in OLDER if one < "0004"])
def test_an_upgrade_that_fails_leaves_the_register_as_it_was(
    old: Callable[[str], Old], revision: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Something of the name of what 0004 makes is in the way, when the steps before it are done."""
    there = old(revision)
    with there.store.write() as tx:
        tx.exec_driver_sql("CREATE INDEX ix_address_change_old_email ON address_change (new_email)")
    before = guards(there.store), tables(there.store)
    assert upgrade(there) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert said.startswith("workbench: The database refused the request (")
    assert (guards(there.store), tables(there.store)) == before
    with there.store.write() as tx:
        tx.exec_driver_sql("DROP INDEX ix_address_change_old_email")
    assert upgrade(there) == 0
    there.store.check_version()


def tables(store: Store) -> dict[str, tuple[list[str], int]]:
    """Columns and number of rows of each table, and the version."""
    with store.read() as tx:
        there = sa.inspect(tx)
        known = {name: [column["name"] for column in there.get_columns(name)] for name in there.get_table_names()}
        counts = {name: tx.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar_one() for name in known}
        version = tx.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one()
    return {name: (columns, counts[name]) for name, columns in known.items()} | {str(version): ([], 0)}


def test_a_register_of_a_newer_version_is_one_sentence(old: Callable[[str], Old], capsys: pytest.CaptureFixture[str]) -> None:
    there = old(HEAD)
    with there.store.write() as tx:
        tx.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    before = tables(there.store)
    assert upgrade(there) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"workbench: The register has schema version 9999, this workbench knows none after {HEAD}.")
    assert tables(there.store) == before
