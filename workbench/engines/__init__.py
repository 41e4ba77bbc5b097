"""The comparison of both systems where the data already is: a snapshot in Parquet, and an engine that is asked the register's own queries.

The queries come from `store.mismatches`, as text; sqlglot says them in the engine's dialect. An address is ``duckdb://`` (in this
process), ``spark://local[2]`` (in this computer's Spark, so many threads) or ``spark://host:7077`` (a cluster that sees the folder).
"""

from workbench.engines.asking import counts, findings
from workbench.engines.snapshot import read, write

__all__ = ["counts", "findings", "read", "write"]
