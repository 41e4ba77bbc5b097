"""A snapshot: the rows that a comparison needs as Parquet files in a folder of their own, written in portions.

Names, companies and addresses are not in it. Of an address there is a digest under a key that is thrown away when the snapshot is
written: equal addresses are still equal, and nobody can tell from it which address it was, nor compare two snapshots.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

from workbench.engines.installed import needs
from workbench.errors import InputError
from workbench.store import records
from workbench.store.database import Transaction
from workbench.store.mismatches import portable

FORM = "workbench-snapshot/1"
MANIFEST = "snapshot.json"
PORTION = 20_000
"""Rows that are held as Python's values at once."""
GROUP = 6 * PORTION
"""Rows of one part of a file; engines share a file out by these."""
DIGEST = 16  # bytes: of a thousand million addresses no two are likely to be taken for each other
OLD = "Write a new one with `workbench store snapshot DIR`."


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What lies in a folder: the moment it is of (UTC), the org users that we log in as, each relation's file and number of rows."""

    folder: Path
    at: datetime
    own_users: frozenset[str]
    rows: dict[str, int]

    def file(self, relation: str) -> Path:
        """Where a relation's rows are."""
        return self.folder / f"{relation}.parquet"


def write(tx: Transaction, folder: Path, *, at: datetime) -> Snapshot:
    """Write a snapshot of the register as ``tx`` sees it to a new folder, which appears when it is whole. Files are the owner's alone.

    Raises:
        InputError: the folder exists or can't be written; pyarrow is not installed.
    """
    needs("pyarrow")
    if folder.exists():
        raise InputError(f"the folder {folder.name} exists already", "Name a folder that does not exist yet.")
    beside = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    hidden = _digest_under(secrets.token_bytes(32))
    try:
        beside.mkdir(mode=0o700, parents=True)
        rows = {one.name: _written(tx, one, beside / f"{one.name}.parquet", hidden) for one in portable.relations()}
        made = Snapshot(folder=folder, at=at, own_users=records.own_users(tx), rows=rows)
        with _new(beside / MANIFEST) as out:
            out.write(json.dumps(_manifest(made), indent=2).encode())
        beside.rename(folder)
    except OSError as error:
        raise InputError(f"the folder {folder.name} can't be written ({error.strerror})", "Name another one.") from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return made


def read(folder: Path) -> Snapshot:
    """What lies in a folder.

    Raises:
        InputError: no snapshot is there, or one that lacks what this version compares.
    """
    try:
        said = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        found = Snapshot(
            folder=folder,
            at=datetime.fromisoformat(said["at"]),
            own_users=frozenset(map(str, said["own_users"])),
            rows={str(name): int(one["rows"]) for name, one in said["relations"].items()},
        )
        form, columns = said["form"], {name: one["columns"] for name, one in said["relations"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"the folder {folder.name} holds no snapshot of a register", OLD) from None
    if form != FORM or columns != {one.name: one.columns for one in portable.relations()}:
        raise InputError("the snapshot was written by another version of the workbench", OLD)
    if not all(found.file(name).is_file() for name in found.rows):
        raise InputError("a file of the snapshot is missing", OLD)
    return found


def _manifest(made: Snapshot) -> dict[str, Any]:
    relations = {one.name: {"rows": made.rows[one.name], "columns": one.columns} for one in portable.relations()}
    return {"form": FORM, "at": made.at.isoformat(), "own_users": sorted(made.own_users), "relations": relations}


def _digest_under(key: bytes) -> Callable[[str], str]:
    """Addresses as what only tells whether two are the same; none stays none."""

    def hidden(address: str) -> str:
        if not address:
            return ""
        return blake2b(address.encode("utf-8", "surrogatepass"), key=key, digest_size=DIGEST).hexdigest()

    return hidden


@contextmanager
def _new(path: Path) -> Iterator[Any]:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        yield out


def _written(tx: Transaction, relation: portable.Relation, path: Path, hidden: Callable[[str], str]) -> int:
    """Write one relation; how many rows it has."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    fields = {"text": pa.string(), "address": pa.string(), "truth": pa.bool_(), "instant": pa.timestamp("us", "UTC")}
    schema = pa.schema([(name, fields[kind]) for name, kind in relation.columns.items()])
    count = 0
    with ExitStack() as stack:
        writer = stack.enter_context(ParquetWriter(stack.enter_context(_new(path)), schema, compression="zstd"))
        waiting: list[Any] = []
        for rows in portable.portions(tx, relation, PORTION):
            columns = zip(relation.columns.values(), zip(*rows, strict=True), strict=True)
            arrays = [_array(kind, values, hidden) for kind, values in columns]
            waiting.append(pa.record_batch(arrays, schema=schema))
            count += len(rows)
            if len(waiting) * PORTION >= GROUP:
                writer.write_table(pa.Table.from_batches(waiting))
                waiting = []
        writer.write_table(pa.Table.from_batches(waiting, schema))
    return count


def _array(kind: portable.Kind, values: Sequence[Any], hidden: Callable[[str], str]) -> Any:
    """A column as Arrow's, from what the database's driver gave."""
    import pyarrow as pa

    if kind == "address":
        return pa.array([hidden(value) for value in values], pa.string())
    if kind == "truth":
        return pa.array([None if value is None else bool(value) for value in values], pa.bool_())
    if kind == "text":
        return pa.array(values, pa.string())
    moments = pa.timestamp("us", "UTC")
    if any(isinstance(value, datetime) for value in values):
        return pa.array(values, moments)
    return pa.array(values, pa.string()).cast(moments)
