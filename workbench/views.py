"""What is shown of the register: tables with fixed columns and dtypes, empty ones too, and a person's card.

Moments are UTC-aware; text columns are never null. Decides nothing; reads only.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from workbench.consent import Consent
from workbench.coverage import WHY, Cover
from workbench.desk import Desk
from workbench.mismatch import Mismatch
from workbench.org import FieldChange
from workbench.person import Person, Unsubscribe, unsubscribed
from workbench.resubscription import CAUSES, FINAL, Intent, State
from workbench.said import kept, said
from workbench.store import batches, consents, mismatches, people, records, review, trail_log
from workbench.store.database import Transaction
from workbench.store.reports import ReportRow
from workbench.timeline import DECIDED, Timeline, timeline
from workbench.trail import Header, read_leaf

if TYPE_CHECKING:
    import pandas as pd

PEOPLE = review.COLUMNS
HISTORY = ("at", "what", "detail", "source", "register_after", "salesforce_after", "proof")
BATCHES = (
    "batch_id", "state", "reason", "proposed_by", "proposed_at", "approved_by", "people", "done", "refused", "aborted", "open", "cause",
)  # fmt: skip
ITEMS = ("person_id", "email", "state", "codes", "sentences", "cause", "changed_at")
MISMATCHES = (
    "kind", "person_id", "record_id", "email", "detail", "forecast", "since", "first_seen", "last_seen",
    "age_business_days", "resolved_at", "resolved_by",
)  # fmt: skip
CONSENTS = (
    "consent_id", "person_id", "email", "given_at", "purpose", "method", "jurisdiction", "state", "valid_until", "evidence",
    "recorded_by", "recorded_at",
)  # fmt: skip
COVERAGE = (
    "person_id", "email", "proof", "ends_at", "days_left", "why", "consent_id", "given_at", "purpose", "jurisdiction", "evidence",
    "batch_id", "resubscribed_at",
)  # fmt: skip
REPORTS = ("report_id", "name", "issued_at", "issued_by", "folder", "parameters", "checkpoint_size")
WORKLIST = ("person_id", "external_id", "email", "first_name", "last_name", "company", "reason", "resubscribed_at")
MOMENTS = frozenset(
    {"at", "unsubscribed_at", "proposed_at", "changed_at", "since", "first_seen", "last_seen", "resolved_at", "given_at", "valid_until",
     "recorded_at", "resubscribed_at", "ends_at", "opted_out_at", "closed_at", "system_modstamp", "granted_at", "revoked_at", "issued_at"}
)  # fmt: skip
NUMBERS = frozenset(
    {"records", "mismatches", "consents", "people", "done", "refused", "aborted", "open", "age_business_days", "evidence",
     "oldest_business_days", "over_limit", "checkpoint_size"}
)  # fmt: skip


FLAGS = frozenset({"opted_out", "is_deleted", "is_converted"})


def frame(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    """A table of these columns in this order: moments as UTC, numbers as int64, flags as bool, everything else as text ("" for nothing)."""
    import pandas as pd

    taken = [[row[c] for c in columns] for row in rows]
    table = pd.DataFrame(taken, columns=list(columns), dtype=object)
    for column in columns:
        if column in MOMENTS:
            table[column] = pd.to_datetime(table[column], utc=True)
        elif column in FLAGS:
            table[column] = table[column].astype("bool")
        elif column in NUMBERS:
            table[column] = table[column].astype("int64")
        else:
            table[column] = table[column].fillna("").astype("str")
    return table


def people_table(tx: Transaction, filters: Mapping[str, Any], *, limit: int | None) -> pd.DataFrame:
    """People who fit the filters, newest unsubscribe first."""
    found = review.rows(tx, filters, limit=limit)
    return frame(found, PEOPLE)


def batches_table(tx: Transaction) -> pd.DataFrame:
    """All batches, newest first, with how many people stand where."""
    rows = []
    for batch in batches.everything(tx):
        counts = batches.by_state(tx, batch.batch_id)
        numbers = {
            "people": sum(counts.values()),
            "done": counts[State.DONE],
            "refused": counts[State.REFUSED],
            "aborted": counts[State.ABORTED],
            "open": sum(n for state, n in counts.items() if state not in FINAL),
        }
        rows.append(vars(batch) | numbers | {"cause": batch.pause_cause})
    return frame(rows, BATCHES)


def items_table(tx: Transaction, batch_id: str) -> pd.DataFrame:
    """The people of a batch in order: state, findings and cause in words."""
    intents = batches.intents(tx, batch_id)
    known = people.by_ids(tx, [i.person_id for i in intents])
    return frame([_item(i, known.get(i.person_id)) for i in intents], ITEMS)


def _item(intent: Intent, person: Person | None) -> dict[str, Any]:
    findings = intent.refusals or intent.findings
    return {
        "person_id": intent.person_id,
        "email": person.email_as_given if person else "",
        "state": str(intent.state),
        "codes": ", ".join(f["code"] for f in findings),
        "sentences": " ".join(f["sentence"] for f in findings),
        "cause": CAUSES.get(intent.cause, intent.cause.replace("_", " ")),
        "changed_at": intent.changed_at,
    }


def worklist(tx: Transaction, batch_id: str) -> pd.DataFrame:
    """What the Sales Connect administrator does by hand after a batch: remove these people's unsubscribes there.

    Whoever opted out again since is left out.
    """
    batch = batches.get(tx, batch_id)
    done = batches.intents(tx, batch.batch_id, states=[State.DONE])
    known = people.by_ids(tx, [i.person_id for i in done])
    episodes = people.unsubscribes(tx, list(known))
    rows = [
        vars(known[i.person_id])
        | {"email": known[i.person_id].email_as_given, "reason": batch.reason, "resubscribed_at": i.done_at}
        for i in done
        if i.person_id in known and not unsubscribed(episodes.get(i.person_id, ()))
    ]
    return frame(rows, WORKLIST)


def mismatches_table(found: Iterable[Mismatch], *, now: Any) -> pd.DataFrame:
    """Mismatches with their age in business days."""
    rows = [
        {c: getattr(m, c) for c in MISMATCHES if c != "age_business_days"} | {"age_business_days": m.age_business_days(now)}
        for m in found
    ]
    return frame(rows, MISMATCHES)


def consents_table(found: Iterable[Consent]) -> pd.DataFrame:
    """Consents, one row each; evidence is the number of files."""
    rows = [{c: getattr(k, c) for c in CONSENTS if c != "evidence"} | {"evidence": len(k.evidence)} for k in found]
    return frame(rows, CONSENTS)


def coverage_table(found: Iterable[Cover]) -> pd.DataFrame:
    """Resubscribed people with their proof, whose ends first, first: the columns `COVERAGE`.

    ``ends_at``, ``given_at`` and ``resubscribed_at`` are datetime64[us, UTC] (NaT where there is none), ``days_left`` is Int64 (missing where the
    proof has no end, negative where it is over), ``evidence`` the number of files (int64); the others are text. ``proof`` is sound,
    ended, withdrawn, evidence (a file is missing or altered) or none; ``why`` says what to do.
    """
    rows = []
    for cover in found:
        consent = cover.consent
        about = {name: getattr(consent, name) for name in ("given_at", "purpose", "jurisdiction")} if consent else {}
        rows.append(
            dict.fromkeys(COVERAGE)
            | about
            | {
                "person_id": cover.person.person_id,
                "email": cover.person.email_as_given,
                "proof": cover.proof,
                "why": WHY[cover.proof],
                "ends_at": cover.ends_at,
                "days_left": cover.days_left,
                "consent_id": consent.consent_id if consent else "",
                "evidence": len(consent.evidence) if consent else 0,
                "batch_id": cover.intent.batch_id,
                "resubscribed_at": cover.intent.done_at,
            }
        )
    import pandas as pd

    table = frame(rows, COVERAGE).astype(dict.fromkeys(("ends_at", "given_at", "resubscribed_at"), "datetime64[us, UTC]"))
    table["days_left"] = pd.array([row["days_left"] for row in rows], dtype="Int64")
    return table


def reports_table(found: Iterable[ReportRow]) -> pd.DataFrame:
    """Issued reports; ``folder`` is the one in issued/, parameters are JSON."""
    rows = [
        vars(r) | {"folder": next(iter(r.files), "").partition("/")[0], "parameters": json.dumps(r.parameters, sort_keys=True)}
        for r in found
    ]
    return frame(rows, REPORTS)


@dataclass(frozen=True, kw_only=True)
class PersonCard:
    """Everything about one person: the person, the register's episodes, Salesforce's records, consents, one line of time.

    ``history`` has the columns `HISTORY`: both systems on one line of time, with what proves each entry; ``timeline`` is the same to be drawn.
    """

    person: Person
    unsubscribes: pd.DataFrame = field(repr=False)
    records: pd.DataFrame = field(repr=False)
    consents: pd.DataFrame = field(repr=False)
    history: pd.DataFrame = field(repr=False)
    timeline: Timeline = field(repr=False)

    def __repr__(self) -> str:
        return f"PersonCard({self.person.person_id})"


EPISODES = ("unsubscribe_id", "opted_out_at", "source", "detail", "recorded_at", "closed_at")
RECORDS = ("record_id", "object", "email", "opted_out", "system_modstamp", "last_modified_by", "is_deleted", "is_converted")
UNSUBSCRIBED = kept("unsubscribed")
SOURCES = {
    "clicked_link": kept("Clicked Link"), "manual": kept("Manual"), "salesforce_sync": kept("Salesforce Sync"),
    "bounce": kept("Bounce"), "spam_complaint": kept("Spam Complaint"), "import": kept("Import"),
}  # fmt: skip


def card(tx: Transaction, named: str) -> PersonCard:
    """The card of the person that an address or id names.

    Raises:
        InputError: nobody, or several people.
    """
    person = people.find(tx, named)
    episodes = people.unsubscribes(tx, [person.person_id]).get(person.person_id, ())
    rows = records.rows_of_people(tx, [person.person_id]).get(person.person_id, ())
    held = consents.of_people(tx, [person.person_id]).get(person.person_id, ())
    linked = [link.record_id for link in records.linked(tx, [person.person_id]).get(person.person_id, ())]
    changes = records.history_of(tx, linked)
    told = [h for e in trail_log.events(tx, person_id=person.person_id) if (h := read_leaf(e.leaf_bytes)).action in TOLD]
    lines = [*_register_lines(episodes, held), *_salesforce_lines(changes), *(_told_line(header) for header in told)]
    return PersonCard(
        person=person,
        unsubscribes=frame([vars(e) for e in episodes], EPISODES),
        records=frame([{c: getattr(r, c) for c in RECORDS} for r in rows], RECORDS),
        consents=consents_table(held),
        history=frame(sorted(lines, key=lambda r: (r["at"], r["what"])), HISTORY),
        timeline=timeline(
            episodes=episodes,
            rows=rows,
            changes=changes,
            consents=held,
            decided=[(_moment(h.ts), DECIDED[h.action]) for h in told if h.action in DECIDED],
        ),
    )


def _register_lines(episodes: Sequence[Unsubscribe], held: Sequence[Consent]) -> list[dict[str, Any]]:
    lines = [
        _line(e.opted_out_at, UNSUBSCRIBED, e.detail, SOURCES.get(e.source, e.source), register=UNSUBSCRIBED) for e in episodes
    ]
    return lines + [
        _line(c.recorded_at, kept("consent recorded"), _consent_text(c), c.recorded_by, proof=_digests(c)) for c in held
    ]


def _salesforce_lines(changes: Sequence[FieldChange]) -> list[dict[str, Any]]:
    lines = []
    for change in changes:
        what, after = (
            (kept("opted out in Salesforce"), kept("opted out"))
            if change.new
            else (kept("opt-out cleared in Salesforce"), kept("not opted out"))
        )
        lines.append(
            _line(
                change.at,
                what,
                said("{field} of {record}", field=change.field, record=change.record_id),
                change.by_name or change.by,
                salesforce=after,
            )
        )
    return lines


TOLD = {
    "person_resubscribed": (kept("resubscribed"), kept("subscribed"), kept("not opted out")),
    "person_refused": (kept("refused"), kept("unsubscribed"), ""),
    "person_aborted": (kept("kept opted out"), kept("unsubscribed"), kept("opted out")),
    "person_unsubscribed_by_sync": (kept("sync wrote"), kept("unsubscribed"), kept("opted out")),
    "opt_out_written": (kept("sync wrote"), kept("unsubscribed"), kept("opted out")),
    "follow_up_checked": (kept("looked at again"), "", ""),
}
"""Which trail events the card tells, and both sides' state after them."""


def _told_line(header: Header) -> dict[str, Any]:
    what, register, salesforce = TOLD[header.action]
    about = said("batch {batch}", batch=header.batch_id) if header.batch_id else ""
    return _line(
        _moment(header.ts),
        what,
        about,
        header.actor,
        register=register,
        salesforce=salesforce,
        proof=said("trail entry {seq}", seq=str(header.seq)),
    )


def _line(
    at: Any, what: str, detail: str, source: str, *, register: str = "", salesforce: str = "", proof: str = ""
) -> dict[str, Any]:
    return {
        "at": at,
        "what": what,
        "detail": detail,
        "source": source,
        "register_after": register,
        "salesforce_after": salesforce,
        "proof": proof,
    }


def _moment(text: str) -> Any:
    from datetime import datetime

    return datetime.fromisoformat(text)


def _consent_text(consent: Consent) -> str:
    given = f"{consent.given_at:%Y-%m-%d %H:%M}" if consent.given_at else said("at an unknown time")
    how, what = consent.method or said("method unknown"), consent.purpose or said("no purpose")
    return said("given {when}, {how}, for {what}", when=given, how=how, what=what)


def _digests(consent: Consent) -> str:
    return ", ".join(said("evidence {digest}", digest=e.sha256[:12]) for e in consent.evidence)


def counts_table(tx: Transaction, desk: Desk) -> pd.DataFrame:
    """Open mismatches by kind: open, oldest_business_days, over_limit (int64)."""
    counted = mismatches.counts(tx, now=desk.clock(), limit=desk.policy.honour_within_business_days)
    return frame([vars(c) for c in counted], ("kind", "open", "oldest_business_days", "over_limit"))
