"""Which resubscribed people have which proof, and when it ends: what an organisation must be able to show at any time.

A proof ends when the consent's own validity does, or when the policy's refresh interval since the person's last act is over,
whichever is first (GDPR Art. 7(1); EDPB Guidelines 05/2020, paras 107-111).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from workbench.consent import Consent
from workbench.desk import Desk
from workbench.person import Person, unsubscribed
from workbench.resubscription import Intent
from workbench.store import batches, consents, people

SOUND = "sound"
WHY = {
    SOUND: "",
    "ended": "The proof is over; ask the person to renew the consent, or unsubscribe them.",
    "withdrawn": "The consent was withdrawn or refused; unsubscribe the person.",
    "evidence": "A file that proves the consent is missing or no longer what it was; restore it from a backup.",
    "none": "No consent is on file; record the one that justified it, or unsubscribe the person.",
}
"""How the proof of one person stands, and what to do about it."""


@dataclass(frozen=True, kw_only=True)
class Cover:
    """One resubscribed person's proof. ``days_left`` counts whole days to ``ends_at``; None where it has no end."""

    person: Person
    intent: Intent
    consent: Consent | None
    ends_at: datetime | None
    days_left: int | None
    proof: str


def coverage(desk: Desk, *, expiring: int | None = None) -> tuple[Cover, ...]:
    """Everybody whom we resubscribed and who is not unsubscribed now, with their proof; whose ends first, first.

    ``expiring`` leaves only those whose proof ends within so many days, and those without a sound one.
    """
    with desk.store.read() as tx:
        intents = {i.person_id: i for i in batches.resubscribed(tx)}
        known = people.by_ids(tx, list(intents))
        episodes = people.unsubscribes(tx, list(known))
        held = consents.of_people(tx, list(known))
    now, checked = desk.clock(), dict[str, bool]()
    found = [
        _cover(desk, person, intents[person_id], held.get(person_id, ()), now=now, checked=checked)
        for person_id, person in known.items()
        if not unsubscribed(episodes.get(person_id, ()))
    ]
    wanted = [c for c in found if expiring is None or c.proof != SOUND or (c.days_left is not None and c.days_left <= expiring)]
    return tuple(sorted(wanted, key=lambda c: (c.ends_at is None, c.ends_at or now, c.person.person_id)))


def ends_at(consent: Consent, *, refresh_days: int) -> datetime | None:
    """When a consent ceases to prove anything; None where it says neither when it was given nor until when it lasts."""
    acts = [at for at in (consent.double_opt_in_at, consent.counts_from) if at is not None]
    ends = [max(acts) + timedelta(days=refresh_days)] if acts else []
    if consent.valid_until is not None:
        ends.append(consent.valid_until)
    return min(ends).astimezone(UTC) if ends else None


def _cover(
    desk: Desk, person: Person, intent: Intent, held: Sequence[Consent], *, now: datetime, checked: dict[str, bool]
) -> Cover:
    chosen = _chosen(intent, held, now)
    end = ends_at(chosen, refresh_days=desk.policy.refresh_interval_days) if chosen else None
    for item in chosen.evidence if chosen else ():
        if item.sha256 not in checked:
            checked[item.sha256] = desk.evidence.check(item.sha256) == "intact"
    return Cover(
        person=person,
        intent=intent,
        consent=chosen,
        ends_at=end,
        days_left=None if end is None else (end - now) // timedelta(days=1),
        proof=_proof(chosen, end, now=now, checked=checked),
    )


def _chosen(intent: Intent, held: Sequence[Consent], now: datetime) -> Consent | None:
    """The newest consent in force, if it is no older than the one that was acted on; else that one."""
    acted_on = next((c for c in held if c.consent_id == intent.consent_id), None)
    for consent in held:  # newest first
        if consent is acted_on:
            break
        if not consent.withdrawn(now) and not consent.expired(now) and consent.evidence:
            return consent
    return acted_on


def _proof(consent: Consent | None, end: datetime | None, *, now: datetime, checked: dict[str, bool]) -> str:
    if consent is None:
        return "none"
    if consent.withdrawn(now):
        return "withdrawn"
    if consent.expired(now) or (end is not None and end <= now):
        return "ended"
    return SOUND if consent.evidence and all(checked[e.sha256] for e in consent.evidence) else "evidence"
