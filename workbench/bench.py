"""Workbench: one operator, register, org, clock and trail; every use case is a method.

Notebooks, the command line and reports go through this and nothing else. A method says what it does in the operator's words and
leaves how to the rooms below; times are read once a use case.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from workbench import views
from workbench.audit import Audit
from workbench.consent import Consent, Evidence
from workbench.desk import Desk
from workbench.errors import InputError, NotAllowedError
from workbench.evidence import EvidenceStore
from workbench.org import OPT_OUT_FIELD, OrgIdentity
from workbench.person import UNSUBSCRIBE_SOURCES
from workbench.policy import Policy
from workbench.settings import Operator, Settings, find_workspace, read_settings, whoami, write_new
from workbench.signing import load_or_create_signer
from workbench.store import batches, consents, mismatches, operators, people, review, trail_log
from workbench.store.database import Store
from workbench.store.review import Page
from workbench.store.trail_log import TrailWriter
from workbench.trail import events, leaf_time

if TYPE_CHECKING:
    import pandas as pd

    from workbench.health import Banner, HealthLine
    from workbench.intake import ImportResult, Named
    from workbench.nightly import SyncResult
    from workbench.proposal import Plan
    from workbench.pull import PullResult
    from workbench.reports import IssuedReport
    from workbench.salesforce import SalesforceOrg
    from workbench.views import PersonCard
    from workbench.worker import Outcome, Progress

    Listener = Callable[[Progress], None]


T = TypeVar("T")


class Workbench(AbstractContextManager["Workbench"]):
    """What one operator works with in one workspace. Use it as a context manager, or `close` it."""

    def __init__(self, settings: Settings, operator: Operator) -> None:
        """Open a workspace's register as this operator; `Workbench.open` finds both.

        Raises:
            StoreError: the register can't be opened or has another version.
            TrailError: the key that signs the trail is missing or can't be read.
        """
        self.settings = settings
        self._who = operator
        self.store = Store(settings.database)
        self.store.check_version()
        self._desk = Desk(
            folder=settings.folder,
            store=self.store,
            connect=lambda: self.org,
            evidence=EvidenceStore(settings.evidence_folder),
            policy=settings.policy,
            trail=_writer(self.store, settings, operator),
            clock=settings.clock,
            operator=operator,
        )
        self.trail = Audit(self._desk)

    def __repr__(self) -> str:
        return f"Workbench({self.settings.name}, {self.settings.org.kind} org)"

    @classmethod
    def open(cls, workspace: str | Path | None = None) -> Self:
        """Open the workspace named, or WORKBENCH_HOME, or the nearest one from here upwards; the operator is who is logged in.

        Raises:
            WorkspaceError: there is none.
            SettingsError: its files say something that they may not.
        """
        return cls(read_settings(find_workspace(workspace)), whoami())

    @classmethod
    def init(
        cls,
        folder: str | Path,
        *,
        name: str = "",
        kind: str = "scratch",
        url: str = "",
        controller: str = "",
        opt_out_fields: Sequence[str] = (OPT_OUT_FIELD,),
    ) -> Self:
        """Make a new workspace; whoever makes it becomes its first administrator.

        Raises:
            WorkspaceError: the folder already is one.
        """
        folder = Path(folder).resolve()
        write_new(folder, name=name or "register", kind=kind, url=url, controller=controller, opt_out_fields=opt_out_fields)
        settings, operator = read_settings(folder), whoami()
        store = Store(settings.database)
        store.upgrade()
        trail = _writer(store, settings, operator)
        with store.write() as tx:
            signer = trail.signer
            trail_log.remember_vkey(tx, signer.vkey.text)
            created = events.WorkspaceCreated(product_version=_version(), vkey=signer.vkey.text, key_kept_in=signer.kept_in)
            trail.append(tx, created)
            for role in ("admin", "analyst"):
                operators.grant(tx, operator.name, role, by=operator.name, at=settings.clock())
                trail.append(tx, events.OperatorGranted(operator=operator.name, role=role))
            trail.checkpoint(tx)
        store.close()
        return cls(settings, operator)

    @cached_property
    def org(self) -> SalesforceOrg:
        """Salesforce, one connection for this workbench; logs in at its first operation."""
        from workbench.credentials import credentials_for
        from workbench.salesforce import SalesforceOrg

        return SalesforceOrg(credentials_for(self.settings.org), opt_out_fields=self.settings.org.opt_out_fields)

    def close(self) -> None:
        """Give sockets and database connections back."""
        if "org" in vars(self):
            self.org.close()
        self.store.close()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def workspace(self) -> Path:
        """The workspace's folder."""
        return self.settings.folder

    @property
    def policy(self) -> Policy:
        """The organisation's rules, as read when the workspace was opened."""
        return self.settings.policy

    @property
    def operator(self) -> str:
        """Who is at the keyboard."""
        return self._who.name

    @property
    def roles(self) -> frozenset[str]:
        """What the operator may do: any of analyst, admin, auditor."""
        with self.store.read() as tx:
            return operators.roles(tx, self.operator)

    def clock(self) -> datetime:
        """What time it is here, UTC."""
        return self._desk.clock()

    # Reviewing

    def people(
        self,
        *,
        unsubscribed: bool | None = None,
        source: str | None = None,
        text: str | None = None,
        domain: str | None = None,
        salesforce: str | None = None,
        mismatch: str | None = None,
        consent: bool | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        person_ids: Sequence[str] | None = None,
        limit: int | None = None,
    ) -> pd.DataFrame:
        """People who fit all filters, one row each, with the columns `views.PEOPLE`.

        ``salesforce`` is opted_out, opted_in or no_record; ``mismatch`` a kind; ``consent`` whether one is on file.

        Raises:
            InputError: a filter's value is not one that it knows.
        """
        given = {name: value for name, value in locals().items() if name not in ("self", "limit") and value is not None}
        with self.store.read() as tx:
            return views.people_table(tx, given, limit=limit)

    def review_page(
        self,
        filters: Mapping[str, Any],
        *,
        sort: str,
        descending: bool,
        after: str | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> Page:
        """One page of the people grid; see `store.review.page`."""
        with self.store.read() as tx:
            return review.page(tx, filters, sort=sort, descending=descending, after=after, before=before, limit=limit)

    def review_count(self, filters: Mapping[str, Any]) -> int:
        """How many people fit the filters."""
        with self.store.read() as tx:
            return review.count(tx, filters)

    def person(self, named: str) -> PersonCard:
        """Everything about the person whom an address or id names.

        Raises:
            InputError: nobody, or several people share the address.
        """
        with self.store.read() as tx:
            return views.card(tx, named)

    # Taking in

    def import_people(self, file: str | Path, *, mapping: Mapping[str, str] | None = None, dry_run: bool = False) -> ImportResult:
        """Import people from a CSV file; idempotent, and never erases an opt-out.

        Raises:
            InputError: the file can't be read as such a CSV; nothing was changed.
        """
        from workbench.intake import import_people

        return self._sealed(import_people(self.store, Path(file), mapping=mapping, dry_run=dry_run, **self._intake()))

    def import_unsubscribes(
        self, file: str | Path, *, mapping: Mapping[str, str] | None = None, dry_run: bool = False
    ) -> ImportResult:
        """Import unsubscribes from a CSV file; only ever adds.

        Raises:
            InputError: the file can't be read as such a CSV; nothing was changed.
        """
        from workbench.intake import import_unsubscribes

        return self._sealed(import_unsubscribes(self.store, Path(file), mapping=mapping, dry_run=dry_run, **self._intake()))

    def import_consents(
        self, file: str | Path, evidence_dir: str | Path, *, mapping: Mapping[str, str] | None = None, dry_run: bool = False
    ) -> ImportResult:
        """Import consents from a CSV file, one row a person, evidence by file name in a folder.

        Raises:
            InputError, EvidenceError: file or folder can't be used; nothing was changed.
        """
        from workbench.intake import import_consents

        imported = import_consents(
            self.store,
            self._desk.evidence,
            Path(file),
            evidence_dir=Path(evidence_dir),
            mapping=mapping,
            dry_run=dry_run,
            defaults={"controller": self.policy.controller},
            **self._intake(append_event=lambda tx, event, person: self._desk.trail.append(tx, event, person_id=person or None)),
        )
        return self._sealed(imported)

    def _sealed(self, result: T) -> T:
        """What a use case answered, once the events it appended are under a signed checkpoint."""
        with self.store.write() as tx:
            self._desk.trail.checkpoint(tx)
        return result

    def _intake(self, **more: Any) -> dict[str, Any]:
        self._require("analyst", "admin")
        return {"operator": self.operator, "now": self.clock(), "append_event": self._desk.trail.append} | more

    def people_in_file(self, file: str | Path) -> Named:
        """The person ids that a CSV's ids or addresses name, and the lines that name nobody or several people.

        Raises:
            InputError: the file can't be read, or names nobody.
        """
        from workbench.intake import people_in_file

        return people_in_file(self.store, Path(file))

    def unsubscribe(self, person: str, *, source: str = "manual", detail: str = "") -> None:
        """Unsubscribe one person in the register; always allowed, also while a batch runs: it wins.

        Raises:
            InputError: nobody is named so, or the source is unknown.
        """
        if source not in UNSUBSCRIBE_SOURCES:
            raise InputError("an unsubscribe has no such source", f"Use one of: {', '.join(UNSUBSCRIBE_SOURCES)}.")
        now = self.clock()
        with self.store.write() as tx:
            person_id = people.find(tx, person).person_id
            episode = people.unsubscribe(
                tx, person_id, opted_out_at=now, source=source, detail=detail, recorded_at=now, recorded_by=self.operator
            )
            event = events.UnsubscribeRecorded(unsubscribe_id=episode, opted_out_at=leaf_time(now), source=source, detail=detail)
            self._desk.trail.append(tx, event, person_id=person_id)
            mismatches.refresh(tx, now=now)
            self._desk.trail.checkpoint(tx)

    # Consents

    def record_consent(self, *, person: str, evidence: Sequence[Evidence], **fields: Any) -> Consent:
        """Record a consent with its evidence files; the fields are those of `Consent`.

        Raises:
            InputError: nobody is named so, or a field's value is not one that a consent can have.
            EvidenceError: a file can't be stored; nothing was recorded.
        """
        from workbench.recording import record_consent

        with self.store.read() as tx:
            who = people.find(tx, person)
        recorded = record_consent(
            self.store, self._desk.evidence, person=who, evidence=evidence, policy=self.policy, fields=fields, **self._intake()
        )
        return self._sealed(recorded)

    def withdraw_consent(self, consent_id: str, *, method: str) -> Consent:
        """Note that a person withdrew a consent.

        Raises:
            InputError: there is no such consent.
        """
        self._require("analyst", "admin")
        now = self.clock()
        with self.store.write() as tx:
            consent = consents.withdraw(tx, consent_id, at=now, method=method)
            people.restate(tx, [consent.person_id])  # a decision taken before this one no longer holds
            event = events.ConsentWithdrawn(consent_id=consent_id, withdrawn_at=leaf_time(now), withdrawal_method=method)
            self._desk.trail.append(tx, event, person_id=consent.person_id)
            self._desk.trail.checkpoint(tx)
        return consent

    def consents(self, person: str | None = None) -> pd.DataFrame:
        """Consents on file, newest first: one person's, or all."""
        with self.store.read() as tx:
            if person is None:
                return views.consents_table(consents.everyones(tx))
            who = people.find(tx, person).person_id
            return views.consents_table(consents.of_people(tx, [who]).get(who, ()))

    def verify_consents(self) -> pd.DataFrame:
        """Re-hash every evidence file: columns sha256, state (intact, altered, missing)."""
        with self.store.read() as tx:
            digests = consents.all_digests(tx)
        return views.frame([{"sha256": d, "state": self._desk.evidence.check(d)} for d in digests], ("sha256", "state"))

    # Batches

    def propose(self, chosen: pd.DataFrame | Sequence[str], *, consents: Sequence[Consent] | None = None, reason: str) -> Plan:
        """Plan a batch: a dry run in full, stored as proposed. People by a table with person_id, or by ids or addresses.

        Raises:
            InputError, BatchError, NotAllowedError, OrgError: see `proposal.propose`; nothing was stored.
        """
        from workbench import proposal

        named = [str(person) for person in getattr(chosen, "person_id", chosen)]
        with self.store.read() as tx:
            ids = [people.find(tx, n).person_id if "@" in n else n for n in named]
        return proposal.propose(self._desk, ids, given=consents, reason=reason)

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

    # Both systems

    def pull(self, *, full: bool = False, progress: Listener | None = None) -> PullResult:
        """Read Salesforce: what changed since the last time, or everything.

        Raises:
            OrgError: it can't be read; the register keeps what it knew.
        """
        from workbench.pull import pull

        return pull(self.store, self.org, now=self.clock(), full=full, progress=progress, append_event=self._desk.trail.append)

    def mismatches(self, kind: str | None = None, *, refresh: bool = False, resolved: bool = False) -> pd.DataFrame:
        """Where register and Salesforce disagree, with the columns `views.MISMATCHES`; ``refresh`` reads Salesforce first.

        Raises:
            InputError: there is no such kind.
        """
        if refresh:
            self.pull()
        with self.store.read() as tx:
            return views.mismatches_table(mismatches.list_(tx, kind=kind, resolved=resolved), now=self.clock())

    def mismatch_counts(self) -> pd.DataFrame:
        """Open mismatches by kind: kind, open, oldest_business_days, over_limit."""
        with self.store.read() as tx:
            return views.counts_table(tx, self._desk)

    def forecast(self) -> pd.DataFrame:
        """What tonight's sync would do: person_id, record_id, action (unsubscribe_person or opt_out_record), why."""
        with self.store.read() as tx:
            return views.frame([vars(c) for c in mismatches.forecast(tx)], ("person_id", "record_id", "action", "why"))

    def sync(self, *, dry_run: bool = False, cap: int | None = None) -> SyncResult:
        """The nightly sync: either linked side opted out, both are. Only ever writes opt-outs.

        Raises:
            OrgError: Salesforce can't be read. WorkbenchError: more changes than the cap allows; nothing was written.
        """
        from workbench import nightly

        return nightly.sync(self._desk, dry_run=dry_run, cap=cap)

    def follow_up(self) -> pd.DataFrame:
        """Look at everybody resubscribed again: intent_id, person_id, outcome (held, relapsed), cause."""
        from workbench import nightly

        return views.frame([vars(f) for f in nightly.follow_up(self._desk)], ("intent_id", "person_id", "outcome", "cause"))

    # How things stand

    def health(self) -> tuple[HealthLine, ...]:
        """All checks in sentences: Salesforce, register, trail."""
        from workbench import health

        return health.health(self._desk)

    def org_check(self) -> tuple[HealthLine, ...]:
        """Whether Salesforce can be reached and lets us do the work, in sentences."""
        from workbench import health

        return health.org_lines(self._desk)

    def banner(self) -> Banner:
        """Which org, which register, who is at the keyboard, and what needs a look."""
        from workbench import health

        return health.banner(self.settings, self._desk)

    def numbers(self) -> dict[str, int]:
        """The figures of the day: people, unsubscribed, mismatches, open_batches, resubscribed."""
        from workbench import health

        return health.numbers(self._desk)

    def login(self, *, client_id: str, client_secret: str) -> OrgIdentity:
        """Try credentials and keep them in the operating system's keyring.

        Raises:
            OrgAuthenticationError: they were not accepted; nothing was kept.
            SettingsError: there is no keyring.
        """
        from workbench.credentials import keep_credentials

        return keep_credentials(self.settings.org, client_id=client_id, client_secret=client_secret)

    # Reports and operators

    def report(self, name: str, **parameters: Any) -> IssuedReport:
        """Run a report and seal it: executed notebook and HTML in the workspace's issued/ folder, digest on the trail.

        Raises:
            ReportError: no such report, parameters that don't fit it, or a run that failed.
        """
        from workbench import reports

        return reports.run(self, name, parameters)

    def operators(self) -> pd.DataFrame:
        """Who has and had which role: operator, role, granted_by, granted_at, revoked_by, revoked_at."""
        with self.store.read() as tx:
            columns = ("operator", "role", "granted_by", "granted_at", "revoked_by", "revoked_at")
            return views.frame(operators.everyone(tx), columns)

    def grant(self, name: str, role: str) -> None:
        """Give an operator a role; for administrators."""
        self._change_role(name, role, granted=True)

    def revoke(self, name: str, role: str) -> None:
        """Take a role from an operator; for administrators. The last administrator can't be revoked."""
        self._change_role(name, role, granted=False)

    def _change_role(self, name: str, role: str, *, granted: bool) -> None:
        self._require("admin")
        if role not in operators.ROLES or not name.strip():
            raise InputError("there is no such role or no operator was named", f"Roles are {', '.join(operators.ROLES)}.")
        with self.store.write() as tx:
            if not granted and role == "admin" and operators.admins(tx) == {name}:
                raise NotAllowedError("the last administrator can't be revoked", "Grant somebody else the role first.")
            change = operators.grant if granted else operators.revoke
            if change(tx, name, role, by=self.operator, at=self.clock()):
                event = events.OperatorGranted if granted else events.OperatorRevoked
                self._desk.trail.append(tx, event(operator=name, role=role))  # type: ignore[arg-type]  # one of ROLES, checked above
                self._desk.trail.checkpoint(tx)

    def _require(self, *roles: str) -> None:
        if not self.roles & set(roles):
            raise NotAllowedError(f"this needs the role {' or '.join(roles)}")


def _writer(store: Store, settings: Settings, operator: Operator) -> TrailWriter:
    """The trail as this operator writes it, under the key that it began with."""
    with store.read() as tx:
        vkey = trail_log.vkey(tx)
    ring = not os.environ.get("WORKBENCH_NO_KEYRING")
    signer = load_or_create_signer(settings.name, settings.folder, keyring_allowed=ring, expected_vkey=vkey)
    return TrailWriter(actor=operator.name, actor_auth=operator.auth, clock=settings.clock, signer=signer)


def _version() -> str:
    from workbench import __version__

    return __version__
