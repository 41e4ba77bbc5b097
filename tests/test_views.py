"""Tables: the same columns and kinds with rows and without, moments in UTC, no nulls in text."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pandas as pd
import pytest

from workbench import Workbench, views
from workbench.errors import InputError

NOW = datetime(2026, 11, 2, 9, tzinfo=UTC)
TABLES = {name: getattr(views, name) for name in ("PEOPLE", "HISTORY", "BATCHES", "ITEMS", "MISMATCHES", "CONSENTS", "WORKLIST")}


def kind(table: pd.DataFrame, column: str) -> str:
    dtype = table[column].dtype
    return "moment" if isinstance(dtype, pd.DatetimeTZDtype) and str(dtype.tz) == "UTC" else str(dtype)


@pytest.mark.parametrize("name", TABLES)
def test_an_empty_table_has_its_columns_and_kinds(name: str) -> None:
    columns = TABLES[name]
    table = views.frame([], columns)
    assert tuple(table.columns) == tuple(columns)
    for column in columns:
        expected = "moment" if column in views.MOMENTS else "int64" if column in views.NUMBERS else "str"
        assert kind(table, column) == expected, column


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("name", TABLES)
def test_a_full_table_has_the_same_kinds(name: str, rows: int) -> None:
    columns = TABLES[name]
    row = {c: NOW if c in views.MOMENTS else 7 if c in views.NUMBERS else "text" for c in columns}
    full, empty = views.frame([row] * rows, columns), views.frame([], columns)
    assert [kind(full, c) for c in columns] == [kind(empty, c) for c in columns]
    assert len(full) == rows


def test_nothing_is_an_empty_text_and_no_moment() -> None:
    table = views.frame([{"email": None, "at": None, "records": 0}], ("email", "at", "records"))
    assert table.email[0] == ""
    assert table["at"].isna()[0]
    assert [kind(table, c) for c in table] == ["str", "moment", "int64"]


def test_moments_of_any_zone_are_utc() -> None:
    elsewhere = NOW.astimezone(timezone(timedelta(hours=-8)))
    table = views.frame([{"at": elsewhere}, {"at": NOW + timedelta(microseconds=1)}, {"at": None}], ("at",))
    assert list(table["at"][:2]) == [pd.Timestamp(NOW), pd.Timestamp(NOW + timedelta(microseconds=1))]
    assert kind(table, "at") == "moment"


def test_a_text_that_looks_like_a_number_stays_text() -> None:
    table = views.frame([{"email": "0012"}, {"email": "=1+1"}], ("email",))
    assert list(table.email) == ["0012", "=1+1"]


@pytest.fixture
def wb(tmp_path: Path) -> Iterator[Workbench]:
    with Workbench.init(tmp_path / "workspace", name="test") as made:
        yield made


def test_every_table_of_an_empty_workspace(wb: Workbench) -> None:
    found = {
        "PEOPLE": wb.people(),
        "BATCHES": wb.batches(),
        "MISMATCHES": wb.mismatches(),
        "CONSENTS": wb.consents(),
    }
    for name, table in found.items():
        assert table.empty
        assert tuple(table.columns) == tuple(TABLES[name])
    assert wb.people(unsubscribed=True, salesforce="no_record", mismatch="relapse", consent=False, limit=5).empty
    assert tuple(wb.forecast().columns) == ("person_id", "record_id", "action", "why")
    assert wb.mismatch_counts().open.sum() == 0
    assert tuple(wb.verify_consents().columns) == ("sha256", "state")


def test_grants_are_a_table_with_moments(wb: Workbench) -> None:
    table = wb.operators()
    assert [kind(table, c) for c in ("granted_at", "revoked_at", "revoked_by")] == ["moment", "moment", "str"]


@pytest.mark.parametrize("filters", [{"salesforce": "maybe"}, {"mismatch": "nonsense"}, {"source": "boredom"}])
def test_a_filter_that_is_none_is_one_sentence(wb: Workbench, filters: dict[str, str]) -> None:
    with pytest.raises(InputError):
        wb.people(**filters)  # type: ignore[arg-type]  # the wrong values are the test


@pytest.mark.parametrize("ask", ["batch_items", "worklist", "plan"])
def test_a_batch_that_is_not_there_is_one_sentence(wb: Workbench, ask: str) -> None:
    from workbench.errors import BatchError

    with pytest.raises(BatchError, match=r"^no batch has this id$"):
        getattr(wb, ask)("nothing")
