"""The protocol explored exhaustively: every reachable state, no opt-out lost; and every broken variant is found."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from model import sync, worker
from model.__main__ import caught, figures
from model.explore import Explored, Model
from model.outside import tidy
from model.programme import LARGE, SMALL, VARIANTS, WRONG, Variant
from model.rules import NOW, Rules
from model.state import NOBODY, WORKER, Budget, Item, Setting, State

from workbench import resubscription
from workbench.store import leases
from workbench.store.database import Store

LEASE = timedelta(minutes=10)


def explored(setting: Setting, capsys: pytest.CaptureFixture[str]) -> Explored:
    """Everything reachable; the figures are printed, whatever comes of the test."""
    found = Model(setting).explore()
    with capsys.disabled():
        print(f"\n{figures(found)}")  # noqa: T201 - the figures are what the run is for
    return found


def check(found: Explored) -> None:
    """Nothing wrong anywhere, no state without a way to rest, and all kinds of ends were seen."""
    assert found.wrongs == {}, caught(found, "the engine")
    assert found.stuck() == []
    seen = {end.split(",")[0] for end in found.outcomes}
    assert seen == {Item.DONE, Item.ABORTED, Item.REFUSED}
    assert found.outcomes["DONE, opted out afterwards"]


def test_in_every_state_of_the_small_settings_no_opt_out_is_lost(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = []
    for setting in SMALL:
        found = explored(setting, capsys)
        check(found)
        sizes.append(len(found.states))
    assert sum(sizes) > 20_000


@pytest.mark.slow
def test_in_every_state_of_the_large_settings_no_opt_out_is_lost(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = []
    for setting in LARGE:
        found = explored(setting, capsys)
        check(found)
        sizes.append(len(found.states))
    assert sum(sizes) >= 600_000


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_a_broken_worker_is_found_by_what_it_does_wrong(variant: Variant) -> None:
    found = Model(variant.setting).explore()
    assert found.wrongs.keys() == variant.found
    for name, where in found.wrongs.items():
        assert name in WRONG
        trace = found.trace(where[0])
        assert found.states[where[0]] in list(followed(variant.setting, trace)), "the steps that are told lead there"


def test_the_engine_does_none_of_it_where_the_variants_do() -> None:
    for flags, budget in {(variant.setting.flags, variant.setting.budget) for variant in VARIANTS.values()}:
        assert Model(Setting(name="engine", flags=flags, budget=budget)).explore().wrongs == {}


def followed(setting: Setting, trace: list[str]) -> Iterator[State]:
    """The states that some steps lead to from the beginning; several where a step's name does not tell which request it means."""
    model, states = Model(setting), [setting.beginning()]
    for label in trace:
        states = [tidy(after) for s in states for name, after in model.steps(s) if name == label]
    yield from states


def test_variants_are_many_and_the_sentences_are_for_all() -> None:
    assert len(VARIANTS) >= 7
    assert worker.BROKEN.keys() == VARIANTS.keys()
    assert sum("lost" in variant.found for variant in VARIANTS.values()) >= 7


def test_a_counterexample_is_told_in_steps() -> None:
    variant = VARIANTS["no_quiet_period"]
    told = caught(Model(variant.setting).explore(), variant.does)
    assert "person: opts out on record 0 once more within the second" in told
    assert told.splitlines()[-1].endswith("worker: the run ends")


@pytest.mark.parametrize("step", sorted({*worker.STEPS.values(), *sync.STEPS.values()}))
def test_every_step_is_one_of_the_engine(step: str) -> None:
    parts = step.split(".")
    module = next(n for n in range(len(parts), 0, -1) if _is_module(".".join(parts[:n])))
    found: object = importlib.import_module(".".join(parts[:module]))
    for name in parts[module:]:
        found = getattr(found, name)
    assert callable(found)


def _is_module(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True


@pytest.mark.parametrize(
    ("rule", "instead", "wrong"),
    [
        ("before_closing", lambda *_, **__: None, "done_over_an_opt_out"),
        ("unsettled", lambda *_, **__: (), "lost"),
        ("still_to_opt_out", lambda *_: (), "aborted_and_not_opted_out"),
    ],
)
def test_another_rule_in_the_engine_is_another_model(
    rule: str, instead: object, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resubscription, rule, instead)
    budget = Budget(edits=1, opt_outs=1) if rule == "unsettled" else Budget(crashes=1, lost=1, opt_outs=1)
    assert wrong in Model(Setting(name=rule, flags=(True,), budget=budget)).explore().wrongs


def test_the_leases_of_the_model_are_those_of_the_register(tmp_path: Path) -> None:
    """Every sequence of up to four: either takes it, either gives it back (a worker ends with that), a crash, time passes."""
    store = Store(f"sqlite:///{tmp_path / 'register.db'}")
    store.upgrade()
    acts = ("worker takes", "worker releases", "crash", "sync takes", "sync releases", "time passes")
    with store.write() as tx:
        for number, sequence in enumerate(itertools.product(acts, repeat=4)):
            person, now, token = f"p{number}", NOW, -1
            s = Setting(name="", flags=(True,), budget=Budget()).beginning()
            for act in sequence:
                s = _in_the_model(s, act)
                now += 2 * LEASE if act == "time passes" else timedelta(0)
                if act in ("crash", "worker releases"):
                    token = -1
                if act.endswith("takes"):
                    holder = act.split()[0]
                    taken = leases.take(tx, [person], holder=holder, now=now, lasting=LEASE).get(person)
                    token = taken if holder == WORKER and token == -1 and taken is not None else token
                elif act.endswith("releases"):
                    leases.release(tx, holder=act.split()[0])
                held = person in leases.valid(tx, {person: token}, holder=WORKER, now=now)
                assert held == (s.holder == WORKER and not s.expired and s.worker.token == "mine"), (sequence, act)
                assert bool(leases.held(tx, [person], now=now)) == (s.holder != NOBODY and not s.expired), (sequence, act)
    store.close()


def _in_the_model(s: State, act: str) -> State:
    rules = Rules()
    if act == "time passes":
        return s._replace(expired=s.holder != NOBODY)
    if act == "crash":
        return s._replace(worker=worker.Memory())
    if act == "worker takes":
        return worker.Worker(rules).lease(s)
    if act == "sync takes":
        return sync.Sync(rules).lease(s)
    if act == "worker releases":
        return worker.Worker(rules).end(s)[1]
    return sync.Sync(rules).finish(s)[1]


def test_going_round_in_circles_would_be_noticed() -> None:
    found = Model(Setting(name="", flags=(True,), budget=Budget())).explore()
    found.sources.append(len(found.states) - 1)
    found.targets.append(0)
    with pytest.raises(ValueError, match="circles"):
        found.interleavings()
