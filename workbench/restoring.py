"""What a restored register may not do: resubscribe anybody on what it knew before opt-outs that it no longer knows."""

from __future__ import annotations

from datetime import datetime

from workbench.desk import Desk
from workbench.errors import NotAllowedError, StoreError
from workbench.store import operators, records, restores
from workbench.store.restores import Restored
from workbench.trail import events, leaf_time
from workbench.worker import GivenUp, give_up


def begin(desk: Desk, *, made_at: datetime, sha256: str) -> GivenUp:
    """Say on the restored trail that it is one, give up every open batch, and note that nothing is approved until `confirm`.

    ``made_at`` (UTC) and ``sha256`` are the backup's.
    """
    with desk.store.write() as tx:
        restores.note(tx, Restored(made_at=made_at, restored_at=desk.clock()))
        desk.trail.append(tx, events.BackupRestored(made_at=leaf_time(made_at), sha256=sha256))
        desk.trail.checkpoint(tx, required=False)
    return give_up(desk)


def confirm(desk: Desk) -> Restored:
    """An administrator's word that what was received since the backup is entered; batches can be approved again.

    Raises:
        NotAllowedError: the operator is no administrator.
        StoreError: there is nothing to confirm, or Salesforce was not read whole since the restore.
    """
    with desk.store.write() as tx:
        if "admin" not in operators.roles(tx, desk.operator.name):
            raise NotAllowedError("only an administrator confirms that a restored register is complete")
        restored = restores.pending(tx)
        if restored is None:
            raise StoreError("this register was not restored, or that was confirmed already", "There is nothing to do.")
        whole = records.last_snapshot(tx, kind="full")
        if whole is None or whole.started_at < restored.restored_at:
            raise StoreError("Salesforce was not read whole since the restore", "Run `workbench org pull --full` first.")
        restores.confirm(tx)
        desk.trail.append(tx, events.RestoreConfirmed(made_at=leaf_time(restored.made_at)))
        desk.trail.checkpoint(tx)
    return restored
