"""Operations x faults: every cell ends as the table says, at the cost that is allowed, and no opt-out is overwritten."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import workbench.salesforce
from faults import outcomes
from faults.operations import OPERATIONS, Bench, Seen, benched, carry_out, places, word
from faults.planned import ASKED_TO_WAIT, FAULTS
from workbench.org import Org
from workbench.salesforce import Patience, SalesforceOrg
from workbench.scratch_org.faults import KINDS

TRIES = Patience().tries
STEPPED = ("check_org", "probe_org", "probe_record")  # they go on after a failure; what they cost is that of the readings in them
LATER = ("locator expired", "page twice")  # they show at the request after
NOT_ASKED = {"close", "calls"}  # of SalesforceOrg: no request


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with benched(tmp_path_factory.mktemp("matrix")) as made:
        yield made


@pytest.fixture(scope="module")
def usual(bench: Bench) -> dict[str, Seen]:
    """How every operation goes without a fault."""
    found = {name: carry_out(bench, operation) for name, operation in OPERATIONS.items()}
    assert all(seen.sent for seen in found.values())
    return found


def chosen(name: str, fault: str, sent: int) -> list[int]:
    """The requests of an operation at which a fault is tried: one of them in turn; an opt-out before the first, after the last."""
    if FAULTS[fault].hook:
        return [sent if FAULTS[fault].hook == "after" else 1]
    return [1 + (list(FAULTS).index(fault) + list(OPERATIONS).index(name)) % sent]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_fault_ends_as_documented(bench: Bench, usual: dict[str, Seen], name: str, fault: str) -> None:
    for at in chosen(name, fault, len(places(OPERATIONS[name], usual[name]))):
        check(bench, usual[name], name, fault, at)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(OPERATIONS))
def test_a_fault_ends_as_documented_at_every_request(bench: Bench, usual: dict[str, Seen], name: str) -> None:
    for fault in FAULTS:
        for at in range(1, len(places(OPERATIONS[name], usual[name])) + 1) if not FAULTS[fault].hook else ():
            check(bench, usual[name], name, fault, at)


def check(bench: Bench, usual: Seen, name: str, fault: str, at: int) -> None:
    """One cell: the fault once, and for good where that is something else than nothing."""
    once, always = outcomes.expected(name, fault)
    if name == "history pages":  # every cell in which somebody opts out makes history
        usual = carry_out(bench, OPERATIONS[name])
    position, stepped = places(OPERATIONS[name], usual)[at - 1], OPERATIONS[name].of in STEPPED
    for times, wanted in ((1, once), (0, always)):
        if times == 0 and (FAULTS[fault].hook or (always == once and not stepped) or always == "-"):
            continue  # it would be the very same: one request, or an end at the first
        seen = carry_out(bench, OPERATIONS[name], FAULTS[fault], at=at, times=times, position=position)
        where = f"{fault} ({'once' if times else 'for good'}) at request {at} of {name}"
        assert word(OPERATIONS[name], seen, usual) == wanted, f"{where}: {seen}"
        assert seen.drawn >= 1 or FAULTS[fault].hook, f"{where} was never drawn"
        if not stepped and fault not in LATER:
            assert (seen.sent, seen.logins) == cost(usual, name, at, wanted, retried=once != always), f"{where}: {seen}"
        if wanted == "again" and fault == f"503, Retry-After {ASKED_TO_WAIT} s":
            assert max(seen.waits) >= ASKED_TO_WAIT, where


def cost(usual: Seen, name: str, at: int, wanted: str, *, retried: bool) -> tuple[int, int]:
    """Requests of the operation and logins that an outcome may take."""
    logging_in = usual.logins > 0
    sent = {"again": usual.sent + 1, "login": usual.sent + 1, "auth": at + 1, "anew": usual.sent + 2 + at}.get(wanted, usual.sent)
    if wanted in ("unreachable", "quota", "refused", "permission"):
        sent = at + (0 if not retried else 1 if wanted == "permission" else TRIES - 1)
    return sent, sent if logging_in else int(wanted in ("login", "auth"))


def test_the_table_has_every_operation_and_every_fault() -> None:
    of = {operation.of for operation in OPERATIONS.values()}
    asked = {name for name in vars(Org) if not name.startswith("_") and callable(getattr(Org, name))}
    ours = {name for name in vars(SalesforceOrg) if not name.startswith("_")} - NOT_ASKED
    functions = {name for name in workbench.salesforce.__all__ if name.startswith(("check_", "probe_"))}
    assert asked | ours | functions | {"connection.login"} == of
    assert {fault.kind for fault in FAULTS.values() if fault.kind} == KINDS
    assert all(outcomes.expected(name, fault) for name in OPERATIONS for fault in FAULTS)


def test_the_documented_tables_are_the_tested_ones() -> None:
    text = outcomes.DOCS.read_text(encoding="utf-8")
    for table in (outcomes.REQUESTS, outcomes.PROBE, outcomes.OTHERS):
        assert table.strip() in text
