"""A scratch org with invented people and a workspace on it, for the tests of panels and notebooks; nothing in it is real."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from workbench.bench import Workbench
from workbench.person import salesforce_id_18
from workbench.scratch_org import ScratchOrg, start_scratch_org

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
OPTED_OUT = datetime(2026, 5, 4, 10, tzinfo=UTC)
HOSTILE = "<img src=x onerror=alert(1)>"
FORMULA = "=HYPERLINK(0)"


def invented(number: int) -> list[dict[str, str]]:
    """People for the register: two with names that attack, the rest plain; every third has no Salesforce record."""
    people = []
    for n in range(number):
        people.append(
            {
                "First Name": HOSTILE if n == 0 else f"First{n}",
                "Last Name": f"Last{n:03d}",
                "Company": FORMULA if n == 1 else f"Company {n % 7}",
                "Email ID": f"person{n:03d}@example.{('com', 'org', 'net')[n % 3]}",
                "Salesforce ID": "" if n % 3 == 2 else salesforce_id_18(f"00QPAN0000{n:05d}"),
                "Unsubscribed": "no" if n % 10 == 9 else "yes",
                "Unsubscribed At": "" if n % 10 == 9 else f"{OPTED_OUT + timedelta(hours=n):%Y-%m-%dT%H:%M:%SZ}",
                "Unsubscribe Source": "" if n % 10 == 9 else ("clicked_link", "manual")[n % 2],
            }
        )
    return people


@contextmanager
def opened(
    folder: Path, *, number: int = 130, people: list[dict[str, str]] | None = None
) -> Iterator[tuple[Workbench, ScratchOrg]]:
    """A workspace whose register holds ``people`` (else ``number`` invented ones), on a scratch org with those who have an id."""
    people = invented(number) if people is None else people
    leads = [_lead(p) for p in people if p["Salesforce ID"]]
    (folder / "org.jsonl").write_text("\n".join(json.dumps(lead) for lead in leads), encoding="utf-8")
    with (folder / "people.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, people[0])
        writer.writeheader()
        writer.writerows(people)
    with start_scratch_org(data=folder / "org.jsonl", clock=NOW) as org:
        org.control("/clock", {"at": NOW.isoformat(), "frozen": True})
        with Workbench.init(folder / "workspace", kind="scratch", url=org.url, controller="Example Ltd") as wb:
            result = wb.import_people(folder / "people.csv")
            assert (result.imported, result.rejected) == (len(people), 0), result.problems
            yield wb, org


def _lead(person: dict[str, str]) -> dict[str, object]:
    out = person["Unsubscribed"] == "yes"
    at = person["Unsubscribed At"]
    history = [{"field": "HasOptedOutOfEmail", "old": False, "new": True, "at": at, "by": "Web Form"}] if out else []
    return {
        "object": "Lead",
        "Id": person["Salesforce ID"],
        "FirstName": person["First Name"],
        "LastName": person["Last Name"],
        "Company": person["Company"],
        "Email": person["Email ID"],
        "HasOptedOutOfEmail": out,
        "CreatedDate": "2026-01-04T10:00:00Z",
        "LastModifiedDate": at or "2026-01-04T10:00:00Z",
        "history": history,
    }
