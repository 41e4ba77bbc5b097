"""Engines find in a snapshot what the register finds in itself, kind by kind and one by one; and a snapshot names nobody."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import postgresql_server
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from conftest import World, contact_id, lead_id, org_line
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from invented_register import US, Invented, apart, hours, new_store, undone
from test_store_mismatches import NOW, PEOPLE, RECORDS, SITUATIONS, build

from workbench import engines
from workbench.cli.app import run
from workbench.engines import snapshot as snapshots
from workbench.engines.dialects import said_in
from workbench.errors import InputError
from workbench.mismatch import KINDS
from workbench.store import mismatches, records
from workbench.store import schema as s
from workbench.store.database import Store, Transaction
from workbench.store.mismatches import portable

HELD = {
    "address_change": {"old_email", "person_id"},
    "consent": {"consent_id", "given_at"},
    "heir": {"dead_id", "heir_id"},
    "intent": {"base", "consent_id", "done_at", "intent_id", "person_id", "state"},
    "org_history": {"at", "by", "field", "new_value", "old_value", "record_id"},
    "org_record": {
        "converted_contact_id", "email", "fields_differ", "is_converted", "is_deleted", "merged_into", "object", "opted_out",
        "opted_out_at", "person_account", "record_id", "system_modstamp",
    },
    "person": {"email", "erased_at", "person_id", "unsubscribed_at", "updated_at"},
    "person_salesforce_id": {"person_id", "record_id"},
    "snapshot": {"finished_at", "started_at"},
    "suppressed_record": {"record_id"},
    "unsubscribe": {"closed_at", "closed_by_intent", "opted_out_at", "person_id", "recorded_at", "source"},
}  # fmt: skip
"""All that leaves the register with a snapshot; of addresses (email, old_email) digests only. A new column is looked at first."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = new_store(tmp_path_factory.mktemp("register"))
    yield opened
    opened.close()


@pytest.fixture
def tx(store: Store) -> Iterator[Transaction]:
    with undone(store) as transaction:
        yield transaction


def every_situation(tx: Transaction) -> None:
    """All situations of the tests of mismatches side by side in one register, each with ids and addresses of its own."""
    records.remember_own_user(tx, US)
    for number, (make, _) in enumerate(SITUATIONS.values(), 1):
        with apart(number):
            make(Invented(tx))
    pulled = {"snapshot_id": "pull", "kind": "full", "org_id": "00D", "started_at": hours(1), "finished_at": NOW, "counts": {}}
    tx.execute(sa.insert(s.snapshot).values(pulled))


def own_result(tx: Transaction) -> dict[str, list[tuple[str, str]]]:
    """What the register finds in itself, by kind."""
    mismatches.refresh(tx, NOW, everything=True)
    found: dict[str, list[tuple[str, str]]] = {kind: [] for kind in KINDS}
    for one in mismatches.list_(tx):
        found[one.kind].append((one.person_id, one.record_id))
    return {kind: sorted(some) for kind, some in found.items()}


def compared(tx: Transaction, folder: Path, address: str = "duckdb://") -> dict[str, list[tuple[str, str]]]:
    """What both find, which has to be the same; the snapshot is taken before the register has looked at anything."""
    engines.write(tx, folder, at=NOW)
    found = engines.findings(address, folder)
    assert found == own_result(tx)
    return found


def test_duckdb_finds_every_kind_where_the_register_finds_it(tx: Transaction, tmp_path: Path) -> None:
    every_situation(tx)
    found = compared(tx, tmp_path / "snapshot")
    assert engines.counts("duckdb://", tmp_path / "snapshot") == {kind: len(some) for kind, some in found.items()}
    assert [kind for kind in KINDS if not found[kind]] == [], "a kind of which there is no situation is not compared"


RANDOM = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@RANDOM
@given(st.lists(PEOPLE, max_size=5), st.lists(RECORDS, max_size=6))
def test_duckdb_finds_in_random_registers_what_they_find(
    tx: Transaction, tmp_path: Path, folk: list[dict], things: list[dict]
) -> None:
    build(tx, folk, things)
    shutil.rmtree(tmp_path / "snapshot", ignore_errors=True)
    compared(tx, tmp_path / "snapshot")


@RANDOM
@given(st.lists(PEOPLE, max_size=5), st.lists(RECORDS, max_size=6))
def test_links_as_a_query_are_those_that_are_kept(tx: Transaction, folk: list[dict], things: list[dict]) -> None:
    build(tx, folk, things)
    kept = tx.execute(sa.select(s.link.c.person_id, s.link.c.record_id, s.link.c.how)).all()
    assert sorted(map(tuple, tx.execute(records.links()))) == sorted(map(tuple, kept))


def test_a_snapshot_of_a_register_on_a_server_is_compared_alike(tmp_path: Path) -> None:
    server = postgresql_server.server()
    store = Store(server.create(like=server.migrated()))
    with undone(store) as tx:
        every_situation(tx)
        compared(tx, tmp_path / "snapshot")
    store.close()


def spark_is_here() -> bool:
    try:
        import pyspark  # noqa: F401 - whether it is there
    except ModuleNotFoundError:
        return False
    return bool(os.environ.get("JAVA_HOME") or shutil.which("java"))


@pytest.mark.slow
@pytest.mark.skipif(not spark_is_here(), reason="Spark (pip install 'pyspark>=4.1,<5') or Java is not installed")
def test_spark_finds_every_kind_where_the_register_finds_it(tx: Transaction, tmp_path: Path) -> None:
    every_situation(tx)
    found = compared(tx, tmp_path / "snapshot", "spark://local[2]")
    assert all(found.values())


@pytest.mark.parametrize("dialect", ["duckdb", "spark"])
def test_no_dialect_is_asked_for_what_the_snapshot_holds_ready(dialect: str) -> None:
    texts = [said_in(dialect, text) for text in (portable.links(), *(one.text for one in portable.questions(())))]  # type: ignore[arg-type]  # one of both
    assert not any(re.search(r" ON [\w.]+ IN ", text) for text in texts), "every row would be held against every other"
    assert not any("RECURSIVE" in text or "JSON" in text.upper() for text in texts)
    assert {one.kind for one in portable.questions(())} == set(KINDS)


def test_an_engine_is_given_these_columns_and_no_other() -> None:
    assert {one.name: set(one.columns) for one in portable.relations()} == HELD
    addresses = {(one.name, name) for one in portable.relations() for name, kind in one.columns.items() if kind == "address"}
    assert addresses == {("person", "email"), ("org_record", "email"), ("address_change", "old_email")}


def test_a_snapshot_names_nobody_and_is_its_owner_s_alone(tx: Transaction, tmp_path: Path) -> None:
    every_situation(tx)
    made = engines.write(tx, tmp_path / "snapshot", at=NOW)
    assert stat.S_IMODE(made.folder.stat().st_mode) == 0o700
    for file in made.folder.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
        text = file.read_text() if file.suffix == ".json" else json.dumps(pq.read_table(file).to_pylist(), default=str)
        assert "@" not in text, file
        assert "example" not in text, file
    assert sorted(p.name for p in tmp_path.iterdir()) == ["snapshot"]


def test_two_snapshots_have_no_address_in_common(tx: Transaction, tmp_path: Path) -> None:
    Invented(tx).person("ann@example.com")
    one, other = (engines.write(tx, tmp_path / name, at=NOW).file("person") for name in ("one", "other"))
    assert pq.read_table(one)["email"] != pq.read_table(other)["email"]


def test_a_snapshot_is_written_in_portions(tx: Transaction, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "PORTION", 7)
    monkeypatch.setattr(snapshots, "GROUP", 14)
    every_situation(tx)
    made = engines.write(tx, tmp_path / "snapshot", at=NOW)
    file = pq.ParquetFile(made.file("org_record"))
    assert file.metadata.num_rows == made.rows["org_record"] > 14
    assert max(file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)) <= 14
    assert engines.findings("duckdb://", made.folder) == own_result(tx)


@pytest.fixture
def written(tx: Transaction, tmp_path: Path) -> Path:
    return engines.write(tx, tmp_path / "snapshot", at=NOW).folder


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("duckdb", "there is no such engine"),
        ("duckdb:///etc/passwd", "there is no such engine"),
        ("spark://", "there is no such engine"),
        ("spark://local[x]", "there is no such engine"),
        ("polars://", "there is no such engine"),
    ],
)
def test_an_engine_that_is_not_known_is_one_sentence(written: Path, address: str, sentence: str) -> None:
    with pytest.raises(InputError, match=f"^{sentence}$") as caught:
        engines.counts(address, written)
    assert "duckdb://" in caught.value.advice


def test_a_folder_that_is_there_is_not_written_into(written: Path, tx: Transaction) -> None:
    before = sorted(written.iterdir())
    with pytest.raises(InputError, match="exists already"):
        engines.write(tx, written, at=NOW)
    assert sorted(written.iterdir()) == before


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda folder: (folder / "snapshot.json").unlink(), "holds no snapshot"),
        (lambda folder: (folder / "snapshot.json").write_text("[]"), "holds no snapshot"),
        (lambda folder: (folder / "person.parquet").unlink(), "is missing"),
        (lambda folder: (folder / "person.parquet").write_bytes(b"PAR1"), "could not compare"),
        (lambda folder: renamed(folder, "workbench-snapshot/0"), "another version"),
    ],
)
def test_a_snapshot_that_can_not_be_used_is_one_sentence(written: Path, spoil: Callable[[Path], object], sentence: str) -> None:
    spoil(written)
    with pytest.raises(InputError, match=sentence) as caught:
        engines.counts("duckdb://", written)
    assert "workbench store snapshot DIR" in caught.value.advice


def renamed(folder: Path, form: str) -> None:
    said = json.loads((folder / "snapshot.json").read_text())
    (folder / "snapshot.json").write_text(json.dumps(said | {"form": form}))


@pytest.mark.parametrize("package", ["pyarrow", "duckdb", "sqlglot"])
def test_without_the_extra_it_says_what_to_install(
    written: Path, tx: Transaction, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    there = snapshots.needs.__globals__["find_spec"]
    monkeypatch.setitem(snapshots.needs.__globals__, "find_spec", lambda name: None if name == package else there(name))
    with pytest.raises(InputError, match=f"^the package {package} is not installed$") as caught:
        _ = engines.write(tx, tmp_path / "again", at=NOW), engines.counts("duckdb://", written)
    assert "compliance-workbench[engines]" in caught.value.advice


def test_duckdb_fetches_nothing_from_elsewhere(written: Path) -> None:
    from workbench.engines.duckdb import begun

    with begun(engines.read(written)) as engine:
        for setting in ("autoinstall_known_extensions", "autoload_known_extensions"):
            assert engine._connection.sql(f"SELECT current_setting('{setting}')").fetchall() == [(False,)]
    assert duckdb.__version__.startswith("2.")


def test_the_commands(
    world: Callable[..., World], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = world(
        org_line("Lead", lead_id(1), "ada@example.org", opted_out=True),
        org_line("Contact", contact_id(2), "bea@example.net", opted_out=False),
    )
    made.person("ada@example.org")
    made.person("bea@example.net")  # unsubscribed, and her record is not opted out
    made.wb.pull(full=True)
    monkeypatch.setenv("WORKBENCH_HOME", str(made.folder))
    assert run(["store", "snapshot", str(tmp_path / "snapshot")]) == 0
    said = capsys.readouterr()
    assert "org_record\t2\n" in said.out
    assert "mismatches --engine duckdb://" in said.err
    monkeypatch.delenv("WORKBENCH_HOME")  # whoever compares has no workspace
    compare = ["mismatches", "--engine", "duckdb://", "--snapshot", str(tmp_path / "snapshot"), "--format", "json"]
    assert run(compare) == 1
    said = capsys.readouterr()
    counts = {row["kind"]: row["found"] for row in json.loads(said.out)}
    assert (list(counts), counts["unsubscribed_only_locally"]) == (list(KINDS), 1)
    assert "in the snapshot of " in said.err
    assert run([*compare, "--kind", "unsubscribed_only_locally"]) == 1
    (row,) = json.loads(capsys.readouterr().out)
    assert row["record_id"].startswith(contact_id(2))
    assert run([*compare, "--kind", "relapse"]) == 0
    for wrong in (["--engine", "duckdb://"], ["--snapshot", "x"], [*compare[1:], "--refresh"], [*compare[1:], "--resolved"]):
        capsys.readouterr()
        assert run(["mismatches", *wrong]) == 2
        assert "Give --engine and --snapshot" in capsys.readouterr().err
