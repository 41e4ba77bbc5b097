"""Who was erased on request and stays out: a keyed digest of each of their addresses and ids, and their Salesforce records.

The secret comes with the transaction: `Store.keep_out` says who knows it. It is asked for only when somebody was erased.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from datetime import datetime

import sqlalchemy as sa

from workbench.errors import StoreError
from workbench.said import kept
from workbench.store import schema as s
from workbench.store.database import SECRET_OPTION, Transaction, portions
from workbench.suppression import digest, fingerprint

FINGERPRINT = "suppression.fingerprint"
STAYS_OUT = kept("this person was erased on request and stays out")


def among(tx: Transaction, identifiers: Iterable[str]) -> frozenset[str]:
    """Those of the addresses and ids that belong to people who were erased.

    Raises:
        StoreError: somebody was erased, and the secret to recognise them by is gone.
    """
    if tx.execute(sa.select(s.suppression.c.digest).limit(1)).first() is None:
        return frozenset()
    secret = _secret(tx)
    digests = {i: digest(secret, i) for i in identifiers if i}
    kept: set[str] = set()
    for some in portions(digests.values()):
        kept.update(tx.execute(sa.select(s.suppression.c.digest).where(s.suppression.c.digest.in_(some))).scalars())
    return frozenset(identifier for identifier, its in digests.items() if its in kept)


def holds(tx: Transaction, identifier: str) -> bool:
    """Whether this address or id belongs to somebody who was erased.

    Raises:
        StoreError: as for `among`.
    """
    return bool(among(tx, (identifier,)))


def add(tx: Transaction, identifiers: Collection[str], *, since: datetime) -> None:
    """Keep these addresses and ids out from now on.

    Raises:
        StoreError: the secret is gone, damaged or another one.
    """
    secret = _secret(tx)
    wanted = {digest(secret, i) for i in identifiers if i}
    for some in portions(sorted(wanted)):
        wanted.difference_update(tx.execute(sa.select(s.suppression.c.digest).where(s.suppression.c.digest.in_(some))).scalars())
    if wanted:
        tx.execute(sa.insert(s.suppression), [{"digest": d, "since": since} for d in sorted(wanted)])


def add_records(tx: Transaction, record_ids: Collection[str], *, since: datetime) -> None:
    """Remember these Salesforce records as ones that nobody may be mailed through."""
    known: set[str] = set()
    for some in portions(record_ids):
        known.update(
            tx.execute(sa.select(s.suppressed_record.c.record_id).where(s.suppressed_record.c.record_id.in_(some))).scalars()
        )
    if new := sorted(set(record_ids) - known):
        tx.execute(sa.insert(s.suppressed_record), [{"record_id": i, "since": since} for i in new])


def _secret(tx: Transaction) -> bytes:
    """The workspace's secret; its fingerprint is noted when it is first used."""
    keeper: Callable[[str | None], bytes] | None = tx.get_execution_options().get(SECRET_OPTION)
    if keeper is None:
        raise StoreError("the secret that keeps erased people out is not at hand", "Open the workspace, not only its register.")
    noted = tx.execute(sa.select(s.setting.c.value).where(s.setting.c.name == FINGERPRINT)).scalar()
    secret = keeper(noted)
    if noted is None:
        tx.execute(sa.insert(s.setting).values(name=FINGERPRINT, value=fingerprint(secret)))
    return secret
