"""Batches: propose, approve, run, go on, undo."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from workbench import views
from workbench.bench.opened import Opened
from workbench.consent import Consent
from workbench.store import batches, people

if TYPE_CHECKING:
    import pandas as pd

    from workbench.bench.opened import Listener
    from workbench.proposal import Plan
    from workbench.worker import Outcome


class Batching(Opened):
    """The Workbench's part about batches."""

    def propose(self, chosen: pd.DataFrame | Sequence[str], *, consents: Sequence[Consent] | None = None, reason: str) -> Plan:
        """Plan a batch: a dry run in full, stored as proposed. People by a table with person_id, or by ids or addresses.

        Raises:
            InputError, BatchError, NotAllowedError, OrgError: see `proposal.propose`; nothing was stored.
        """
        from workbench import proposal

        return proposal.propose(self._desk, self._ids(chosen), given=consents, reason=reason)

    def check(self, chosen: pd.DataFrame | Sequence[str], *, consents: Sequence[Consent] | None = None, reason: str) -> Plan:
        """What a batch of these people would look like, by the rules and a fresh reading; nothing is proposed.

        Raises:
            InputError, NotAllowedError, OrgError: as `propose`.
        """
        from workbench import proposal

        return proposal.propose(self._desk, self._ids(chosen), given=consents, reason=reason, keep=False)

    def _ids(self, chosen: pd.DataFrame | Sequence[str]) -> list[str]:
        named = [str(person) for person in getattr(chosen, "person_id", chosen)]
        with self.store.read() as tx:
            return [people.find(tx, n).person_id if "@" in n else n for n in named]

    def plan(self, batch_id: str) -> Plan:
        """The plan of a batch as it is stored."""
        from workbench import proposal

        return proposal.plan_of(self._desk, batch_id)

    def approve(self, batch_id: str, digest: str) -> None:
        """Approve the plan that the digest names.

        Raises:
            BatchError: it can't be approved; the sentence says why.
        """
        from workbench import proposal

        proposal.approve(self._desk, batch_id, digest)

    def cancel(self, batch_id: str) -> None:
        """Give up a batch that nobody is on the way in."""
        from workbench import proposal

        proposal.cancel(self._desk, batch_id)

    def run(self, batch_id: str, *, progress: Listener | None = None, stop: threading.Event | None = None) -> Outcome:
        """Run an approved batch, or go on with one; running a finished one again changes nothing.

        Raises:
            BatchError: it can't run now. OrgError, StoreError: it paused; `resume` goes on without loss.
        """
        from workbench import worker

        return worker.run(self._desk, batch_id, listener=progress, stop=stop)

    def resume(self, batch_id: str, *, progress: Listener | None = None, stop: threading.Event | None = None) -> Outcome:
        """Go on with a batch that was paused or whose process died; the same as `run`."""
        return self.run(batch_id, progress=progress, stop=stop)

    def undo(self, batch_id: str) -> Outcome:
        """Opt the batch's people out again on both sides; for administrators."""
        from workbench import worker

        return worker.undo(self._desk, batch_id)

    def batches(self) -> pd.DataFrame:
        """All batches, newest first, with the columns `views.BATCHES`."""
        with self.store.read() as tx:
            return views.batches_table(tx)

    def batch_items(self, batch_id: str) -> pd.DataFrame:
        """The people of a batch and how each stands, with the columns `views.ITEMS`."""
        with self.store.read() as tx:
            return views.items_table(tx, batches.get(tx, batch_id).batch_id)

    def worklist(self, batch_id: str) -> pd.DataFrame:
        """What the Sales Connect administrator does by hand after a batch, with the columns `views.WORKLIST`."""
        with self.store.read() as tx:
            return views.worklist(tx, batch_id)
