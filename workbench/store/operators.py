"""Who may do what: roles granted to operators, never forgotten, only revoked."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from workbench.errors import NotAllowedError
from workbench.person import new_id
from workbench.said import said
from workbench.store import schema as s
from workbench.store.database import Transaction

ROLES = ("analyst", "admin", "auditor")
_current = s.operator_grant.c.revoked_at.is_(None)


def roles(tx: Transaction, operator: str) -> frozenset[str]:
    """The roles that an operator holds now."""
    held = sa.select(s.operator_grant.c.role).where(s.operator_grant.c.operator == operator, _current)
    return frozenset(tx.execute(held).scalars())


def require_any(tx: Transaction, operator: str, *, what: str) -> None:
    """Make sure that an operator holds a role, whichever it is; ``what`` is what needs one, for the sentence.

    Raises:
        NotAllowedError: the operator holds none.
    """
    if not roles(tx, operator):
        raise NotAllowedError(
            said("{what} needs a role: {roles} or {last}", what=what, roles=", ".join(ROLES[:-1]), last=ROLES[-1])
        )


def admins(tx: Transaction) -> frozenset[str]:
    """Everybody who is an administrator now."""
    return frozenset(
        tx.execute(sa.select(s.operator_grant.c.operator).where(s.operator_grant.c.role == "admin", _current)).scalars()
    )


def grant(tx: Transaction, operator: str, role: str, *, by: str, at: datetime) -> bool:
    """Give a role; False when the operator already holds it."""
    if role in roles(tx, operator):
        return False
    tx.execute(sa.insert(s.operator_grant).values(grant_id=new_id(), operator=operator, role=role, granted_by=by, granted_at=at))
    return True


def revoke(tx: Transaction, operator: str, role: str, *, by: str, at: datetime) -> bool:
    """Take a role back; False when the operator does not hold it."""
    mine = (s.operator_grant.c.operator == operator) & (s.operator_grant.c.role == role) & _current
    return tx.execute(sa.update(s.operator_grant).where(mine).values(revoked_by=by, revoked_at=at)).rowcount > 0


def everyone(tx: Transaction) -> list[dict[str, Any]]:
    """All grants, current and revoked, oldest first."""
    return [dict(r) for r in tx.execute(sa.select(s.operator_grant).order_by(s.operator_grant.c.granted_at)).mappings()]
