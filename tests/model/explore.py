"""Visits every reachable state breadth first, and counts: states, steps, interleavings, end states and what is wrong in them."""

from __future__ import annotations

import gc
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from model.outside import Outside, tidy
from model.rules import Rules
from model.state import Item, Setting, State, Step
from model.sync import Sync
from model.worker import Worker


@dataclass
class Explored:
    """The whole graph of a setting. ``ends`` are the numbers of the states at rest, ``wrongs`` what is wrong, by state."""

    setting: Setting
    states: list[State] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    parents: array[int] = field(default_factory=lambda: array("q", [-1]))
    by: array[int] = field(default_factory=lambda: array("q", [-1]))
    sources: array[int] = field(default_factory=lambda: array("q"))
    targets: array[int] = field(default_factory=lambda: array("q"))
    ends: list[int] = field(default_factory=list)
    wrongs: dict[str, list[int]] = field(default_factory=dict)
    outcomes: Counter[str] = field(default_factory=Counter)

    def trace(self, number: int) -> list[str]:
        """The steps of a shortest way to a state."""
        steps = []
        while self.parents[number] >= 0:
            steps.append(self.labels[self.by[number]])
            number = self.parents[number]
        return steps[::-1]

    def interleavings(self) -> int:
        """In how many orders of steps an end state is reached: paths from the beginning to every state at rest.

        Raises:
            ValueError: a run can go round in circles.
        """
        order = self._in_order()
        ways = [0] * len(self.states)
        ways[0] = 1
        starts = self._starts()
        for number in order:
            for edge in range(starts[number], starts[number + 1]):
                ways[self.targets[edge]] += ways[number]
        return sum(ways[number] for number in self.ends)

    def _starts(self) -> list[int]:
        starts = [0] * (len(self.states) + 1)
        for source in self.sources:
            starts[source + 1] += 1
        for number in range(len(self.states)):
            starts[number + 1] += starts[number]
        return starts

    def _in_order(self) -> list[int]:
        waiting = [0] * len(self.states)
        for target in self.targets:
            waiting[target] += 1
        starts, order = self._starts(), [0]
        for number in order:
            for edge in range(starts[number], starts[number + 1]):
                waiting[self.targets[edge]] -= 1
                if not waiting[self.targets[edge]]:
                    order.append(self.targets[edge])
        if len(order) != len(self.states):
            raise ValueError("a run goes round in circles")
        return order

    def stuck(self) -> list[int]:
        """The states from which nothing comes to rest any more."""
        reaches = bytearray(len(self.states))
        for number in self.ends:
            reaches[number] = 1
        starts = self._starts()
        for number in reversed(self._in_order()):
            if not reaches[number]:
                reaches[number] = any(reaches[self.targets[e]] for e in range(starts[number], starts[number + 1]))
        return [number for number, good in enumerate(reaches) if not good]


class Model:
    """Worker, sync and the outside together."""

    def __init__(self, setting: Setting, rules: Rules | None = None) -> None:
        self.setting, self.rules = setting, rules or Rules()
        self.worker = Worker(self.rules, setting.broken)
        self.sync = Sync(self.rules, setting.broken)
        self.outside = Outside(setting, self.worker, self.sync)

    def steps(self, s: State) -> Iterator[Step]:
        """Every step that can come next."""
        yield from self.worker.steps(s)
        yield from self.sync.steps(s)
        yield from self.outside.steps(s)

    def explore(self, most: int = 5_000_000) -> Explored:
        """Visit everything. Raises: ValueError beyond ``most`` states."""
        gc.disable()  # millions of small tuples and not one circle: looking for circles would take most of the time
        try:
            return self._explore(most)
        finally:
            gc.enable()

    def _explore(self, most: int) -> Explored:
        found = Explored(self.setting)
        beginning = self.setting.beginning()
        known = {beginning: 0}
        found.states.append(beginning)
        names: dict[str, int] = {}
        for number, state in enumerate(found.states):
            if number > most:
                raise ValueError(f"more than {most} states")
            self._look_at(found, number, state)
            for label, following in self.steps(state):
                after = tidy(following)
                self._watch(found, state, after, label)
                target = known.setdefault(after, len(found.states))
                if target == len(found.states):
                    found.states.append(after)
                    found.parents.append(number)
                    found.by.append(names.setdefault(label, len(names)))
                found.sources.append(number)
                found.targets.append(target)
        found.labels = list(names)
        return found

    def _watch(self, found: Explored, before: State, after: State, label: str) -> None:
        """Only a clear that the worker sent ever takes an opt-out back."""
        if before.rows is not after.rows and not label.startswith("org: clears"):
            for old, new in zip(before.rows, after.rows, strict=True):
                if old.flag and not new.flag:
                    raise AssertionError(f"{label} took an opt-out back")

    def _look_at(self, found: Explored, number: int, s: State) -> None:
        for wrong in s.wrong:
            found.wrongs.setdefault(wrong, []).append(number)
        if s.at_rest:
            found.ends.append(number)
            found.outcomes[outcome(s)] += 1
            for wrong in self.wrong_at_rest(s):
                found.wrongs.setdefault(wrong, []).append(number)

    def wrong_at_rest(self, s: State) -> Iterator[str]:
        """What must not be when nothing is under way: then the nightly sync runs once more, and an opt-out has to stand."""
        flags = [row.flag for row in s.rows]
        if s.item == Item.ABORTED and not (all(flags) and s.unsubscribed):
            yield "aborted_and_not_opted_out"
        if s.item == Item.DONE and not (s.spoke or s.repeated or self.setting.budget.syncs) and (any(flags) or s.unsubscribed):
            yield "half_done"
        out = s.unsubscribed or any(flags)
        if (s.spoke or s.repeated) and not out:
            yield "lost"
        if s.item != Item.DONE and self.setting.undisturbed:
            yield "turned_back_for_nothing"
        if s.spoke and out and self.rules.eligible(tuple(r._replace(flag=True) for r in s.rows), s.older, s.newer):
            yield "consent_usable_again"


def outcome(s: State) -> str:
    """How a person stands at rest, before another sync."""
    out = s.unsubscribed or any(row.flag for row in s.rows)
    if s.item == Item.DONE:
        return "DONE" if not out else "DONE, opted out afterwards" if s.spoke else "DONE, opted out by a late write of ours"
    return f"{s.item}, an opt-out spoke" if s.spoke or s.repeated else str(s.item)
