"""How things stand, credentials, reports, and who may do what."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from workbench import views
from workbench.bench.opened import Opened
from workbench.errors import InputError, NotAllowedError
from workbench.months import bounds as month_bounds
from workbench.org import OrgIdentity
from workbench.person import UNSUBSCRIBE_SOURCES
from workbench.settings import rewrite, with_register
from workbench.store import consents, figures, operators, people, reports
from workbench.store.database import Store, Transaction
from workbench.store.reports import ReportRow
from workbench.trail import events

if TYPE_CHECKING:
    import pandas as pd

    from workbench.backup import Backup
    from workbench.health import Banner, HealthLine


class Keeping(Opened):
    """The Workbench's part about health, reports and operators."""

    def health(self) -> tuple[HealthLine, ...]:
        """All checks in sentences: Salesforce, register, trail."""
        from workbench import health

        return health.health(self._desk, lambda: self.org)

    def org_check(self) -> tuple[HealthLine, ...]:
        """Whether Salesforce can be reached and lets us do the work, in sentences."""
        from workbench import health

        return health.org_lines(self._desk, lambda: self.org)

    def banner(self) -> Banner:
        """Which org, which register, who is at the keyboard, and what needs a look."""
        from workbench import health

        return health.banner(self.settings, self._desk)

    def numbers(self) -> dict[str, int]:
        """The figures of the day: people, unsubscribed, mismatches, open_batches, resubscribed."""
        from workbench import health

        return health.numbers(self._desk)

    def figures(self, bounds: Sequence[datetime]) -> pd.DataFrame:
        """What happened from each of these moments (aware) to the next: since (UTC), then the numbers `store.figures.FIGURES` (int64)."""
        with self.store.read() as tx:
            spans = figures.between(tx, bounds)
        rows = [{"since": since, **span} for since, span in zip(bounds, spans, strict=False)]
        return views.frame(rows, ("since", *figures.FIGURES)).astype(dict.fromkeys(figures.FIGURES, "int64"))

    def unsubscribes_by_month(self, months: int = 12) -> pd.DataFrame:
        """The last months, the present one included: since (UTC), a number for each of `person.UNSUBSCRIBE_SOURCES`, resubscribed (int64)."""
        now = self.clock()
        spans = month_bounds(now.year, now.month, number=months)
        with self.store.read() as tx:
            sources, resubscribed = figures.by_source(tx, spans), figures.resubscribed(tx, spans)
        rows = [
            {"since": since, "resubscribed": number, **span}
            for since, span, number in zip(spans, sources, resubscribed, strict=False)
        ]
        numbers = (*UNSUBSCRIBE_SOURCES, "resubscribed")
        return views.frame(rows, ("since", *numbers)).astype(dict.fromkeys(numbers, "int64"))

    def login(self, *, client_id: str, client_secret: str) -> OrgIdentity:
        """Try credentials and keep them in the operating system's keyring.

        Raises:
            OrgAuthenticationError: they were not accepted; nothing was kept.
            SettingsError: there is no keyring.
        """
        from workbench.credentials import keep_credentials

        return keep_credentials(self.settings.org, client_id=client_id, client_secret=client_secret)

    def copy_register(self, database: str) -> dict[str, int]:
        """Copy the register into an empty PostgreSQL database and use it from now on; the rows of each table.

        Every row is compared. The old register stays and takes no further entries, from whoever has it open.

        Raises:
            NotAllowedError: the operator is no admin.
            SettingsError: the register is in a database already.
            StoreError: the database can't be used, or something did not arrive; the workspace is as it was then.
        """
        from workbench.store.copying import copy

        self._require("admin")
        before, after = with_register(self.workspace, database)
        first, second = (sha256(text.encode()).hexdigest() for text in (before, after))
        told = events.SettingsChanged(file="workbench.toml", before=first, after=second, changed=("register.database",))

        def finish(tx: Transaction) -> None:
            self._desk.trail.append(tx, told)
            self._desk.trail.checkpoint(tx)

        target = Store(database)
        try:
            counts = copy(self.store, target, finish=finish)
        finally:
            target.close()
        rewrite(self.workspace, after)
        return counts

    def backup(self, file: str | Path) -> Backup:
        """Write the whole workspace to one new file while it is in use, and read it again; see `backup.make`.

        Raises:
            NotAllowedError: the operator is no administrator.
            InputError, StoreError: see `backup.make`; nothing was written.
        """
        from workbench import backup

        return backup.make(self._desk, Path(file).absolute())

    def confirm_restored(self) -> datetime:
        """Confirm that what was received since the backup (its moment is returned, UTC) is entered; batches can be approved again.

        Raises:
            NotAllowedError: the operator is no administrator.
            StoreError: there is nothing to confirm, or Salesforce was not read whole since the restore.
        """
        from workbench import restoring

        return restoring.confirm(self._desk).made_at

    def access_report(self, person: str, folder: str | Path) -> Path:
        """Write everything that is known about one person to a new folder, with proof that the trail holds it (GDPR Art. 15).

        Raises:
            NotAllowedError: the operator has no role.
            InputError: nobody is named so, or the folder exists or can't be written.
        """
        from workbench.access import report

        return report(self._desk, self.trail, person, Path(folder))

    def consent_receipt(self, consent_id: str) -> str:
        """The receipt of one consent as a web page that needs nothing else: what was agreed to, when, how, and how to end it.

        Raises:
            NotAllowedError: the operator has no role.
            InputError: there is no such consent.
        """
        from workbench.handout import receipt

        with self.store.read() as tx:
            operators.require_any(tx, self.operator, what="a consent receipt")
            consent = consents.by_ids(tx, [consent_id]).get(consent_id)
            if consent is None:
                raise InputError("no consent has this id", "See the ids with `workbench consent show`.")
            person = people.by_ids(tx, [consent.person_id])[consent.person_id]
        now = self.clock()
        over = "withdrawn" if consent.withdrawn(now) else "expired" if consent.expired(now) else ""
        return receipt(
            consent,
            name=" ".join(part for part in (person.first_name, person.last_name) if part),
            at=now,
            state=over or consent.state,
            checkpoint=self.trail.newest_checkpoint(),
        )

    def require_any_role(self, what: str) -> None:
        """Make sure that the operator holds a role, whichever it is; ``what`` is what needs one, for the sentence.

        Raises:
            NotAllowedError: the operator holds none.
        """
        with self.store.read() as tx:
            operators.require_any(tx, self.operator, what=what)

    def seal_report(self, row: ReportRow) -> None:
        """Note an issued report in the register and, with the digest of its parameters and of its page, on the trail."""
        with self.store.write() as tx:
            reports.seal(tx, row, trail=self._desk.trail)

    def reports(self) -> pd.DataFrame:
        """Issued reports, newest first, with the columns `views.REPORTS`."""
        with self.store.read() as tx:
            return views.reports_table(reports.issued(tx))

    def operators(self) -> pd.DataFrame:
        """Who has and had which role: operator, role, granted_by, granted_at, revoked_by, revoked_at."""
        with self.store.read() as tx:
            columns = ("operator", "role", "granted_by", "granted_at", "revoked_by", "revoked_at")
            return views.frame(operators.everyone(tx), columns)

    def grant(self, name: str, role: str) -> None:
        """Give an operator a role; for administrators."""
        self._change_role(name, role, granted=True)

    def revoke(self, name: str, role: str) -> None:
        """Take a role from an operator; for administrators. The last administrator can't be revoked.

        Raises:
            InputError: the operator does not hold the role.
        """
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
            elif not granted:
                raise InputError(
                    f"this operator does not hold the role {role}", "`workbench operator list` shows who holds which."
                )
