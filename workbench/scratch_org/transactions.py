"""Long transactions of other users: begun, holding their record, visible to nobody until they commit.

As in Salesforce the stamps of such a write are those of its beginning, so it turns up late with an earlier time; and
latestDateCovered of getUpdated and getDeleted never goes beyond the oldest one that is still open.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .describe import ObjectType
from .records import Author, Records


@dataclass(frozen=True)
class Pending:
    """A write that was begun but not committed; ``author.at`` is when it began."""

    kind: ObjectType
    record_id: str
    values: dict[str, Any]
    author: Author


@dataclass
class Transactions:
    """The open ones by their numbers; a restart of the org ends them without a trace."""

    open: dict[int, Pending] = field(default_factory=dict)
    last: int = 0

    def begin(self, pending: Pending) -> int:
        """Hold a record for a write to come.

        Raises:
            ValueError: another open transaction holds it.
        """
        if self.holds(pending.record_id):
            raise ValueError(f"{pending.record_id} is held by another transaction")
        self.last += 1
        self.open[self.last] = pending
        return self.last

    def commit(self, number: int, records: Records) -> dict[str, list[bool]]:
        """Write what was begun; returns the opt-out fields with [old, new].

        Raises:
            KeyError: there is no such open transaction.
        """
        pending = self.open.pop(number)
        return records.change(pending.kind, pending.record_id, pending.values, pending.author)

    def holds(self, record_id: str) -> bool:
        """Whether an open transaction holds a record."""
        return any(p.record_id == record_id for p in self.open.values())

    def covered(self, end: datetime) -> datetime:
        """Up to when all changes are known: not beyond the beginning of an open transaction."""
        return min([end, *(p.author.at for p in self.open.values() if p.author.at)])
