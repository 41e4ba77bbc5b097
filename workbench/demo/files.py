"""The demo's input, written to a folder: Sales Connect's export, consents with their evidence, and the org's records."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from workbench.demo.askers import CONSENT_COLUMNS, Askers, gather
from workbench.demo.cast import ORG_RECORDS, PEOPLE_COLUMNS, PEOPLE_ROWS, Cast

SEED = 20261101
CHANGES_MIND = "changes-mind.txt"


@dataclass(frozen=True, kw_only=True)
class Input:
    """Where the demo's files lie, and whom it is about."""

    people: Path
    consents: Path
    evidence: Path
    batch: Path
    org: Path
    changes_mind: str  # the record of the person who opts out again while the batch runs


def write(folder: Path, now: datetime) -> Input:
    """Write the demo's input; the same seed and moment make the same files."""
    cast = Cast(SEED, now)
    asked = gather(cast)
    _disagreements(cast)
    cast.unusable_rows(24)
    cast.in_agreement(PEOPLE_ROWS - 20 - len(cast.rows), unsubscribed=False)
    cast.rows_twice(20)
    cast.only_in_org(ORG_RECORDS)
    return _written(folder, cast, asked)


def _disagreements(cast: Cast) -> None:
    cast.in_agreement(330, unsubscribed=True)
    cast.opted_out_only_in_salesforce(60)
    cast.unsubscribed_only_locally(45)
    cast.records_disagree(20)
    cast.never_syncs(40)
    cast.link_broken(15)
    cast.address_changed(12)
    cast.duplicate_addresses(8)
    cast.orphan_opt_outs(25)
    cast.fields_disagree(10)
    cast.origin_unknown(12)
    cast.cleared_by_somebody(6)


def _written(folder: Path, cast: Cast, asked: Askers) -> Input:
    evidence = folder / "evidence"
    evidence.mkdir(parents=True, exist_ok=True)
    for name, content in asked.evidence.items():
        (evidence / name).write_bytes(content)
    _csv(folder / "people.csv", PEOPLE_COLUMNS, cast.rows)
    _csv(folder / "consents.csv", CONSENT_COLUMNS, asked.consents)
    _csv(folder / "batch.csv", ("Person ID", "Email"), [{"Person ID": m.person_id, "Email": m.email} for m in asked.people])
    lines = (json.dumps(record, ensure_ascii=False) for record in cast.records)
    (folder / "org.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    if asked.changes_mind is None:
        raise RuntimeError("nobody changes their mind in this demo")
    (folder / CHANGES_MIND).write_text(str(asked.changes_mind.records[0]["id"]), encoding="utf-8")
    return named(folder)


def named(folder: Path) -> Input:
    """The input that was written to a folder before."""
    return Input(
        people=folder / "people.csv",
        consents=folder / "consents.csv",
        evidence=folder / "evidence",
        batch=folder / "batch.csv",
        org=folder / "org.jsonl",
        changes_mind=(folder / CHANGES_MIND).read_text(encoding="utf-8"),
    )


def _csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
