"""Real parts for tests: a workspace with its register, bound to a real scratch org over HTTP, and people on both sides."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import postgresql_server
import pytest

from workbench.bench import Workbench
from workbench.person import Person, new_id, normalize_address
from workbench.scratch_org.process import ScratchOrg, start_scratch_org
from workbench.store import people

LONG_AGO = datetime(2026, 1, 15, 9, 0, tzinfo=UTC)
OPTED_OUT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CONSENTED = datetime(2026, 6, 1, 10, 30, tzinfo=UTC)
CONTROLLER = "Example GmbH"


@pytest.fixture(autouse=True, scope="session")
def _no_keyring() -> Iterator[None]:
    """Tests must not write into the keyring of whoever runs them, nor use their workspace or credentials."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_NO_KEYRING", "1")
        for name in (
            "HOME",
            "CLOCK",
            "CLIENT_ID",
            "CLIENT_SECRET",
            "ACCESS_TOKEN",
            "USERNAME",
            "PASSWORD",
            "SECURITY_TOKEN",
            "JWT_KEY_FILE",
        ):
            patch.delenv(f"WORKBENCH_{name}", raising=False)
        yield


@pytest.fixture(autouse=True, scope="session")
def _ctrl_c() -> None:
    """A shell ignores Ctrl-C for what it runs in the background, and so would every process that a test interrupts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass
class World:
    """A scratch org and a workspace bound to it; `lead` and `contact` ids are known before the org starts."""

    folder: Path
    org: ScratchOrg
    wb: Workbench

    def person(self, address: str, **values: Any) -> str:
        """A person in the register, unsubscribed since OPTED_OUT unless ``unsubscribed=False``; returns the id."""
        unsubscribed, ids = values.pop("unsubscribed", True), values.pop("salesforce_ids", ())
        person_id = new_id()
        who = Person(
            person_id=person_id, email=normalize_address(address), email_as_given=address, version=1, salesforce_ids=tuple(ids)
        )
        with self.wb.store.write() as tx:
            people.add(tx, who, at=LONG_AGO)
            if unsubscribed:
                people.unsubscribe(
                    tx,
                    person_id,
                    opted_out_at=OPTED_OUT,
                    source="clicked_link",
                    detail="",
                    recorded_at=OPTED_OUT,
                    recorded_by="import",
                )
        return person_id

    def consent(self, person_id: str, **values: Any) -> str:
        """A sound consent of CONSENTED with evidence; returns its id."""
        from workbench import Evidence

        form = self.folder.parent / f"form-{person_id}.pdf"
        form.write_bytes(b"%PDF-1.7 signed by " + person_id.encode())
        given = {
            "given_at": CONSENTED,
            "purpose": "sales_email",
            "method": "paper",
            "notice_text": "Please send me your newsletter again.",
            "notice_version": "2026-05",
            "language": "en",
            "jurisdiction": "GB",
        }
        return self.wb.record_consent(person=person_id, evidence=[Evidence.from_file(form)], **(given | values)).consent_id

    def flags(self, *record_ids: str) -> dict[str, bool]:
        """The opt-out of org records as another client reads it now."""
        reading = self.wb.org.read(record_ids=record_ids, addresses=[], history=False)
        return {r.record_id: r.opted_out for r in reading.rows}

    def requests(self) -> list[dict[str, Any]]:
        """The org's own log of API requests."""
        return list(self.org.control("/requests")["requests"])


def org_line(object: str, record_id: str, email: str, *, opted_out: bool, **fields: Any) -> str:
    """One record for a scratch org's data file; opted out at OPTED_OUT by a user named Marketing, with history."""
    at = (OPTED_OUT if opted_out else LONG_AGO).isoformat()
    stamps = {"CreatedDate": LONG_AGO.isoformat(), "LastModifiedDate": at, "SystemModstamp": at, "LastModifiedById": "Marketing"}
    change = {"field": "HasOptedOutOfEmail", "old": False, "new": True, "at": at, "by": "Marketing"}
    record = {"object": object, "id": record_id, "Email": email, "LastName": "Person", "HasOptedOutOfEmail": opted_out, **stamps}
    if object == "Lead":
        record["Company"] = "Example"
    return json.dumps(record | fields | ({"history": [change]} if opted_out else {}))


def lead_id(number: int) -> str:
    """A valid 15-character Lead id."""
    return f"00Qxx{number:010d}"


def contact_id(number: int) -> str:
    """A valid 15-character Contact id."""
    return f"003xx{number:010d}"


@contextmanager
def worlds(folder: Path) -> Iterator[Callable[..., World]]:
    """A function that makes a World in this folder from lines for the org's data file; what it made is stopped at the end."""
    made: list[World] = []

    def make(*lines: str, policy: str = "", database: bool = False) -> World:
        data = folder / "org.jsonl"
        data.write_text("\n".join(lines), encoding="utf-8")
        org = start_scratch_org(data=data, database=folder / "org.db" if database else None)
        register = postgresql_server.server().create() if postgresql_server.wanted() else ""
        wb = Workbench.init(folder / "workspace", name="test", url=org.url, controller=CONTROLLER, database=register)
        if policy:
            path = folder / "workspace" / "policy.toml"
            path.write_text(f'controller = "{CONTROLLER}"\n{policy}', encoding="utf-8")
            wb.close()
            wb = Workbench.open(folder / "workspace")
        made.append(World(folder / "workspace", org, wb))
        return made[-1]

    try:
        yield make
    finally:
        for one in made:
            one.wb.close()
            one.org.stop()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Callable[..., World]]:
    """`worlds` in the test's own folder."""
    with worlds(tmp_path) as make:
        yield make


HOUR = timedelta(hours=1)
