"""What the server refuses to each role, whatever program its login is used with, and that each role's own work is done."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from conftest import CONTROLLER, World, lead_id, org_line
from postgresql_server import ACCOUNT, Server, server

from workbench import verify_trail
from workbench.bench import Workbench
from workbench.cli.app import run
from workbench.errors import NotAllowedError, StoreError
from workbench.scratch_org.process import start_scratch_org
from workbench.settings import Operator
from workbench.store import postgresql
from workbench.store import schema as s
from workbench.store.database import Store
from workbench.store.roles import guards, set_up
from workbench.store.roles.grants import GRANTS, ROLES
from workbench.trail.event import EVENT_TYPES

ADDRESSES = ("ann@example.com", "bea@example.com", "carl@example.com")


@dataclass
class Team:
    """A register in PostgreSQL with its roles, one login for each; `world` is the owner's workbench."""

    world: World
    server: Server
    people: tuple[str, ...]
    batch: str

    def address(self, role: str) -> str:
        """The address of the register for a role's login."""
        return str(self.world.wb.store.url).replace(f"{ACCOUNT}@", f"{self.login(role)}@")

    def login(self, role: str) -> str:
        """A login of a role, which is its operator's name too."""
        return f"{self.world.wb.store.url.database}_{role}_ann"

    def workbench(self, role: str) -> Workbench:
        """The workbench of a role's operator."""
        settings = replace(self.world.wb.settings, database=self.address(role))
        return Workbench(settings, Operator(name=self.login(role), auth="os-user"))

    def contents(self) -> dict[str, list[Any]]:
        """Every row of the register."""
        with self.world.wb.store.read() as tx:
            return {
                t.name: [tuple(r) for r in tx.execute(sa.select(t).order_by(*t.primary_key))] for t in s.metadata.sorted_tables
            }


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    folder, postgres = tmp_path_factory.mktemp("team"), server()
    data = folder / "org.jsonl"
    lines = [org_line("Lead", lead_id(n), address, opted_out=True) for n, address in enumerate(ADDRESSES, 1)]
    data.write_text("\n".join(lines), encoding="utf-8")
    org = start_scratch_org(data=data)
    wb = Workbench.init(folder / "workspace", name="team", url=org.url, controller=CONTROLLER, database=postgres.create())
    world = World(folder / "workspace", org, wb)
    people = tuple(world.person(address) for address in ADDRESSES)
    for person in people:
        world.consent(person)
    wb.pull(full=True)
    batch = wb.propose(people[:1], reason="signed_form").id
    set_up(wb.store)
    made = Team(world, postgres, people, batch)
    for role in ROLES:
        with wb.store.write() as tx:
            tx.exec_driver_sql(f'CREATE ROLE "{made.login(role)}" LOGIN IN ROLE "{wb.store.url.database}_{role}"')
        wb.grant(made.login(role), {"sync": "admin", "signer": "auditor"}.get(role, role))
    yield made
    wb.close()
    org.stop()


def leaf(team: Team, **changed: Any) -> dict[str, Any]:
    """A well-formed next event with its columns, but for what is changed."""
    with team.world.wb.store.read() as tx:
        seq, ts = tx.exec_driver_sql("SELECT max(seq) + 1, max(ts) FROM trail_event").one()
    ts += timedelta(milliseconds=1)
    head = {"v": 1, "log": "team", "seq": seq, "ts": ts.astimezone(UTC).isoformat(timespec="milliseconds"), "actor": "somebody"}
    head |= {"action": "mismatch_found", "payload_sha256": "0" * 64} | changed
    text = json.dumps(head, sort_keys=True, separators=(",", ":")).encode()
    row = {"seq": head["seq"], "leaf": text, "hash": hashlib.sha256(b"\0" + text).digest(), "ts": head["ts"]}
    return row | {"actor": head["actor"], "action": head["action"]}


EVENT = (
    "INSERT INTO trail_event (seq, leaf_bytes, leaf_hash, ts, actor, action)"
    " VALUES (%(seq)s, %(leaf)s, %(hash)s, %(ts)s, %(actor)s, %(action)s)"
)
SPOOF = "CREATE TEMPORARY TABLE person (person_id text, erased_at timestamptz); INSERT INTO pg_temp.person SELECT person_id, now() FROM public.unsubscribe;"
NOBODY = {
    "delete an unsubscribe": "DELETE FROM unsubscribe",
    "empty the unsubscribes": "TRUNCATE unsubscribe",
    "rewrite when somebody opted out": "UPDATE unsubscribe SET opted_out_at = '2020-01-01'",
    "rewrite its source": "UPDATE unsubscribe SET source = 'manual'",
    "close an unsubscribe by hand": "UPDATE unsubscribe SET closed_at = now()",
    "close it for an intent that was not verified": "UPDATE unsubscribe SET closed_at = now(), closed_by_intent = (SELECT min(intent_id) FROM intent)",
    "empty its detail by a table of the same name": SPOOF + "UPDATE public.unsubscribe SET detail = ''",
    "record one as closed": "INSERT INTO unsubscribe SELECT 'x', person_id, opted_out_at, source, '', now(), session_user, now(), NULL FROM unsubscribe LIMIT 1",
    "record one in another's name": "INSERT INTO unsubscribe SELECT 'x', person_id, opted_out_at, source, '', now(), 'root', NULL, NULL FROM unsubscribe LIMIT 1",
    "take the mark off a person": "UPDATE person SET unsubscribed_at = NULL",
    "delete a person": "DELETE FROM person",
    "change an address unseen": "UPDATE person SET email = 'other@example.com' WHERE email = 'ann@example.com'",
    "change an event": "UPDATE trail_event SET actor = session_user",
    "delete events": "DELETE FROM trail_event WHERE seq = (SELECT max(seq) FROM trail_event)",
    "empty the trail": "TRUNCATE trail_event, trail_payload, trail_checkpoint",
    "set the tree back": "DELETE FROM trail_frontier; INSERT INTO trail_frontier VALUES (1, '')",
    "change a payload": "UPDATE trail_payload SET payload = '{}'",
    "delete checkpoints": "DELETE FROM trail_checkpoint",
    "sign another tree": "INSERT INTO trail_checkpoint SELECT size, E'team\\n' || size || E'\\nAAAA\\n', now() FROM trail_frontier",
    "replace the trail's key": "UPDATE setting SET value = 'team+00000000+AAAA' WHERE name = 'trail.vkey'",
    "take erased people back in": "DELETE FROM suppression",
    "alter what is planned": "UPDATE intent SET person_version = 9",
    "alter the plan's digest": "UPDATE batch SET digest = repeat('0', 64)",
    "put somebody into another's plan": "INSERT INTO intent SELECT 'x', batch_id, 9, person_id, consent_id, state, findings, planned_rows, person_version, consent_digest, refusals, base, base_version, attempts, false, cause, changed_at, NULL FROM intent LIMIT 1",
    "approve in another's name": "UPDATE batch SET state = 'approved', approved_by = 'root', approved_at = now(), approved_digest = digest",
    "grant a role in another's name": "INSERT INTO operator_grant VALUES ('x', session_user, 'admin', 'root', now(), NULL, NULL)",
    "forget a grant": "DELETE FROM operator_grant",
    "take a guard off": "ALTER TABLE unsubscribe DISABLE TRIGGER ALL",
    "drop a guard": "DROP TRIGGER unsubscribe_guard ON unsubscribe",
    "drop a table": "DROP TABLE trail_event CASCADE",
    "replace a guard's function": "CREATE OR REPLACE FUNCTION public.register_refuses() RETURNS trigger LANGUAGE sql AS 'SELECT 1'",
    "switch guards off": "SET session_replication_role = replica",
    "become the owner": 'SET ROLE "{db}_owner"',
    "become a superuser": "SET SESSION AUTHORIZATION postgres",
    "join the owner": 'GRANT "{db}_owner" TO CURRENT_USER',
    "make a table beside the register's": "CREATE TABLE public.person2 (a int)",
    "make a schema": "CREATE SCHEMA mine",
    "read the server's files": "SELECT pg_read_file('postgresql.conf')",
    "run a program on the server": "COPY person TO PROGRAM 'cat'",
    "change the schema's version": "UPDATE alembic_version SET version_num = '0001'",
}
"""No role of the workbench may do these, whatever program asks."""

NOT_ADMIN = {
    "approve a batch": "UPDATE batch SET state = 'approved', approved_by = session_user, approved_at = now(), approved_digest = digest",
    "start a batch": "UPDATE batch SET state = 'running'",
    "declare a person verified": "UPDATE intent SET state = 'VERIFIED'",
    "grant oneself a role": "INSERT INTO operator_grant VALUES ('x', session_user, 'admin', session_user, now(), NULL, NULL)",
    "revoke another's role": "UPDATE operator_grant SET revoked_by = session_user, revoked_at = now()",
    "erase a person": "UPDATE person SET erased_at = now()",
    "empty a payload": "UPDATE trail_payload SET payload = NULL, salt = NULL, erased_at = now()",
    "delete a consent": "DELETE FROM consent_evidence; DELETE FROM consent_state; DELETE FROM consent",
    "forget who a subject is": "DELETE FROM trail_subject",
    "keep somebody out": "INSERT INTO suppression VALUES (repeat('0', 64), now())",
    "replace the key that signs": "INSERT INTO setting VALUES ('trail.signing_vkey', 'x')",
}
NOT_SYNC = {
    "hide an opt-out of Salesforce": "UPDATE org_record SET opted_out = false",
    "hide the record": "UPDATE org_record SET is_deleted = true",
    "take a person's lease": "INSERT INTO lease VALUES ('x', session_user, 1, now())",
    "sign": "INSERT INTO trail_checkpoint SELECT size, 'x', now() FROM trail_frontier",
}
ATTACKS = [
    *((role, deed, statement) for role in ROLES for deed, statement in NOBODY.items()),
    *((role, deed, statement) for role in ROLES if role != "admin" for deed, statement in NOT_ADMIN.items()),
    *((role, deed, statement) for role in ("analyst", "auditor") for deed, statement in NOT_SYNC.items()),
]
FORGED: dict[str, dict[str, Any]] = {
    "another's name": {"actor": "root"},
    "an event that nobody knows": {"action": "opt_out_forgotten"},
    "a time far ahead": {"ts": "2999-01-01T00:00:00.000Z"},
    "a time before the last event": {"ts": "2001-01-01T00:00:00.000Z"},
    "a number that is not the next": {"seq": 3},
}


def refused(team: Team, role: str, statement: str, values: dict[str, Any] | None = None) -> str:
    """What the server says to a role's own connection; "" where it does it. Nothing is changed by it either way."""
    import psycopg

    before, said = team.contents(), ""
    with psycopg.connect(team.address(role)) as connection:
        try:
            connection.execute(statement.replace("{db}", str(team.world.wb.store.url.database)), values)  # type: ignore[call-overload]
            connection.commit()
        except psycopg.Error as error:
            said = str(error)
    if not said:
        return ""
    assert team.contents() == before
    return said


def test_every_role_faces_enough_attacks() -> None:
    assert len(ATTACKS) + len(FORGED) * len(ROLES) > 15 * len(ROLES)
    assert min(sum(role == r for r, _, _ in ATTACKS) for role in ROLES) >= 15


@pytest.mark.parametrize(("role", "deed", "statement"), ATTACKS, ids=[f"{r}-{d}" for r, d, _ in ATTACKS])
def test_the_server_refuses(team: Team, role: str, deed: str, statement: str) -> None:
    assert refused(team, role, statement), f"{role} could {deed}"


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("deed", FORGED)
def test_a_forged_event_is_refused(team: Team, role: str, deed: str) -> None:
    row = leaf(team, **({"actor": team.login(role)} | FORGED[deed]))
    assert refused(team, role, EVENT, row)
    claims = leaf(team, actor=team.login(role), action="batch_approved")
    if role != "admin":
        assert "not for this role" in refused(team, role, EVENT, claims)
    for column, lie in (("actor", "root"), ("action", "report_issued"), ("hash", b"0" * 32)):
        assert refused(team, role, EVENT, leaf(team, actor=team.login(role)) | {column: lie})


@pytest.mark.parametrize("role", ROLES)
def test_the_same_event_is_taken_where_it_is_not_forged(team: Team, role: str) -> None:
    import psycopg

    action = "checkpoint_idle" if role == "signer" else "mismatch_found"
    with psycopg.connect(team.address(role)) as connection:
        connection.execute(EVENT, leaf(team, actor=team.login(role), action=action))
        connection.rollback()


@pytest.mark.parametrize("role", ROLES)
def test_a_payload_that_its_event_does_not_name_is_refused(team: Team, role: str) -> None:
    action = "checkpoint_idle" if role == "signer" else "mismatch_found"
    row = leaf(team, actor=team.login(role), action=action)
    payload = "; INSERT INTO trail_payload VALUES (%(seq)s, 'salt', 'payload', NULL)"
    filled = EVENT.replace("%(leaf)s", "convert_to(%(leaf)s, 'UTF8')").replace("%(hash)s", "decode(%(hash)s, 'hex')") + payload
    import psycopg

    with psycopg.connect(team.address(role)) as connection, psycopg.ClientCursor(connection) as cursor:
        text = cursor.mogrify(filled, row | {"leaf": row["leaf"].decode(), "hash": row["hash"].hex()})
    assert "the one that its event names" in refused(team, role, text.replace("%", "%%") if "%" in text else text)


def test_the_owner_is_not_stopped_so_the_refusals_are_the_roles(team: Team) -> None:
    """The attacks are sound statements: most of them work for who is not held by a role."""
    import psycopg

    worked = 0
    for statement in [*NOT_ADMIN.values(), *NOT_SYNC.values()]:
        with psycopg.connect(str(team.world.wb.store.url)) as connection:
            try:
                connection.execute(statement)  # type: ignore[call-overload]
                worked += 1
            except psycopg.Error:
                pass
            connection.rollback()
    assert worked >= 10


def test_the_signer_reads_nobody(team: Team) -> None:
    for table in ("person", "org_record", "consent", "unsubscribe", "trail_payload", "address_change"):
        assert "permission denied" in refused(team, "signer", f"SELECT * FROM {table}")


def test_nobody_else_gets_in(team: Team) -> None:
    with team.world.wb.store.write() as tx:
        tx.exec_driver_sql(f'CREATE ROLE "{team.login("stranger")}" LOGIN')
    with pytest.raises(StoreError), Store(team.address("stranger")).read() as tx:
        tx.execute(sa.select(s.person))


def test_each_role_does_its_work(team: Team, tmp_path: Path) -> None:
    """An analyst records and proposes, an admin approves and runs, the sync syncs, the signer signs, the auditor exports."""
    w, (_, bea, carl) = team.world, team.people
    with team.workbench("analyst") as analyst:
        rows = tmp_path / "people.csv"
        rows.write_text("external_id,email\n7,dora@example.com\n8,emil@example.com\n", encoding="utf-8")
        analyst.import_people(rows)
        rows.write_text("external_id,email\n7,dora.new@example.com\n8,emil@example.com\n", encoding="utf-8")
        analyst.import_people(rows)
        plan = analyst.propose([bea], reason="signed_form")
        assert plan.eligible == 1
        with pytest.raises(NotAllowedError):
            analyst.trail.checkpoint()
    with team.workbench("admin") as admin:
        admin.approve(plan.id, plan.digest)
        outcome = admin.run(plan.id)
        assert (outcome.state, outcome.done) == ("finished", 1), outcome
    assert w.flags(lead_id(2)) == {next(iter(w.flags(lead_id(2)))): False}
    with team.workbench("auditor") as auditor:
        auditor.unsubscribe("emil@example.com", source="manual")
    with team.world.wb.store.read() as tx:  # an auditor may not relink: what was touched is left to the next one who looks
        assert "person" in tx.execute(sa.select(s.touched.c.what)).scalars().all()
    with team.workbench("sync") as sync:
        assert not sync.sync().failed
    with team.workbench("signer") as signer:
        assert signer.trail.checkpoint()
    with team.workbench("auditor") as auditor:
        assert auditor.trail.verify().ok
        exported = auditor.trail.export(tmp_path / "export")
        verifier = [sys.executable, verify_trail.__file__, str(exported), "--vkey", auditor.trail.vkey]
        assert subprocess.run(verifier, capture_output=True, check=False).returncode == 0
        assert auditor.trail.verify().unsigned == 1, "the export itself waits for who signs"
        assert auditor.trail.proof(bea)["events"]
    with team.workbench("admin") as admin:
        admin.undo(plan.id)
        admin.erase([carl])
        admin.grant("zoe", "analyst")
        admin.revoke("zoe", "analyst")
    with team.workbench("analyst") as analyst:
        analyst.cancel(team.batch)
    with team.workbench("signer") as signer:
        assert signer.trail.checkpoint()
    assert w.wb.trail.verify().ok


def test_an_upgrade_is_made_as_the_owner_by_who_is_a_member(team: Team) -> None:
    database = team.world.wb.store.url.database
    with team.world.wb.store.write() as tx:
        tx.exec_driver_sql(f'CREATE ROLE "{team.login("keeper")}" LOGIN IN ROLE "{database}_owner"')
    keeper = Store(team.address("keeper"))
    keeper.upgrade()
    with keeper.write() as tx:
        postgresql.as_owner(tx)
        assert tx.exec_driver_sql("SELECT current_user").scalar() == f"{database}_owner"
    keeper.close()
    stranger = Store(team.address("analyst"))
    with pytest.raises(StoreError, match=r"^the database role may not do that$"):
        stranger.upgrade()
    stranger.close()


def test_an_operator_under_another_login_is_told(team: Team) -> None:
    settings = replace(team.world.wb.settings, database=team.address("analyst"))
    sentence = r"^the login to the database is not the operator's$"
    operator = Operator(name=team.login("admin"), auth="os-user")
    with Workbench(settings, operator) as wb, pytest.raises(StoreError, match=sentence):
        wb.unsubscribe(ADDRESSES[0], source="manual")


def test_the_command_may_be_run_again_and_says_what_is_granted(team: Team, capsys: pytest.CaptureFixture[str]) -> None:
    before = team.contents()
    assert run(["store", "roles", "--workspace", str(team.world.folder)]) == 0
    out = capsys.readouterr()
    database = team.world.wb.store.url.database
    assert f"{database}_analyst\tbatch\tSELECT, INSERT, UPDATE (state, finished_at)\n" in out.out
    assert "5 roles" in out.err
    assert team.contents() == before


def test_a_register_in_a_file_has_no_roles(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Workbench.init(tmp_path / "w", name="test", controller=CONTROLLER).close()
    assert run(["store", "roles", "--workspace", str(tmp_path / "w")]) == 2
    assert "whoever may write the file may change it" in capsys.readouterr().err


def test_the_lists_name_what_there_is() -> None:
    named = {table for _, tables, _ in GRANTS for table in tables.split()}
    assert named <= s.metadata.tables.keys()
    assert {role for roles, _, _ in GRANTS for role in roles.split()} == set(ROLES)
    assert {action for actions in guards.ONLY.values() for action in actions.split()} < EVENT_TYPES.keys()
