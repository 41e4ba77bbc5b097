"""Which role may do what to which table, as PostgreSQL's GRANT has it; what is not here is refused. Reading is open but to the signer."""

ROLES = ("analyst", "admin", "sync", "signer", "auditor")

EVERYBODY = "analyst admin sync auditor"

READS = {"signer": ["trail_event", "trail_checkpoint", "trail_frontier", "setting", "operator_grant", "alembic_version"]}
"""The signer works on digests: no table that it reads holds an address."""

GRANTS = (
    # Anybody may unsubscribe a person and carry that to Salesforce, and leaves an event.
    (EVERYBODY, "unsubscribe", "INSERT"),
    (EVERYBODY, "person", "UPDATE (unsubscribed_at, unsubscribe_source, version)"),
    (EVERYBODY, "mismatch", "INSERT, UPDATE"),
    (EVERYBODY, "trail_subject report", "INSERT"),
    (f"{EVERYBODY} signer", "trail_event trail_payload", "INSERT"),
    (f"{EVERYBODY} signer", "trail_frontier", "INSERT, DELETE"),  # answered by a guard: the server keeps it itself
    ("signer", "trail_checkpoint", "INSERT"),
    # Analysts take in people and consents, read Salesforce, and propose.
    ("analyst admin", "person person_salesforce_id address_change evidence consent consent_evidence consent_state", "INSERT"),
    ("analyst admin", "import_run batch intent", "INSERT"),
    (
        "analyst admin",
        "person",
        "UPDATE (external_id, email, email_as_given, domain, first_name, last_name, company, title, updated_at)",
    ),
    ("analyst admin", "consent", "UPDATE (state, document)"),
    ("analyst admin", "outlasting_evidence", "DELETE"),  # a file that another consent needs again is not erased
    ("analyst", "batch", "UPDATE (state, finished_at)"),  # to give one up
    ("analyst", "intent", "UPDATE (holds_person)"),
    ("analyst admin sync", "org_record snapshot sync_run setting", "INSERT, UPDATE"),
    ("analyst admin sync", "org_history follow_up", "INSERT"),
    ("analyst admin sync", "link", "INSERT, UPDATE, DELETE"),
    # By whoever looks for mismatches; the nightly sync looks at everything, whatever is noted.
    ("analyst admin sync", "touched", "INSERT, DELETE"),
    ("analyst admin sync", "setting", "DELETE"),
    ("admin sync", "lease", "INSERT, UPDATE, DELETE"),
    # What only an administrator does.
    (
        "admin",
        "batch",
        "UPDATE (state, approved_by, approved_at, approved_digest, started_at, finished_at, pause_cause)",
    ),
    (
        "admin",
        "intent",
        "UPDATE (state, refusals, base, base_version, attempts, holds_person, cause, changed_at, done_at,"
        " consent_id, findings, planned_rows, consent_digest)",
    ),
    ("admin", "unsubscribe", "UPDATE (closed_at, closed_by_intent, detail)"),
    ("admin", "operator_grant", "INSERT, UPDATE (revoked_by, revoked_at)"),
    ("admin", "person", "UPDATE (erased_at)"),
    ("admin", "trail_payload", "UPDATE (salt, payload, erased_at)"),
    ("admin", "suppression suppressed_record outlasting_evidence", "INSERT"),
    (
        "admin",
        "person_salesforce_id address_change mismatch trail_subject consent consent_evidence consent_state evidence report"
        " org_history",
        "DELETE",
    ),
)
"""(roles, tables, what)"""
