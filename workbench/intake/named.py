"""Which people of the register a file names, for proposing them in a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from workbench.errors import InputError
from workbench.intake import columns
from workbench.intake.run import opened
from workbench.person import normalize_address
from workbench.store import people, suppression
from workbench.store.database import Store

NAMES: columns.Names = {"person": ("Person", "Person ID"), "email": ("Email", "Email ID", "Email Address", "Address")}


@dataclass(frozen=True)
class Named:
    """The people a file names, in its order and without doubles, and the lines that name nobody or several people."""

    person_ids: tuple[str, ...]
    unmatched: tuple[str, ...]


def people_in_file(store: Store, file: Path) -> Named:
    """Match each row by person id (ours or Sales Connect's), else by address; an address of several people is not guessed.

    Raises:
        InputError: the file can't be read as such a CSV, or names nobody at all.
    """
    source = opened(file, NAMES, None)
    found = columns.find(source.header, NAMES, mapping=None, one_of=("person", "email"))
    wanted = [
        (row.line, row.reason, found.read(row.cells, "person").strip(), found.read(row.cells, "email")) for row in source.rows()
    ]
    with store.read() as tx:
        by_id = people.ids_by_any_id(tx, [person for _, _, person, _ in wanted if person])
        kept_out = suppression.among(tx, [i for *_, person, email in wanted for i in (person, email)])
        by_address = people.ids_by_address(tx, [normalize_address(email) for *_, email in wanted if email])
    ids: dict[str, None] = {}
    unmatched = []
    for line, reason, person, email in wanted:
        matched = [by_id[person]] if person in by_id else by_address.get(normalize_address(email), [])
        if reason or len(matched) != 1:
            unmatched.append(f"Line {line}: {reason or _why(matched, kept_out=bool(kept_out & {person, email}))}.")
        else:
            ids[matched[0]] = None
    if not ids:
        raise InputError("the file names nobody whom the register has", "Check the addresses, or import the people first.")
    return Named(tuple(ids), tuple(unmatched))


def _why(matched: Sequence[str], *, kept_out: bool) -> str:
    if kept_out and not matched:
        return suppression.STAYS_OUT
    return f"{len(matched)} people share this address" if matched else "the register has nobody of this address or id"
