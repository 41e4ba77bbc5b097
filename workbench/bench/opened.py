"""An opened workspace: settings, register, org, trail, and the operator; what every part of the Workbench stands on."""

from __future__ import annotations

from datetime import datetime
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from workbench.audit import Audit
from workbench.desk import Desk
from workbench.errors import NotAllowedError
from workbench.evidence import EvidenceStore
from workbench.org import OrgNotAllowedError
from workbench.policy import Policy
from workbench.said import said
from workbench.settings import Operator, Settings
from workbench.signing import KeptSigner, keyring_allowed, load_or_create_signer
from workbench.store import mismatches, operators, trail_log
from workbench.store.database import Store
from workbench.store.trail_log import TrailWriter
from workbench.suppression import SecretKeeper
from workbench.trail import Signer, VerifierKey

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.salesforce import SalesforceOrg
    from workbench.worker import Progress

    Listener = Callable[[Progress], None]

T = TypeVar("T")


class Opened:
    """One operator in one opened workspace. Use it as a context manager, or `close` it."""

    def __init__(self, settings: Settings, operator: Operator) -> None:
        """Open a workspace's register as this operator; `Workbench.open` finds both.

        Raises:
            StoreError: the register can't be opened or has another version.
            TrailError: the key that signs a new trail can't be made.
        """
        self.settings = settings
        self._who = operator
        self.store = Store(settings.database)
        self.store.check_version()
        self.store.keep_out(SecretKeeper(settings.name, settings.folder, keyring_allowed=keyring_allowed()).secret)
        self._desk = Desk(
            folder=settings.folder,
            store=self.store,
            connect=lambda: self.org,
            evidence=EvidenceStore(settings.evidence_folder, largest_bytes=settings.largest_evidence),
            policy=settings.policy,
            trail=trail_writer(self.store, settings, operator),
            clock=settings.clock,
            operator=operator,
            full_reading_days=settings.org.full_reading_days,
            checkpoint_place=(settings.org.checkpoint_object, settings.org.checkpoint_field),
        )
        self.trail = Audit(self._desk)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.settings.name}, {self.settings.org.kind} org)"

    @cached_property
    def org(self) -> SalesforceOrg:
        """Salesforce, one connection for this workbench; logs in at its first operation.

        Raises:
            OrgNotAllowedError: the workspace names no org yet.
            SettingsError: the credentials can't be read.
        """
        if not self.settings.org.url:
            raise OrgNotAllowedError(
                said("this workspace is bound to no org yet"), said("Write its address to `url` in workbench.toml.")
            )
        from workbench.credentials import credentials_for, route_of
        from workbench.salesforce import SalesforceOrg

        org = self.settings.org
        return SalesforceOrg(
            credentials_for(org),
            opt_out_fields=org.opt_out_fields,
            daily_share=org.daily_share,
            marker_field=org.marker_field,
            route=route_of(org),
        )

    @property
    def login_warning(self) -> str:
        """A sentence about a way of logging in that will end; "" where there is nothing to say, or nobody logged in."""
        if "org" not in vars(self) or not self.org.credentials.password:
            return ""
        from workbench.salesforce import LEGACY

        return LEGACY

    @property
    def trail_warning(self) -> str:
        """A sentence about events that could not be signed; "" where there are none."""
        if not self._desk.trail.unsigned:
            return ""
        error = self._desk.trail.unsigned[-1]
        return f"The trail could not be signed, its next checkpoint will cover what was done. {error} {error.advice}"

    def close(self) -> None:
        """Give sockets and database connections back."""
        if "org" in vars(self):
            self.org.close()
        self.store.close()

    def __enter__(self) -> Self:
        return self

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

    def _compared(self, result: T) -> T:
        """What an import answered, once links and mismatches follow from it and its events are under a signed checkpoint."""
        with self.store.write() as tx:
            mismatches.refresh(tx, self.clock(), append_event=self._desk.trail.append)
            self._desk.trail.checkpoint(tx, required=False)
        return result

    def _sealed(self, result: T) -> T:
        """What a use case answered, once the events it appended are under a signed checkpoint."""
        with self.store.write() as tx:
            self._desk.trail.checkpoint(tx, required=False)
        return result

    def _intake(self, **more: Any) -> dict[str, Any]:
        self._require("analyst", "admin")
        with self.store.read() as tx:
            now = self._desk.trail.moment(
                tx, self.clock()
            )  # where the clock went back, an import is still later than what it may overrule
        return {"operator": self.operator, "now": now, "append_event": self._desk.trail.append} | more

    def _require(self, *roles: str) -> None:
        if not self.roles & set(roles):
            raise NotAllowedError(said("this needs the role {roles}", roles=" or ".join(roles)))


def trail_writer(store: Store, settings: Settings, operator: Operator) -> TrailWriter:
    """The trail as this operator writes it, under the key that it began with or that replaced it; fetched when it first signs."""
    with store.read() as tx:
        text = trail_log.signing_vkey(tx)

    def load(vkey: VerifierKey | None) -> Signer:
        expected = vkey.text if vkey else None
        return load_or_create_signer(settings.name, settings.folder, keyring_allowed=keyring_allowed(), expected_vkey=expected)

    signer = load(None) if text is None else KeptSigner(VerifierKey.parse(text), load)
    return TrailWriter(actor=operator.name, actor_auth=operator.auth, clock=settings.clock, signer=signer)
