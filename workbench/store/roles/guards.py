"""What no grant can say: who may write which rows, and in which form. Functions of the owner, run by triggers.

They go by the login of the session, which `SET ROLE` does not change, and read the register's own tables only (`search_path` is
pinned). The owner and a superuser pass; they could take the triggers off anyhow.
"""

from __future__ import annotations

from collections.abc import Iterator

from workbench.store.mismatches import near
from workbench.trail.event import EVENT_TYPES

MEMBERS = (("admin", "signer"), ("sync", "signer"))
"""Who has another role's rights too: a batch and the sync sign each of their steps."""

NOTING = tuple(f"register_notes_{table.name}" for table in near.COPIED)
PINNED = ("register_refuses", "trail_without_gaps", "unsubscribe_close_only", *NOTING)
"""The functions of the schema's own guards, and those that note what was touched."""

ONLY = {
    "admin": (
        "workspace_created settings_changed key_rotated operator_granted operator_revoked batch_approved batch_started batch_paused"
        " batch_resumed batch_finished batch_undone clear_intended clear_answered clear_verified abort_intended person_aborted"
        " person_postponed person_resubscribed person_erased report_erased backup_made backup_restored restore_confirmed"
    ),
    "admin sync": "sync_started sync_finished person_unsubscribed_by_sync",
    "analyst admin": (
        "batch_proposed batch_cancelled person_refused people_imported unsubscribes_imported evidence_stored consent_recorded"
        " consent_renewed consent_withdrawn consent_expired"
    ),
    "signer": "checkpoint_idle checkpoint_intended checkpoint_answered timestamp_requested timestamp_received",
}
"""Which events only some roles put on the trail; the others are everybody's but the signer's."""

LOGIN_DIFFERS = "the operator is not the login of this session"
ONLY_THE_SYNC = "only the role sync or admin takes in what hides an opt-out of Salesforce"

_CHECKS = {
    "person": """
     IF TG_OP = 'INSERT' THEN
       IF NEW.unsubscribed_at IS NOT NULL OR NEW.erased_at IS NOT NULL THEN PERFORM register_forbids('a new person has no past'); END IF;
       RETURN NEW;
     END IF;
     IF NEW.unsubscribed_at IS DISTINCT FROM OLD.unsubscribed_at AND NEW.unsubscribed_at IS DISTINCT FROM
        (SELECT max(opted_out_at) FROM unsubscribe WHERE person_id = OLD.person_id AND closed_at IS NULL) THEN
       PERFORM register_forbids('a person is unsubscribed while an episode is open');
     END IF;
     IF NEW.email <> OLD.email AND NEW.erased_at IS NULL AND NOT EXISTS (SELECT 1 FROM address_change
        WHERE person_id = OLD.person_id AND old_email = OLD.email AND new_email = NEW.email) THEN
       PERFORM register_forbids('a former address is kept');
     END IF;
     IF OLD.erased_at IS NOT NULL AND NEW.erased_at IS DISTINCT FROM OLD.erased_at THEN PERFORM register_forbids('who was erased stays so'); END IF;
     RETURN NEW;""",
    "unsubscribe": """
     IF TG_OP = 'INSERT' THEN
       IF NEW.closed_at IS NOT NULL THEN PERFORM register_forbids('an unsubscribe begins open'); END IF;
       IF NEW.recorded_by <> session_user THEN PERFORM register_forbids('__LOGIN_DIFFERS__'); END IF;
       RETURN NEW;
     END IF;
     IF OLD.closed_at IS NULL AND NEW.closed_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM intent JOIN batch USING (batch_id)
        WHERE intent_id = NEW.closed_by_intent AND intent.person_id = OLD.person_id AND intent.state = 'VERIFIED'
        AND batch.state = 'running' AND approved_by IS NOT NULL AND approved_digest = digest) THEN
       PERFORM register_forbids('only the verified resubscription of an approved batch closes an unsubscribe');
     END IF;
     RETURN NEW;""",
    "org_record": """
     IF OLD.opted_out AND NOT register_is('sync', 'admin') AND (NOT NEW.opted_out OR NEW.email <> OLD.email
        OR (NEW.is_deleted AND NOT OLD.is_deleted) OR (NEW.is_converted AND NOT OLD.is_converted)
        OR NEW.merged_into IS DISTINCT FROM OLD.merged_into OR NEW.record_id <> OLD.record_id) THEN
       PERFORM register_forbids('__ONLY_THE_SYNC__');
     END IF;
     RETURN NEW;""",
    "operator_grant": """
     IF TG_OP = 'INSERT' AND NEW.granted_by <> session_user OR TG_OP = 'UPDATE' AND NEW.revoked_by IS DISTINCT FROM session_user THEN
       PERFORM register_forbids('__LOGIN_DIFFERS__');
     END IF;
     IF TG_OP = 'UPDATE' AND OLD.revoked_at IS NOT NULL THEN PERFORM register_forbids('what was revoked stays so'); END IF;
     RETURN NEW;""",
    "consent": """
     IF OLD.document::jsonb - ARRAY['state', 'withdrawn_at', 'withdrawal_method']
        <> NEW.document::jsonb - ARRAY['state', 'withdrawn_at', 'withdrawal_method']
        OR NEW.state <> 'withdrawn' OR NEW.document ->> 'state' IS DISTINCT FROM 'withdrawn' OR NEW.document ->> 'withdrawn_at' IS NULL
        OR (OLD.document ->> 'withdrawn_at')::timestamptz < (NEW.document ->> 'withdrawn_at')::timestamptz THEN
       PERFORM register_forbids('a consent can only be withdrawn');
     END IF;
     RETURN NEW;""",
    "batch": """
     IF TG_OP = 'INSERT' THEN
       IF NEW.state <> 'proposed' OR coalesce(NEW.approved_by, NEW.approved_digest) IS NOT NULL OR NEW.started_at IS NOT NULL THEN
         PERFORM register_forbids('a batch begins as a proposal');
       END IF;
       IF NEW.proposed_by <> session_user THEN PERFORM register_forbids('__LOGIN_DIFFERS__'); END IF;
       RETURN NEW;
     END IF;
     IF NOT register_is('admin') AND (NEW.state <> 'cancelled' OR OLD.state NOT IN ('proposed', 'approved', 'paused')) THEN
       PERFORM register_forbids('only the role admin approves and runs a batch');
     END IF;
     IF NEW.approved_by IS DISTINCT FROM OLD.approved_by AND NEW.approved_by IS DISTINCT FROM session_user THEN
       PERFORM register_forbids('__LOGIN_DIFFERS__');
     END IF;
     IF NEW.state IN ('approved', 'running') AND (NEW.approved_by IS NULL OR NEW.approved_digest IS DISTINCT FROM NEW.digest) THEN
       PERFORM register_forbids('what is approved is the digest of the plan');
     END IF;
     RETURN NEW;""",
    "intent": """
     IF TG_OP = 'INSERT' THEN
       IF NEW.state NOT IN ('PROPOSED', 'REFUSED') OR NEW.attempts <> 0 OR NEW.done_at IS NOT NULL OR NOT EXISTS
          (SELECT 1 FROM batch WHERE batch_id = NEW.batch_id AND state = 'proposed' AND proposed_by = session_user) THEN
         PERFORM register_forbids('a plan is made once');
       END IF;
     ELSIF NOT register_is('admin') AND (NEW.holds_person OR NOT EXISTS
          (SELECT 1 FROM batch WHERE batch_id = OLD.batch_id AND state = 'cancelled')) THEN
       PERFORM register_forbids('only a batch that was given up lets its people go');
     END IF;
     RETURN NEW;""",
    "setting": """
     IF TG_OP <> 'INSERT' AND OLD.name IN ('trail.vkey', 'org.id') OR TG_OP <> 'DELETE' AND NEW.name = 'trail.vkey'
        OR NOT register_is('admin') AND (TG_OP <> 'DELETE' AND split_part(NEW.name, '.', 1) NOT IN ('org', 'pull')
           OR TG_OP <> 'INSERT' AND split_part(OLD.name, '.', 1) NOT IN ('org', 'pull')) THEN
       PERFORM register_forbids('this setting is not for this role');
     END IF;
     RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;""",
    "trail_event": """
     leaf := convert_from(NEW.leaf_bytes, 'UTF8')::jsonb;
     IF leaf ->> 'actor' IS DISTINCT FROM session_user OR NEW.actor <> session_user THEN PERFORM register_forbids('__LOGIN_DIFFERS__'); END IF;
     IF leaf ->> 'seq' IS DISTINCT FROM NEW.seq::text OR leaf ->> 'action' IS DISTINCT FROM NEW.action
        OR (leaf ->> 'ts')::timestamptz IS DISTINCT FROM date_trunc('milliseconds', NEW.ts) OR leaf ->> 'batch_id' IS DISTINCT FROM NEW.batch_id
        OR leaf ->> 'subject' IS DISTINCT FROM NEW.subject OR NEW.leaf_hash <> sha256('\\x00'::bytea || NEW.leaf_bytes)
        OR NEW.ts > now() + interval '1 day' OR NEW.ts < (SELECT ts FROM trail_event ORDER BY seq DESC LIMIT 1) THEN
       PERFORM register_forbids('an event is what its leaf says');
     END IF;
     IF NOT (CASE __ACTIONS__ ELSE register_is('analyst', 'admin', 'sync', 'auditor') END) THEN
       PERFORM register_forbids('this event is not for this role');
     END IF;
     RETURN NEW;""",
    "trail_payload": """
     IF TG_OP = 'UPDATE' THEN RETURN NEW; END IF;
     IF NEW.erased_at IS NOT NULL OR encode(sha256(NEW.salt || NEW.payload), 'hex') IS DISTINCT FROM
        (SELECT convert_from(leaf_bytes, 'UTF8')::jsonb ->> 'payload_sha256' FROM trail_event WHERE seq = NEW.seq) THEN
       PERFORM register_forbids('a payload is the one that its event names');
     END IF;
     RETURN NEW;""",
    "trail_checkpoint": """
     SELECT size, hashes INTO grown, peaks FROM trail_frontier;
     IF grown IS DISTINCT FROM NEW.size OR NEW.size = 0 THEN PERFORM register_forbids('a checkpoint is of the trail as it stands'); END IF;
     root := substring(peaks FROM length(peaks) - 31);
     FOR i IN REVERSE length(peaks) / 32 - 2 .. 0 LOOP
       root := sha256('\\x01'::bytea || substring(peaks FROM i * 32 + 1 FOR 32) || root);
     END LOOP;
     IF split_part(NEW.note, E'\\n', 2) <> NEW.size::text OR split_part(NEW.note, E'\\n', 3) <> encode(root, 'base64') THEN
       PERFORM register_forbids('a checkpoint is of the trail as it stands');
     END IF;
     RETURN NEW;""",
}
"""What is looked at before a row is written, by table. In each the owner has been let through already."""

_WHEN = {
    "person": "INSERT OR UPDATE OF unsubscribed_at, email, erased_at",
    "org_record": "UPDATE",
    "consent": "UPDATE",
    "setting": "INSERT OR UPDATE OR DELETE",
    "trail_event": "INSERT",
    "trail_checkpoint": "INSERT",
}


def functions(*, prefix: str, schema: str) -> Iterator[tuple[str, str]]:
    """(signature, statement) of each function; ``prefix`` is what the roles' names begin with, ``schema`` the quoted schema."""
    pinned = f"SET search_path = pg_catalog, {schema}, pg_temp"
    begins = "'" + prefix.replace("'", "''") + "'"
    yield (
        "register_is(text[])",
        f"""CREATE OR REPLACE FUNCTION register_is(VARIADIC roles text[]) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER {pinned}
        AS $$ SELECT bool_or(pg_has_role(session_user, ({begins} || role)::name, 'MEMBER'))
              FROM unnest(array_append(roles, 'owner')) AS role $$""",  # noqa: S608 - the schema quoted, the prefix a literal
    )
    yield (
        "register_forbids(text)",
        f"""CREATE OR REPLACE FUNCTION register_forbids(why text) RETURNS void LANGUAGE plpgsql {pinned}
        AS $$ BEGIN RAISE EXCEPTION USING MESSAGE = why, ERRCODE = 'insufficient_privilege'; END $$""",
    )
    for table, checks in _CHECKS.items():
        body = (
            checks.replace("__ACTIONS__", _actions())
            .replace("__LOGIN_DIFFERS__", LOGIN_DIFFERS)
            .replace("__ONLY_THE_SYNC__", ONLY_THE_SYNC)
        )
        yield (
            f"register_{table}_of_role()",
            f"""CREATE OR REPLACE FUNCTION register_{table}_of_role() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER {pinned} AS $$
            DECLARE leaf jsonb; grown bigint; peaks bytea; root bytea;
            BEGIN
              IF register_is('owner') THEN RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END; END IF;{body}
            END $$""",
        )
    yield "register_frontier_grows()", _grows(pinned)
    yield "register_frontier_is_kept()", _kept(pinned)


def _actions() -> str:
    """The conditions on events: who may put which on the trail."""
    unknown = {action for actions in ONLY.values() for action in actions.split()} - EVENT_TYPES.keys()
    if unknown:
        raise RuntimeError(f"no events of the trail: {', '.join(sorted(unknown))}")
    known = "','".join(sorted(EVENT_TYPES))
    cases = [f"WHEN NEW.action NOT IN ('{known}') THEN false"]
    for roles, actions in ONLY.items():
        named, allowed = "','".join(actions.split()), "','".join(roles.split())
        cases.append(f"WHEN NEW.action IN ('{named}') THEN register_is('{allowed}')")
    return " ".join(cases)


def _grows(pinned: str) -> str:
    """The tree's right edge is kept by the server: peaks of equal height are joined, as RFC 9162 has it."""
    return f"""CREATE OR REPLACE FUNCTION register_frontier_grows() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER {pinned} AS $$
    DECLARE peaks bytea; rest bigint := NEW.seq; hash bytea := NEW.leaf_hash;
    BEGIN
      SELECT hashes INTO peaks FROM trail_frontier;
      peaks := coalesce(peaks, ''::bytea);
      WHILE rest & 1 = 1 LOOP
        hash := sha256('\\x01'::bytea || substring(peaks FROM length(peaks) - 31) || hash);
        peaks := substring(peaks FROM 1 FOR length(peaks) - 32);
        rest := rest >> 1;
      END LOOP;
      DELETE FROM trail_frontier;
      INSERT INTO trail_frontier (size, hashes) VALUES (NEW.seq + 1, peaks || hash);
      RETURN NULL;
    END $$"""  # noqa: S608 - the schema is quoted


def _kept(pinned: str) -> str:
    """What a session says about the edge is compared with what the server keeps, and not written. Runs with the session's rights."""
    return f"""CREATE OR REPLACE FUNCTION register_frontier_is_kept() RETURNS trigger LANGUAGE plpgsql {pinned} AS $$
    BEGIN
      IF current_user = (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = TG_RELID) THEN
        RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
      END IF;
      IF TG_OP = 'INSERT' AND NOT EXISTS (SELECT 1 FROM trail_frontier WHERE size = NEW.size AND hashes = NEW.hashes) THEN
        RAISE EXCEPTION 'the trail is append-only: the tree grows with its events' USING ERRCODE = 'insufficient_privilege';
      END IF;
      RETURN NULL;
    END $$"""  # noqa: S608 - the schema is quoted


def _trigger(name: str, when: str, table: str, function: str) -> str:
    return f"CREATE OR REPLACE TRIGGER {name} {when} ON {table} FOR EACH ROW EXECUTE FUNCTION {function}()"


TRIGGERS = (
    *(
        _trigger(f"{table}_of_role", f"BEFORE {_WHEN.get(table, 'INSERT OR UPDATE')}", table, f"register_{table}_of_role")
        for table in _CHECKS
    ),
    _trigger("trail_event_grows", "AFTER INSERT", "trail_event", "register_frontier_grows"),
    _trigger("trail_frontier_is_kept", "BEFORE INSERT OR UPDATE OR DELETE", "trail_frontier", "register_frontier_is_kept"),
)
