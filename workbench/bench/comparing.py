"""Both systems side by side: reading Salesforce, mismatches, forecast, the nightly sync, follow-up."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from workbench import views
from workbench.bench.opened import Opened
from workbench.errors import InputError
from workbench.mismatch import KINDS
from workbench.said import said
from workbench.store import mismatches, operators

if TYPE_CHECKING:
    import pandas as pd

    from workbench.bench.opened import Listener
    from workbench.engines.snapshot import Snapshot
    from workbench.mismatch import KindAges
    from workbench.nightly import SyncResult
    from workbench.pull import PullResult
    from workbench.push import Push


class Comparing(Opened):
    """The Workbench's part about register against Salesforce."""

    def pull(self, *, full: bool = False, progress: Listener | None = None) -> PullResult:
        """Read Salesforce: what changed since the last time, or everything.

        Raises:
            OrgError: it can't be read; the register keeps what it knew.
        """
        from workbench.pull import pull

        return pull(self._desk, full=full, listener=progress)

    def mismatches(self, kind: str | None = None, *, refresh: bool = False, resolved: bool = False) -> pd.DataFrame:
        """Where register and Salesforce disagree, with the columns `views.MISMATCHES`; ``refresh`` reads Salesforce first.

        ``resolved`` shows those that are over instead of those that are open.

        Raises:
            InputError: there is no such kind.
        """
        if kind is not None and kind not in KINDS:
            raise InputError(said("there is no such kind of mismatch"), said("Use one of: {kinds}.", kinds=", ".join(KINDS)))
        if refresh:
            self.pull()
        with self.store.read() as tx:
            return views.mismatches_table(mismatches.list_(tx, kind=kind, resolved=resolved), now=self.clock())

    def mismatch_counts(self) -> pd.DataFrame:
        """Open mismatches by kind: kind, open, oldest_business_days, over_limit."""
        with self.store.read() as tx:
            return views.counts_table(tx, self._desk)

    def mismatch_ages(self) -> tuple[KindAges, ...]:
        """Open mismatches by kind and age, in the classes of `mismatch.age_classes` for the policy's limit; kinds without any are left out."""
        with self.store.read() as tx:
            return mismatches.ages(tx, now=self.clock(), limit=self.policy.honour_within_business_days)

    def snapshot(self, folder: str | Path) -> Snapshot:
        """Write what a comparison by an engine needs (`workbench.engines`) to a new folder: Parquet, without names and addresses.

        Raises:
            NotAllowedError: the operator has no role.
            InputError: the folder exists or can't be written, or pyarrow is not installed.
        """
        from workbench.engines import write

        with self.store.read() as tx:
            operators.require_any(tx, self.operator, what="a snapshot of the register")
            return write(tx, Path(folder).absolute(), at=self.clock())

    def forecast(self) -> pd.DataFrame:
        """What tonight's sync would do: person_id, record_id, action (unsubscribe_person or opt_out_record), why."""
        with self.store.read() as tx:
            return views.frame([vars(c) for c in mismatches.forecast(tx)], ("person_id", "record_id", "action", "why"))

    def sync(self, *, dry_run: bool = False, cap: int | None = None) -> SyncResult:
        """The nightly sync: either linked side opted out, both are. Only ever writes opt-outs.

        Raises:
            OrgError: Salesforce can't be read. WorkbenchError: more changes than the cap allows; nothing was written.
        """
        from workbench import nightly

        return nightly.sync(self._desk, dry_run=dry_run, cap=cap)

    def push(self, person: str) -> Push:
        """Opt out the Salesforce records of somebody who was unsubscribed here, at once; the next sync does what this can't.

        Raises:
            InputError: nobody, or several people are named so. OrgError: Salesforce can't be read or written.
        """
        from workbench.push import push

        return push(self._desk, person)

    def follow_up(self) -> pd.DataFrame:
        """Look at everybody resubscribed again: intent_id, person_id, outcome (held, relapsed), cause."""
        from workbench import nightly

        return views.frame([vars(f) for f in nightly.follow_up(self._desk)], ("intent_id", "person_id", "outcome", "cause"))
