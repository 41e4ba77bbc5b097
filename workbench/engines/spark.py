"""Spark: the comparison on a cluster that sees the snapshot's folder, or in so many threads of this computer."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from workbench.engines.dialects import Dialect
from workbench.engines.installed import needs
from workbench.engines.snapshot import OLD, Snapshot
from workbench.errors import InputError

LOCAL_PARTS = "8"
"""Into how many parts joined rows are shared out on one computer; Spark's own 200 are meant for clusters."""
LOCAL_MEMORY = "2g"
"""Of Java on one computer; Spark's own is 1g, of which it keeps a part to itself."""


class Spark:
    """A session of Spark; see `asking.Engine`."""

    dialect: Dialect = "spark"

    def __init__(self, session: Any) -> None:
        self._session = session

    def keep(self, name: str, text: str) -> None:
        """Run a query once and have its rows at hand under a name."""
        self._session.sql(text).cache().createOrReplaceTempView(name)

    def count(self, text: str) -> int:
        """How many rows a query has."""
        return int(self._session.sql(text).count())

    def rows(self, text: str) -> Sequence[tuple[str, str]]:
        """The rows of a query of two columns."""
        return [(str(one), str(other)) for one, other in self._session.sql(text).collect()]


@contextmanager
def begun(snapshot: Snapshot, *, master: str) -> Iterator[Spark]:
    """Spark on a snapshot; ``master`` is where, in Spark's words (``local[2]``, ``spark://host:7077``).

    Raises:
        InputError: Spark or Java is not installed, or it can't read the snapshot.
    """
    needs("pyspark", "Install it: pip install 'compliance-workbench[engines]' 'pyspark>=4.1,<5'.")
    if not (os.environ.get("JAVA_HOME") or shutil.which("java")):
        raise InputError(
            "Spark needs Java, and there is none here", "Install it (on Debian: apt-get install default-jre-headless)."
        )
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    local = master.startswith("local")
    with tempfile.TemporaryDirectory(prefix="workbench-") as spill:
        builder = SparkSession.builder.appName("workbench").master(master)
        settings = {"spark.ui.enabled": "false", "spark.sql.session.timeZone": "UTC", "spark.log.level": "OFF"}
        if local:
            here = "127.0.0.1"  # both: what listens here only is not found under the computer's other address
            settings |= {"spark.driver.bindAddress": here, "spark.driver.host": here}
            settings |= {
                "spark.local.dir": spill,
                "spark.sql.shuffle.partitions": LOCAL_PARTS,
                "spark.driver.memory": LOCAL_MEMORY,
            }
            # Spark judges by the packed size what may be given to every thread whole, and ends where it does not fit: it is to sort instead.
            settings |= {"spark.sql.autoBroadcastJoinThreshold": "-1"}
        for name, value in settings.items():
            builder = builder.config(name, value)
        try:
            session = builder.getOrCreate()
        except (PySparkException, Py4JError) as error:
            raise InputError(
                f"Spark could not be started ({type(error).__name__})", "Run the command again with --debug to see why."
            ) from error
        try:
            for name in snapshot.rows:
                session.read.parquet(snapshot.file(name).absolute().as_uri()).createOrReplaceTempView(name)
            yield Spark(session)
        except (PySparkException, Py4JError) as error:
            raise InputError(f"Spark could not compare the snapshot ({type(error).__name__})", OLD) from error
        finally:
            session.stop()
