"""Asking an engine about every kind of mismatch in a snapshot."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from workbench.engines.dialects import Dialect, said_in
from workbench.engines.snapshot import Snapshot, read
from workbench.errors import InputError
from workbench.mismatch import KINDS
from workbench.store.mismatches import portable

LOCAL = re.compile(r"local(\[(\d+|\*)\])?")
CLUSTER = re.compile(r"[A-Za-z0-9.-]+:\d{1,5}")


class Engine(Protocol):
    """What is asked: it sees a snapshot's relations by their names, and answers SQL in its own dialect."""

    dialect: Dialect

    def keep(self, name: str, text: str) -> None:
        """Run a query once and have its rows at hand under a name."""

    def count(self, text: str) -> int:
        """How many rows a query has."""

    def rows(self, text: str) -> Sequence[tuple[str, str]]:
        """The rows of a query of two columns."""


def counts(address: str, folder: Path) -> dict[str, int]:
    """How many mismatches of each kind an engine finds in a snapshot; every kind is compared.

    Raises:
        InputError: the address names no engine, what it needs is not installed, or the folder holds no snapshot that it can read.
    """
    found = dict.fromkeys(KINDS, 0)
    with _asked(address, folder) as (engine, questions):
        for one in questions:
            found[one.kind] += engine.count(said_in(engine.dialect, one.text))
    return found


def findings(address: str, folder: Path, kinds: Collection[str] = tuple(KINDS)) -> dict[str, list[tuple[str, str]]]:
    """By kind, (person_id, record_id) of every mismatch that an engine finds in a snapshot, in order; "" where there is none.

    Raises:
        InputError: see `counts`.
    """
    found: dict[str, list[tuple[str, str]]] = {kind: [] for kind in kinds}
    with _asked(address, folder) as (engine, questions):
        for one in questions:
            if one.kind in found:
                found[one.kind] += engine.rows(said_in(engine.dialect, one.text))
    return {kind: sorted(rows) for kind, rows in found.items()}


@contextmanager
def _asked(address: str, folder: Path) -> Iterator[tuple[Engine, tuple[portable.Question, ...]]]:
    """The engine with the snapshot and its links at hand, and what it is to be asked."""
    begin = _engine(address)
    snapshot = read(folder)
    with begin(snapshot) as engine:
        engine.keep(portable.LINK, said_in(engine.dialect, portable.links()))
        yield engine, portable.questions(snapshot.own_users)


class _Begin(Protocol):
    def __call__(self, snapshot: Snapshot) -> AbstractContextManager[Engine]:
        """Start it on a snapshot."""


def _engine(address: str) -> _Begin:
    name, _, where = address.partition("://")
    if address == "duckdb://":
        from workbench.engines import duckdb

        return duckdb.begun
    if name == "spark" and (LOCAL.fullmatch(where) or CLUSTER.fullmatch(where)):
        from workbench.engines import spark

        return lambda snapshot: spark.begun(snapshot, master=where if LOCAL.fullmatch(where) else address)
    raise InputError("there is no such engine", "Engines: duckdb://, spark://local[2], spark://HOST:PORT.")
