"""When a person opted out, on either side, as far as the records tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from workbench.eligibility.case import Case, instant
from workbench.org import FieldChange, OrgRow


@dataclass(frozen=True, kw_only=True)
class OptOut:
    """One opt-out: its moment in whole seconds, the id of the episode or org record, and who set it, where known.

    ``exact`` is false where only an upper bound is known: a record that is opted out, with no history of that change, was
    opted out at its LastModifiedDate at the latest.
    """

    at: datetime
    record_id: str
    in_salesforce: bool
    exact: bool = True
    by: str = ""


def opt_outs(case: Case) -> tuple[OptOut, ...]:
    """Every opt-out of the case: open and closed episodes, every change to opted out, and rows whose history is silent."""
    return (*in_register(case), *in_history(case), *without_history(case))


def latest_opt_out(case: Case) -> OptOut | None:
    """The opt-out that a consent has to be later than; of two in one second the one whose time is not exact."""
    return max(opt_outs(case), key=lambda found: (found.at, not found.exact), default=None)


def in_register(case: Case) -> Iterator[OptOut]:
    """The episodes, closed ones too: a consent from before an earlier opt-out was used up by it."""
    for episode in case.unsubscribes:
        yield OptOut(at=instant(episode.opted_out_at), record_id=episode.unsubscribe_id, in_salesforce=False)


def in_history(case: Case) -> Iterator[OptOut]:
    """The changes to opted out, also of records that were converted or merged away; an unreadable new value may be one."""
    for change in case.history:
        if change.new is not False:
            yield as_opt_out(change)


def without_history(case: Case) -> Iterator[OptOut]:
    """The fields that are set now although the history's last word is another, or there is none."""
    for row in case.opted_out_rows:
        for name, value in row.opt_outs.items():
            if value and last_change(case.history, row, name) is None:
                at = instant(row.last_modified_date)
                yield OptOut(at=at, record_id=row.record_id, in_salesforce=True, exact=False)


def standing(case: Case) -> Iterator[OptOut]:
    """The change that set each field which is set now, or its upper bound where the history is silent."""
    for row in case.opted_out_rows:
        for name, value in row.opt_outs.items():
            if value and (change := last_change(case.history, row, name)):
                yield as_opt_out(change)
    yield from without_history(case)


def last_change(history: Iterable[FieldChange], row: OrgRow, name: str) -> FieldChange | None:
    """The change that made a set field set: the latest one, if it says so. Within one second the order is undefined.

    None where the last word is that the field was cleared, or there is none: it was set at an unknown time, the row's
    LastModifiedDate at the latest.
    """
    changes = [change for change in history if change.record_id == row.record_id and change.field == name]
    latest = max((instant(change.at) for change in changes), default=None)
    return next((change for change in changes if instant(change.at) == latest and change.new is not False), None)


def as_opt_out(change: FieldChange) -> OptOut:
    """A history row as an opt-out."""
    return OptOut(at=instant(change.at), record_id=change.record_id, in_salesforce=True, by=change.by.strip())
