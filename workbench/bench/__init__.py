"""Workbench: one operator, register, org, clock and trail; every use case is a method.

Notebooks, the command line and reports go through this and nothing else. A method says what it does in the operator's words and
leaves how to the rooms below; times are read once a use case.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from workbench.bench.batching import Batching
from workbench.bench.comparing import Comparing
from workbench.bench.consenting import Consenting
from workbench.bench.erasing import Erasing
from workbench.bench.keeping import Keeping
from workbench.bench.opened import trail_writer
from workbench.bench.reviewing import Reviewing
from workbench.errors import StoreError
from workbench.org import OPT_OUT_FIELD
from workbench.settings import find_workspace, named_after, read_settings, whoami, write_new
from workbench.store import operators, trail_log
from workbench.store.database import Store
from workbench.trail import events

if TYPE_CHECKING:
    from workbench.backup import Backup
    from workbench.reports import IssuedReport

__all__ = ["Workbench"]


class Workbench(Reviewing, Consenting, Batching, Comparing, Erasing, Keeping):
    """What one operator works with in one workspace. Use it as a context manager, or `close` it."""

    @classmethod
    def open(cls, workspace: str | Path | None = None) -> Self:
        """Open the workspace named, or WORKBENCH_HOME, or the nearest one from here upwards; the operator is who is logged in.

        Raises:
            WorkspaceError: there is none.
            SettingsError: its files say something that they may not.
        """
        return cls(read_settings(find_workspace(workspace)), whoami())

    @classmethod
    def init(
        cls,
        folder: str | Path,
        *,
        name: str = "",
        kind: str = "scratch",
        url: str = "",
        controller: str = "",
        opt_out_fields: Sequence[str] = (OPT_OUT_FIELD,),
        database: str = "",
    ) -> Self:
        """Make a new workspace; whoever makes it becomes its first administrator.

        ``database``: the address of an empty PostgreSQL database (postgresql://…); without it the register is a file in the folder.

        Raises:
            WorkspaceError: the folder already is one.
            StoreError: the database can't be reached, or holds a register already.
        """
        folder = Path(folder).resolve()
        if database:
            _check_empty(database)
        write_new(
            folder,
            name=name or named_after(folder),
            kind=kind,
            url=url,
            controller=controller,
            opt_out_fields=opt_out_fields,
            database=database,
        )
        settings, operator = read_settings(folder), whoami()
        store = Store(settings.database)
        store.upgrade()
        trail = trail_writer(store, settings, operator)
        with store.write() as tx:
            signer = trail.signer
            trail_log.remember_vkey(tx, signer.vkey.text)
            created = events.WorkspaceCreated(product_version=_version(), vkey=signer.vkey.text, key_kept_in=signer.kept_in)
            trail.append(tx, created)
            for role in ("admin", "analyst"):
                operators.grant(tx, operator.name, role, by=operator.name, at=settings.clock())
                trail.append(tx, events.OperatorGranted(operator=operator.name, role=role))
            trail.checkpoint(tx)
        store.close()
        return cls(settings, operator)

    @classmethod
    def restore(cls, file: str | Path, folder: str | Path) -> Backup:
        """Unpack a backup into a folder that does not exist yet, give up its open batches, and say so on its trail.

        Nothing is approved in it before `confirm_restored`. See `backup.restore` and `restoring.begin`.

        Raises:
            InputError, StoreError: see `backup.restore`; nothing was written.
        """
        from workbench import backup, restoring

        def finish(unpacked: Path, made: Backup) -> None:
            with cls.open(unpacked) as wb:
                restoring.begin(wb._desk, made_at=made.made_at, sha256=made.sha256)

        return backup.restore(Path(file), Path(folder).absolute(), finish=finish)

    def report(self, name: str, **parameters: Any) -> IssuedReport:
        """Run a report and seal it: executed notebook and HTML in the workspace's issued/ folder, digest on the trail.

        Raises:
            ReportError: no such report, parameters that don't fit it, or a run that failed.
        """
        from workbench import reports

        return reports.run(self, name, parameters)


def _check_empty(database: str) -> None:
    store = Store(database)
    try:
        if store.holds_a_register():
            raise StoreError(
                "this database already holds a register",
                "Name an empty one; another workspace on the same register is a copy of the first one's folder.",
            )
    finally:
        store.close()


def _version() -> str:
    from workbench import __version__

    return __version__
