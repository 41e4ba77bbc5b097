"""What people do x faults: a pull, a batch, an undo, a sync and a follow-up end as the table says, and nothing is lost or half done.

Every cell is tried by ``make soak``; here, some of those where an answer to a write is lost or somebody opts out, of a full pull, and
of the follow-up.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from faults import outcomes
from faults.planned import FAULTS
from faults.work import WORK, Ended, Shop, carry_out, opened, word

CELLS = [(name, fault) for name in WORK for fault in FAULTS]
HERE = [
    *(("batch, clearing", fault) for fault in ("reset before", "opt-out before", "late commit")),
    *(
        ("batch, opting out", fault)
        for fault in ("reset before", "reset after", "rows locked", "opt-out before", "opt-out after")
    ),
    *(cell for n, cell in enumerate(CELLS) if n % 6 == 0 and cell[0] in ("full pull", "follow-up")),
]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with opened(tmp_path_factory.mktemp("work")) as made:
        yield made


@pytest.fixture(scope="module")
def usual(shop: Shop) -> dict[str, Ended]:
    """How everything ends without a fault."""
    found = {name: carry_out(shop, work) for name, work in WORK.items()}
    for name, ended in found.items():
        assert (ended.error, ended.wrong) == ("", []), name
        assert ended.drawn == 1, f"nothing of {name} fits what the faults are meant for"
    return found


@pytest.mark.parametrize(("name", "fault"), HERE)
def test_work_under_a_fault_ends_as_documented(shop: Shop, usual: dict[str, Ended], name: str, fault: str) -> None:
    check(shop, usual[name], name, fault)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "fault"), [cell for cell in CELLS if cell not in HERE])
def test_work_under_every_fault_ends_as_documented(shop: Shop, usual: dict[str, Ended], name: str, fault: str) -> None:
    check(shop, usual[name], name, fault)


def check(shop: Shop, usual: Ended, name: str, fault: str) -> None:
    """One cell: the fault once, and for good where that is something else than nothing."""
    once, always = outcomes.work_expected(name, fault)
    for times, wanted in ((1, once), (0, always)):
        if times == 0 and (FAULTS[fault].hook or always == "-"):
            continue
        ended = carry_out(shop, WORK[name], FAULTS[fault], times=times, usual=usual)
        where = f"{fault} ({'once' if times else 'for good'}) at {name}"
        assert ended.wrong == [], where
        assert word(ended, usual) == wanted, f"{where}: {ended}"
        assert ended.drawn >= 1 or FAULTS[fault].hook, f"{where} was never drawn"
        assert ended.logins <= usual.logins + (wanted in ("login", "auth")), f"{where}: {ended.logins} logins"


def test_the_table_has_everything_that_is_done_and_every_fault() -> None:
    assert all(outcomes.work_expected(name, fault) for name, fault in CELLS)
    assert set(outcomes.cells(outcomes.WORK_TABLE)) == {(fault, name) for name, fault in CELLS}


def test_the_documented_table_is_the_tested_one() -> None:
    assert outcomes.WORK_TABLE.strip() in outcomes.DOCS.read_text(encoding="utf-8")
