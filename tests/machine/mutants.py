"""Workbenches that are wrong on purpose, as patches of the real one: the machine has to find every one of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from workbench.bench.comparing import Comparing
from workbench.bench.reviewing import Reviewing
from workbench.store import schema as s


def forgetful_import(patch: pytest.MonkeyPatch) -> None:
    """A people file that says "not unsubscribed" ends the unsubscribes of whom it names."""
    original = Reviewing.import_people

    def import_people(self: Any, file: Any, **options: Any) -> Any:
        result = original(self, file, **options)
        lines = file.read_text(encoding="utf-8").splitlines()[1:]
        for address in [line.partition(",")[0] for line in lines if ",no," in line]:
            with self.store.write() as tx:
                _close(tx, self, sa.select(s.person.c.person_id).where(s.person.c.email == address))
        return result

    patch.setattr(Reviewing, "import_people", import_people)


def two_way_sync(patch: pytest.MonkeyPatch) -> None:
    """A sync that also carries over that somebody is not opted out in Salesforce."""
    original = Comparing.sync

    def sync(self: Any, **options: Any) -> Any:
        record, link = s.org_record, s.link
        clear = sa.select(link.c.person_id).join(record, record.c.record_id == link.c.record_id).where(~record.c.opted_out)
        with self.store.write() as tx:
            _close(tx, self, clear)
        return original(self, **options)

    patch.setattr(Comparing, "sync", sync)


def _close(tx: Any, wb: Any, person_ids: Any) -> None:
    still_open = s.unsubscribe.c.closed_at.is_(None) & s.unsubscribe.c.person_id.in_(person_ids)
    tx.execute(sa.update(s.unsubscribe).where(still_open).values(closed_at=wb.clock()))
    copies = sa.update(s.person).where(s.person.c.person_id.in_(person_ids))
    tx.execute(copies.values(unsubscribed_at=None, unsubscribe_source=None))


MUTANTS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {patch.__name__: patch for patch in (forgetful_import, two_way_sync)}
