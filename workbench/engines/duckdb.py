"""DuckDB: the comparison in this process, on every core, on files larger than the memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from workbench.engines.dialects import Dialect
from workbench.engines.installed import needs
from workbench.engines.snapshot import OLD, Snapshot
from workbench.errors import InputError


class DuckDB:
    """A connection to a database in memory; see `asking.Engine`."""

    dialect: Dialect = "duckdb"

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def keep(self, name: str, text: str) -> None:
        """Run a query once and have its rows at hand under a name."""
        self._connection.sql(text).create(name)

    def count(self, text: str) -> int:
        """How many rows a query has."""
        return int(self._connection.sql(text).count("*").fetchall()[0][0])

    def rows(self, text: str) -> Sequence[tuple[str, str]]:
        """The rows of a query of two columns."""
        return [(str(one), str(other)) for one, other in self._connection.sql(text).fetchall()]


@contextmanager
def begun(snapshot: Snapshot) -> Iterator[DuckDB]:
    """DuckDB on a snapshot; what does not fit into memory goes to a folder of its own that is removed at the end.

    Raises:
        InputError: it is not installed, or can't read the snapshot.
    """
    needs("duckdb")
    import duckdb

    with tempfile.TemporaryDirectory(prefix="workbench-") as spill:
        # Nothing is fetched from anywhere: extensions that are not part of the package stay away.
        settings: dict[str, Any] = {
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "temp_directory": spill,
        }
        connection = duckdb.connect(":memory:", config=settings)
        try:
            for name in snapshot.rows:
                connection.read_parquet(str(snapshot.file(name))).create_view(name)
            yield DuckDB(connection)
        except duckdb.Error as error:
            raise InputError(f"DuckDB could not compare the snapshot ({type(error).__name__})", OLD) from error
        finally:
            connection.close()
