"""What is asked of an org: every operation of the client, set up so that each of its requests can go wrong alone.

An answer is compared with the one without a fault by what a decision would rest on: no times of answers, no counters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

from conftest import OPTED_OUT, contact_id, lead_id, org_line

from faults.planned import Planned
from workbench.org import (
    ConditionalClear,
    FieldChange,
    OrgAuthenticationError,
    OrgError,
    OrgPermissionError,
    OrgQuotaError,
    OrgRefusedError,
    OrgRow,
    OrgUnreachableError,
)
from workbench.person import salesforce_id_18
from workbench.salesforce import CheckLine, OrgCredentials, Patience, SalesforceOrg, bulk, check_org, probe_org, probe_record
from workbench.salesforce import org as door
from workbench.salesforce.probe import NAME as PROBE
from workbench.salesforce.replies import Request
from workbench.scratch_org.process import ScratchOrg, start_scratch_org

FIELD = "HasOptedOutOfEmail"
ADDRESS, MANY = "known@example.com", "many@example.com"
DELETED = salesforce_id_18(contact_id(2))
CONTACTS, LEADS_OF_MANY = 60, 2_010
OF_CELLS, FIRST_OF_CELLS = 240, 5_000  # contacts that may be changed in cells, each in one
CALLS, LOGINS = r"* ^/services/(data|oauth2/userinfo)", r"POST ^/services/oauth2/token"
MOST_BY_REST = 10  # instead of thousands of rows


class Hasty:
    """Timeouts that wait long for every answer but some: the answers of these sends, counted from 1, are given up soon."""

    def __init__(self) -> None:
        self.sent = 0
        self.given_up: set[int] | range = set()

    @property
    def connect(self) -> float:
        """How long a connection is waited for, in seconds; asked for once a send, and therefore what counts them."""
        self.sent += 1
        return 10.0

    @property
    def read(self) -> float:
        """How long the send under way waits for the next bytes of its answer, in seconds; asked for again while they come."""
        return 0.2 if self.sent in self.given_up else 60.0


@dataclass
class Bench:
    """A scratch org with some records, and clients in front of it that never really wait."""

    scratch: ScratchOrg
    key_file: Path
    username: str
    made: int = 0
    requests_seen: int = 0
    changes_seen: int = 0
    columns: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @contextmanager
    def client(self, login: str = "secret") -> Iterator[SalesforceOrg]:
        """A client that logs in by ``secret``, signed assertion (``key``), or has a ``token`` that it can renew by the secret."""
        by = {"client_id": self.scratch.client_id, "client_secret": self.scratch.client_secret}
        if login == "key":
            by = {"client_id": self.scratch.client_id, "username": self.username, "key_file": str(self.key_file)}
        if login == "token":
            by |= {"access_token": self.scratch.control("/tokens", {})["access_token"]}
        waits: list[float] = []
        patience = Patience(sleep=waits.append)
        credentials = OrgCredentials(url=self.scratch.url, **by)
        with closing(SalesforceOrg(credentials, timeouts=Hasty(), patience=patience)) as org:  # type: ignore[arg-type]
            org.waits = waits  # type: ignore[attr-defined]
            yield org

    def warm(self, org: SalesforceOrg) -> None:
        """A login, and the fields as another client had them described."""
        org.connection.login()
        if not self.columns:
            org.access()
            self.columns = org._columns
        org._columns = dict(self.columns)

    def contact(self, fault: Planned | None) -> str:
        """A contact that is not opted out; where somebody is to opt it out, one that was in no such cell yet."""
        self.made += bool(fault and fault.hook)
        return salesforce_id_18(contact_id(FIRST_OF_CELLS + (self.made if fault and fault.hook else 0)))

    def lead(self, *, opted_out: bool) -> str:
        """A new lead, as old as all the others."""
        values = {"LastName": "Example", "Email": "new@example.com", "Company": "Example", FIELD: opted_out}
        order = {"object": "Lead", "values": values, "at": OPTED_OUT.isoformat(), "user": "Marketing"}
        return str(self.scratch.control("/write", order)["id"])

    def flag(self, record_id: str, *, before: bool) -> bool:
        """A record's opt-out by the org's own ledger of changes; ``before`` where it has none."""
        changes = self.scratch.control(f"/changes?since={self.changes_seen}")["changes"]
        self.changes_seen = changes[-1]["number"] if changes else self.changes_seen
        mine = [c["new"] for c in changes if c["id"] == record_id]
        return bool(mine[-1]) if mine else before

    def requests(self) -> list[dict[str, Any]]:
        """The org's log of requests since it was looked at last."""
        log: list[dict[str, Any]] = self.scratch.control(f"/requests?since={self.requests_seen}")["requests"]
        self.requests_seen = log[-1]["number"] if log else self.requests_seen
        return log


@contextmanager
def benched(folder: Path) -> Iterator[Bench]:
    """A bench in a folder of its own."""
    from cryptography.hazmat.primitives import serialization as s
    from cryptography.hazmat.primitives.asymmetric import rsa

    lines = [org_line("Contact", contact_id(n), f"c{n}@example.com", opted_out=n % 2 == 1) for n in range(2, CONTACTS)]
    lines.append(org_line("Contact", contact_id(1), ADDRESS, opted_out=True))
    mine = range(FIRST_OF_CELLS, FIRST_OF_CELLS + OF_CELLS)
    lines += [org_line("Contact", contact_id(n), f"c{n}@example.com", opted_out=False) for n in mine]
    lines += [org_line("Lead", lead_id(n), MANY, opted_out=False) for n in range(LEADS_OF_MANY)]
    (folder / "org.jsonl").write_text("\n".join(lines), encoding="utf-8")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    key_file = folder / "server.key"
    key_file.write_bytes(key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption()))
    public = key.public_key().public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo).decode()
    with start_scratch_org(data=folder / "org.jsonl", clock=datetime.now(UTC) - timedelta(minutes=3)) as scratch:
        scratch.control("/bulk", {"polls": 0})
        scratch.control("/delete", {"object": "Contact", "id": DELETED})
        scratch.control("/clock", {"advance": 180})
        yield Bench(scratch, key_file, scratch.control("/credentials", {"public_key": public})["username"])


Ask = Callable[[SalesforceOrg, str], Any]


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One operation: what is asked about a victim's record, and which of its requests the faults are meant for.

    ``of`` names what it stands for: a method of the client, or a function beside it. ``kind`` and ``opted_out`` describe the
    victim's record, which is new in every cell. ``warm`` is done before, without a fault:
    unless it says otherwise, a login, and the fields are known.
    """

    of: str
    ask: Ask
    on: str = CALLS
    contains: str = ""
    kind: str = "Contact"
    opted_out: bool = False
    login: str = "secret"
    warm: Callable[[SalesforceOrg], Any] | None = None
    among: tuple[int, ...] = ()
    """Which of the requests that ``on`` fits have the text, counted from 0, where ``contains`` names one."""
    pages_of: int = 0
    """Rows of a page where it is to be a Bulk job."""

    @contextmanager
    def sized(self) -> Iterator[None]:
        """Bulk jobs for a few rows already, where the operation is to be one."""
        if not self.pages_of:
            yield
            return
        with mock.patch.object(door, "MOST_BY_REST", MOST_BY_REST), mock.patch.object(bulk, "PAGE", self.pages_of):
            yield  # the real paths with fewer rows


def _known(record_id: str, victim: str) -> str:
    """Whose record it is; "" for those of other cells."""
    mine = "xx" in record_id and int(record_id[5:15]) < FIRST_OF_CELLS
    return "the victim" if record_id == victim else record_id if mine else ""


def _flags(rows: Iterable[OrgRow], victim: str) -> Any:
    return sorted((who, row.opted_out) for row in rows if (who := _known(row.record_id, victim)))


def _words(changes: Iterable[FieldChange], victim: str) -> Any:
    return sorted((who, c.new is True, c.by) for c in changes if (who := _known(c.record_id, victim)))


def _pulled(org: SalesforceOrg, victim: str) -> Any:
    return _flags((row for page in org.pull("Contact") for row in page), victim)


def _history(org: SalesforceOrg, victim: str) -> Any:
    return _words((change for page in org.pull_history("Contact") for change in page), victim)


def _read(org: SalesforceOrg, victim: str) -> Any:
    reading = org.read(record_ids=[victim], addresses=[ADDRESS], history=True)
    return _flags(reading.rows, victim), _words(reading.history, victim), reading.missing


def _rows(org: SalesforceOrg, victim: str) -> Any:
    return _flags((row for page in org.rows("Contact", [victim]) for row in page), victim)


def _many(org: SalesforceOrg, _: str) -> int:
    return len(org.read(record_ids=[], addresses=[MANY], history=False).rows)


def _changes(org: SalesforceOrg, victim: str) -> Any:
    found = org.changes("Contact", since=datetime.now(UTC) - timedelta(hours=1))
    return victim in found.updated, DELETED in found.deleted


def _cleared(org: SalesforceOrg, victim: str) -> str:
    write = ConditionalClear(record_id=victim, object="Lead", fields=(FIELD,), unmodified_since=OPTED_OUT)
    (answer,) = org.clear([write])
    return answer.outcome


def _opted_out(org: SalesforceOrg, victim: str) -> str:
    (answer,) = org.opt_out([("Lead", victim)])
    return answer.outcome


def _lines(lines: Iterable[CheckLine]) -> tuple[bool, ...]:
    return tuple(line.ok for line in lines)


KEPT_IN = ("Trail_Checkpoint__c", "Note__c")

LEFT: set[str] = set()
"""Leads that probes of earlier cells had to leave, and named."""


def _probe(org: SalesforceOrg, _: str) -> tuple[bool, ...]:
    lines = probe_org(org)
    query = f"SELECT Id FROM Lead WHERE LastName = '{PROBE}'"
    request = Request(what="looking for leads of probes", path="query/", params={"q": query})
    left = {record["Id"] for record in org.connection.ask(request, lambda reply: reply.body["records"])} - LEFT
    assert len(left) <= 1, "more than one lead was left"
    sentences = [line.sentence for line in lines if not line.ok]
    assert all(any(PROBE in text or record in text for text in sentences) for record in left), "a lead was left and nobody told"
    LEFT.update(left)
    return _lines(lines)


def _probe_one(org: SalesforceOrg, victim: str) -> tuple[bool, ...]:
    return _lines(probe_record(org, victim))


OPERATIONS: dict[str, Operation] = {
    "log in": Operation(of="connection.login", ask=lambda org, _: bool(org.connection.login()), on=LOGINS, warm=repr),
    "log in, signed": Operation(
        of="connection.login", ask=lambda org, _: bool(org.connection.login()), on=LOGINS, warm=repr, login="key"
    ),
    "identity": Operation(of="identity", ask=lambda org, _: org.identity()),
    "identity, token": Operation(of="identity", ask=lambda org, _: org.identity(), login="token", on="* /userinfo$"),
    "access": Operation(of="access", ask=lambda org, _: org.access(), on="* /sobjects/(Lead|Contact)/describe$"),
    "describe": Operation(of="describe", ask=lambda org, _: len(org.describe("Contact")["fields"])),
    "usage": Operation(of="usage", ask=lambda org, _: org.usage().allowed, warm=lambda org: org.count("Contact")),
    "budget": Operation(of="keep_within_budget", ask=lambda org, _: org.keep_within_budget()),
    "read": Operation(of="read", ask=_read),
    "read, page 2": Operation(of="read", ask=_many, on=r"* /query(All)?/01g"),
    "rows": Operation(of="rows", ask=_rows),
    "count": Operation(of="count", ask=lambda org, _: org.count("Contact") >= CONTACTS),
    "changes": Operation(of="changes", ask=_changes, warm=lambda org: org.count("Contact")),
    "pull": Operation(of="pull", ask=_pulled),
    "begin pull": Operation(of="begin_pull", ask=lambda org, _: bool(org.begin_pull("Contact").job), pages_of=100),
    "bulk job": Operation(of="pull", ask=_pulled, on=r"* /jobs/query$", pages_of=100),
    "bulk wait": Operation(of="pull", ask=_pulled, on=r"* /jobs/query/\w+$", pages_of=100),
    "bulk pages": Operation(of="pull", ask=_pulled, on=r"* /jobs/query/\w+/results$", pages_of=100),
    "history": Operation(of="pull_history", ask=_history),
    "history pages": Operation(of="pull_history", ask=_history, on=r"* /jobs/query/\w+/results$", pages_of=20),
    "clear": Operation(of="clear", ask=_cleared, kind="Lead", opted_out=True),
    "opt out": Operation(of="opt_out", ask=_opted_out, kind="Lead"),
    "keep text": Operation(of="keep_text", ask=lambda org, _: bool(org.keep_text(*KEPT_IN, text="kept"))),
    "kept texts": Operation(of="kept_texts", ask=lambda org, _: set(org.kept_texts(*KEPT_IN))),
    # without the questions for what an org may lack or hide (person accounts, consent), and the limits, an operation of their own
    "check": Operation(
        of="check_org",
        ask=lambda org, _: _lines(check_org(org)),
        on=r"* ^/services/data(?!.*(limits|consent|Account)|/v[\d.]+/$)",
    ),
    "check, time": Operation(of="check_org", ask=lambda org, _: _lines(check_org(org)), on=r"* ^/services/data/v[\d.]+/$"),
    "probe, making": Operation(of="probe_org", ask=_probe, on="POST /sobjects/Lead$"),
    "probe, reading": Operation(of="probe_org", ask=_probe, on="POST /composite$", contains="queryAll", among=(0, 2, 4, 5)),
    "probe, clearing": Operation(of="probe_org", ask=_probe, on="POST /composite$", contains="PATCH", among=(1, 3)),
    "probe, reading one": Operation(
        of="probe_record", ask=_probe_one, kind="Lead", opted_out=True, on="POST /composite$", contains="queryAll", among=(0, 2)
    ),
    "probe, writing one": Operation(
        of="probe_record", ask=_probe_one, kind="Lead", opted_out=True, on="POST /composite$", contains="PATCH", among=(1, 3)
    ),
    "probe, deleting": Operation(of="probe_org", ask=_probe, on="DELETE /sobjects/Lead/"),
}


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What became of one operation: its answer or error, and what it cost."""

    answer: Any
    sent: int
    logins: int
    drawn: int
    waits: tuple[float, ...]
    written: bool
    """Whether the org's own ledger says that the victim's opt-out is as the operation wanted it."""
    positions: tuple[int, ...]
    """Of the requests that the faults are meant for, among all that were sent; counted from 1."""


def carry_out(
    bench: Bench, operation: Operation, fault: Planned | None = None, *, at: int = 1, times: int = 1, position: int = 1
) -> Seen:
    """The operation once, with a fault at its ``at``-th request (and ``times`` - 1 after it; 0: and at all after it)."""
    victim = bench.lead(opted_out=operation.opted_out) if operation.kind == "Lead" else bench.contact(fault)
    with bench.client(operation.login) as org, operation.sized():
        (operation.warm or bench.warm)(org)
        bench.requests()
        if fault:
            plan(bench, operation, fault, victim, at=at, times=times)
        if fault and fault.slow:
            hasty = org.connection._timeouts
            hasty.sent, hasty.given_up = 0, range(position, position + times if times else 10_000)
        try:
            answer: Any = operation.ask(org, victim)
        except OrgError as error:
            answer = error
        bench.scratch.control("/faults", {"clear": True})
        written = operation.kind == "Lead" and bench.flag(victim, before=operation.opted_out) == (operation.of == "opt_out")
        return _seen(answer, bench.requests(), operation.on, org.waits, written=written)  # type: ignore[attr-defined]


def plan(bench: Bench, operation: Operation, fault: Planned, victim: str, *, at: int, times: int) -> None:
    """Plan a fault, or a change of the victim by somebody else, at a request of an operation."""
    matcher = {"on": operation.on, "nth": at, "times": times, "contains": operation.contains}
    if not fault.hook:
        bench.scratch.control("/faults", {"plan": [{"kind": fault.kind, **matcher, **fault.options}]})
        return
    order = {"object": operation.kind, "id": victim, "user": "Preference Centre"}
    if fault.options.get("late"):
        order["at"] = (datetime.now(UTC) - timedelta(minutes=5)).isoformat(timespec="seconds")
    first = {"write": order | {"values": {FIELD: False}}}
    bench.scratch.control("/hooks", {fault.hook: matcher, "do": [first, {"write": order | {"values": {FIELD: True}}}]})


def _seen(answer: Any, log: list[dict[str, Any]], on: str, waits: list[float], *, written: bool) -> Seen:
    method, _, path = on.partition(" ")
    mine = [n for n, e in enumerate(log, start=1) if method in ("*", e["method"]) and re.search(path, e["path"])]
    logins = [e for e in log if re.search(LOGINS.partition(" ")[2], e["path"])]
    return Seen(
        answer=answer,
        sent=len(mine),
        positions=tuple(mine),
        logins=len(logins),
        drawn=sum(bool(e["faults"]) for e in log),
        waits=tuple(waits),
        written=written,
    )


def places(operation: Operation, usual: Seen) -> tuple[int, ...]:
    """The positions of the requests that the faults are meant for, in order."""
    return tuple(usual.positions[n] for n in operation.among) or usual.positions


WORDS = {
    OrgUnreachableError: "unreachable",
    OrgAuthenticationError: "auth",
    OrgQuotaError: "quota",
    OrgPermissionError: "permission",
    OrgRefusedError: "refused",
}


def word(operation: Operation, seen: Seen, usual: Seen) -> str:
    """What became of an operation in the words of the tables, compared with how it usually goes."""
    if isinstance(seen.answer, OrgError):
        return WORDS[type(seen.answer)]
    if seen.answer != usual.answer:
        return _other(operation, seen)
    if not seen.written and usual.written:
        return "kept"
    if seen.logins > usual.logins and operation.on != LOGINS:
        return "login"
    extra = seen.sent - usual.sent
    return "-" if not extra else "again" if extra == 1 else "anew"


def _other(operation: Operation, seen: Seen) -> str:
    if isinstance(seen.answer, str):
        return f"{seen.answer}, written" if seen.answer == "unknown" and seen.written else seen.answer
    return "told" if operation.of in ("check_org", "probe_org", "probe_record") and not all(seen.answer) else "seen"
