"""The roles of a register in PostgreSQL: who may do what there, also with a connection of their own and no workbench at all.

`grants` says which table a role may touch, `guards` what no grant can say. A role is a group without login, named after the database;
whoever runs the server makes people members. `set_up` may be run again at any time.
"""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa

from workbench.errors import StoreError
from workbench.store import schema as s
from workbench.store.database import Store, Transaction
from workbench.store.roles import guards
from workbench.store.roles.grants import GRANTS, READS, ROLES

OWNER = "owner"


def set_up(store: Store) -> tuple[tuple[str, str, str], ...]:
    """Make the roles, hand the tables to their owner, and grant what each may do; (role, table, what) for each grant.

    Raises:
        StoreError: the register is not in PostgreSQL, has another version, or the login may not do this.
    """
    if store.url.get_backend_name() != "postgresql":
        raise StoreError(
            "a register in a file has no roles: whoever may write the file may change it",
            "Move it to PostgreSQL with `workbench store copy`, or keep the folder to one account.",
        )
    store.check_version()
    with store.write() as tx:
        database, schema = tx.exec_driver_sql("SELECT current_database(), current_schema()").one()
        names = {role: f"{database}_{role}" for role in (OWNER, *ROLES)}
        if too_long := [name for name in names.values() if len(name.encode()) > LONGEST_NAME]:
            raise StoreError(f"the role's name {too_long[0]} is too long", "Give the database a shorter name.")
        for statement in _statements(tx, names, str(schema)):
            tx.exec_driver_sql(statement)
    return tuple((names[role], table, what) for role, table, what in _granted())


LONGEST_NAME = 63  # bytes: PostgreSQL cuts what is longer


def _statements(tx: Transaction, names: dict[str, str], schema: str) -> Iterator[str]:
    quoted = tx.dialect.identifier_preparer.quote_identifier
    role = {short: quoted(name) for short, name in names.items()}
    known = set(tx.execute(sa.text("SELECT rolname FROM pg_roles")).scalars())
    for short, name in names.items():
        if name not in known:
            yield f"CREATE ROLE {role[short]} NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS"
    working, inside, everybody = ", ".join(role[r] for r in ROLES), quoted(schema), ", ".join(role.values())
    database = quoted(names[OWNER].removesuffix(f"_{OWNER}"))
    yield f"REVOKE ALL ON DATABASE {database} FROM PUBLIC"
    yield f"GRANT CONNECT, TEMPORARY ON DATABASE {database} TO {everybody}"
    yield f"REVOKE ALL ON SCHEMA {inside} FROM PUBLIC, {working}"
    yield f"GRANT USAGE ON SCHEMA {inside} TO {working}"
    yield f"GRANT USAGE, CREATE ON SCHEMA {inside} TO {role[OWNER]}"
    tables = [*s.metadata.tables, "alembic_version"]
    for table in tables:
        yield f"ALTER TABLE {table} OWNER TO {role[OWNER]}"
        yield f"REVOKE ALL ON {table} FROM PUBLIC, {working}"
    for sharing, shared in guards.MEMBERS:
        yield f"GRANT {role[shared]} TO {role[sharing]}"
    for short, table, what in _granted():
        yield f"GRANT {what} ON {table} TO {role[short]}"
    for function, statement in guards.functions(prefix=names[OWNER].removesuffix(OWNER), schema=inside):
        yield statement
        yield f"ALTER FUNCTION {function} OWNER TO {role[OWNER]}"
        yield f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC"
    for function in guards.PINNED:  # else a temporary table of the same name would be read in place of the register's
        yield f"ALTER FUNCTION {function}() OWNER TO {role[OWNER]}"
        yield f"ALTER FUNCTION {function}() SET search_path = pg_catalog, {inside}, pg_temp"
    yield from guards.TRIGGERS


def _granted() -> Iterator[tuple[str, str, str]]:
    """(role, table, what) of everything that is granted, in the order of the tables."""
    for table in [*s.metadata.tables, "alembic_version"]:
        for role in ROLES:
            may = ["SELECT"] if role != "signer" or table in READS["signer"] else []
            may += [what for roles, tables, what in GRANTS if role in roles.split() and table in tables.split()]
            if may:
                yield role, table, ", ".join(may)
