"""The bridge to the engine's own decisions: the model's small values become the engine's types, the engine decides.

Nothing is decided here. Each answer is kept, since the same question comes up in thousands of states.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from model.state import CLOSED, NONE, US, Base, Row, State
from workbench import nightly, resubscription
from workbench.consent import Consent, Evidence
from workbench.desk import Files, case_for
from workbench.eligibility import EvidenceCheck, assess
from workbench.mismatch import UNSUBSCRIBE_PERSON, Change
from workbench.org import OPT_OUT_FIELD, FieldChange, OrgRow, Reading
from workbench.person import Person, Unsubscribe
from workbench.policy import Policy
from workbench.resubscription import BaseRow, Intent, SendAgain, Verified
from workbench.worker import settling

UNSUBSCRIBED_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
CONSENTED_AT = datetime(2026, 6, 1, 10, tzinfo=UTC)
RUN_AT = datetime(2026, 11, 2, 9, tzinfo=UTC)
NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
POLICY = Policy(controller="Example GmbH")
PERSON = "p-1"
PROOF = "0" * 64
CONSENT = Consent(
    consent_id="c-1",
    person_id=PERSON,
    email="anna@example.com",
    controller="Example GmbH",
    purpose="sales_email",
    given_at=CONSENTED_AT,
    recorded_at=CONSENTED_AT,
    recorded_by="somebody",
    method="paper",
    notice_text="Please send me your newsletter again.",
    notice_version="2026-05",
    language="en",
    jurisdiction="GB",
    evidence=(Evidence(sha256=PROOF, size=1),),
)


def moment(stamp: int) -> datetime:
    """The time of a stamp: 0 is before the consent, every later one after it and an hour from the next."""
    return UNSUBSCRIBED_AT if stamp == 0 else RUN_AT + stamp * HOUR


def stamp_of(at: datetime) -> int:
    """The other way round."""
    return 0 if at == UNSUBSCRIBED_AT else (at - RUN_AT) // HOUR


def record_id(number: int) -> str:
    """The id of a record."""
    return f"00Qxx000000000{number}AAA"


def org_rows(rows: Sequence[Row]) -> tuple[OrgRow, ...]:
    """Records as the engine reads them."""
    return tuple(
        OrgRow(
            record_id=record_id(n),
            object="Lead",
            email="anna@example.com",
            opt_outs={OPT_OUT_FIELD: row.flag},
            system_modstamp=moment(row.stamp),
            last_modified_date=moment(row.stamp),
            last_modified_by=row.by,
        )
        for n, row in enumerate(rows)
    )


def org_history(rows: Sequence[Row]) -> tuple[FieldChange, ...]:
    """Their field history."""
    return tuple(
        FieldChange(record_id=record_id(n), field=OPT_OUT_FIELD, old=not new, new=new, at=moment(at), by=by)
        for n, row in enumerate(rows)
        for at, new, by in row.history
    )


def base_rows(base: Sequence[Base]) -> tuple[BaseRow, ...]:
    """The register's `base` of an intent."""
    return tuple(
        BaseRow(
            record_id=record_id(n),
            object="Lead",
            stamp=moment(b.stamp),
            to_clear=(OPT_OUT_FIELD,) if b.to_clear else (),
            verified_stamp=moment(b.verified) if b.verified >= 0 else None,
        )
        for n, b in enumerate(base)
    )


def in_small(base: Sequence[BaseRow]) -> tuple[Base, ...]:
    """The other way round."""
    return tuple(Base(stamp_of(b.stamp), bool(b.to_clear), stamp_of(b.verified_stamp) if b.verified_stamp else -1) for b in base)


def files(older: int, newer: int, *, moved: bool) -> Files:
    """What the register knows about the person."""
    episodes = [
        Unsubscribe(
            unsubscribe_id=name,
            person_id=PERSON,
            opted_out_at=at,
            source="clicked_link",
            recorded_at=at,
            closed_at=NOW if state == CLOSED else None,
        )
        for name, state, at in (("u-1", older, UNSUBSCRIBED_AT), ("u-2", newer, RUN_AT + 100 * HOUR))
        if state != NONE
    ]
    person = Person(
        person_id=PERSON, email=CONSENT.email, email_as_given=CONSENT.email, version=2 if moved else 1, salesforce_ids=()
    )
    return Files(people={PERSON: person}, unsubscribes={PERSON: tuple(episodes)}, others={}, held_by={}, withdrawn_at={})


def intent(base: Sequence[Base], attempts: int) -> Intent:
    """The person's intent, decided on at the register's version 1."""
    return Intent(
        intent_id="i-1",
        batch_id="b-1",
        position=0,
        person_id=PERSON,
        consent_id=CONSENT.consent_id,
        state=resubscription.State.SENT,
        person_version=1,
        base=base_rows(base),
        base_version=1,
        attempts=attempts,
        changed_at=RUN_AT + HOUR / 2,
    )


class Rules:
    """The engine's decisions, looked up when they are asked for: who replaces a function of the engine changes the model."""

    def __init__(self) -> None:
        self._known: dict[Any, Any] = {}

    def _once(self, question: Any, answer: Callable[[], Any]) -> Any:
        if question not in self._known:
            self._known[question] = answer()
        return self._known[question]

    def eligible(self, reading: tuple[Row, ...], older: int, newer: int) -> bool:
        """`eligibility.assess` on a fresh reading."""
        return bool(self._once(("eligible", reading, older, newer), lambda: self._eligible(reading, older, newer)))

    def _eligible(self, reading: tuple[Row, ...], older: int, newer: int) -> bool:
        known = files(older, newer, moved=False)
        case = case_for(
            known.people[PERSON],
            files=known,
            consent=CONSENT,
            rows=org_rows(reading),
            reading=Reading(rows=org_rows(reading), history=org_history(reading), missing=frozenset(), server_time=NOW),
            evidence={PROOF: EvidenceCheck(sha256=PROOF, state="intact")},
            unwritable=(),
            reason="signed_form",
        )
        return assess(case, POLICY, now=NOW).eligible

    def too_fresh(self, reading: tuple[Row, ...], fresh: int) -> bool:
        """`resubscription.unsettled`, with the org's time shortly after the change of a fresh record."""
        return bool(self._once(("fresh", reading, fresh), lambda: self._too_fresh(reading, fresh)))

    def _too_fresh(self, reading: tuple[Row, ...], fresh: int) -> bool:
        recent = [moment(row.stamp) for n, row in enumerate(reading) if fresh >> n & 1]
        server_time = max(recent, default=NOW) + timedelta(seconds=10)
        return bool(
            resubscription.unsettled(org_rows(reading), server_time=server_time, quiet_seconds=POLICY.quiet_period_seconds)
        )

    def base_of(self, reading: tuple[Row, ...]) -> tuple[Base, ...]:
        """`resubscription.base_of`."""
        return self._once(("base", reading), lambda: in_small(resubscription.base_of(org_rows(reading))))

    def to_send(self, base: tuple[Base, ...]) -> tuple[int, ...]:
        """`resubscription.clears`: the records that a request is sent for."""
        return self._once(("clears", base), lambda: numbers(c.record_id for c in resubscription.clears(base_rows(base))))

    def objection(self, state: State) -> str:
        """`settling._local_objection`: its cause, or ""."""
        question = ("objection", state.older, state.newer, state.moved)
        return self._once(question, lambda: self._objection(state))

    def _objection(self, state: State) -> str:
        abort = settling._local_objection(intent(state.base, state.attempts), files(state.older, state.newer, moved=state.moved))
        return abort.cause if abort else ""

    def reading_back(self, state: State, *, refused: bool) -> tuple[str, Any]:
        """`resubscription.after_sending`: ("verified", base), ("again", records) or ("abort", cause)."""
        reading = state.worker.reading
        question = ("after", state.base, state.attempts, reading, refused)
        return self._once(question, lambda: self._reading_back(state, reading, refused=refused))

    def _reading_back(self, state: State, reading: tuple[Row, ...], *, refused: bool) -> tuple[str, Any]:
        decided = resubscription.after_sending(
            intent(state.base, state.attempts), org_rows(reading), org_history(reading), us=US, refused=refused
        )
        if isinstance(decided, Verified):
            return "verified", in_small(decided.base)
        return (
            ("again", numbers(b.record_id for b in decided.rows)) if isinstance(decided, SendAgain) else ("abort", decided.cause)
        )

    def final_check(self, state: State) -> str:
        """`resubscription.before_closing`: the cause of its objection, or ""."""
        reading = state.worker.reading
        return self._once(("closing", state.base, reading), lambda: self._final_check(state, reading))

    def _final_check(self, state: State, reading: tuple[Row, ...]) -> str:
        abort = resubscription.before_closing(intent(state.base, state.attempts), org_rows(reading), org_history(reading), us=US)
        return abort.cause if abort else ""

    def opted_out_again(self, reading: tuple[Row, ...], base: tuple[Base, ...]) -> bool:
        """`resubscription.still_to_opt_out`: whether nothing is left to opt out."""
        return bool(
            self._once(("again", reading, base), lambda: not resubscription.still_to_opt_out(intent(base, 1), org_rows(reading)))
        )

    def sync_dates_as_newer(self, stored: tuple[Row, ...]) -> bool:
        """`nightly._origin`: whether the sync dates an opt-out that it carries over after the consent."""
        return bool(self._once(("origin", stored), lambda: self._sync_dates_as_newer(stored)))

    def _sync_dates_as_newer(self, stored: tuple[Row, ...]) -> bool:
        row = next(r for r in org_rows(stored) if r.opted_out)
        mine = [h for h in org_history(stored) if h.record_id == row.record_id]
        change = Change(action=UNSUBSCRIBE_PERSON, person_id=PERSON, record_id=row.record_id, why="")
        at, _, _ = nightly._origin(change, row, nightly._ticked(row, mine), now=NOW)
        return at >= CONSENTED_AT


def numbers(record_ids: Any) -> tuple[int, ...]:
    """The records of some ids."""
    return tuple(int(i[14]) for i in record_ids)
