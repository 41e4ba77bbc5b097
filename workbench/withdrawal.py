"""Whoever takes a consent back wants no mail: the one place where a withdrawal or refusal, however it was learned of, takes effect.

By a command, a form, a file of consents, another system's export: a consent that was taken back gives its person a new version, so
that nothing decided before holds any longer, and unsubscribes who is not unsubscribed (GDPR Art. 7 (3), Art. 21 (3)).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from workbench.consent import Consent
from workbench.person import unsubscribed
from workbench.store import consents, mismatches, people
from workbench.store.database import Transaction
from workbench.trail import events, leaf_time


def follow(
    tx: Transaction, told: Iterable[Consent], *, by: str, now: datetime, append_event: Callable[..., object]
) -> tuple[str, ...]:
    """Let those of the consents that were taken back take effect, in the transaction that keeps them.

    Nobody is unsubscribed whose newer consent stands: the person changed their mind since, and the rules know it.

    Args:
        told: consents that the register has by now, whatever their state.
        by: the operator.
        now: UTC; a later withdrawal counts from now.
        append_event: puts an event on the trail within the transaction, as `TrailWriter.append` does.

    Returns:
        The ids of the people who are unsubscribed by this, in order.
    """
    gone: dict[str, tuple[datetime, str]] = {}
    for consent in told:
        if (at := consent.taken_back_at) is not None:
            gone[consent.person_id] = max((min(at, now), consent.consent_id), gone.get(consent.person_id, (at, "")))
    if not gone:
        return ()
    people.restate(tx, sorted(gone))
    on_file, episodes = consents.of_people(tx, gone), people.unsubscribes(tx, gone)
    followed = []
    for person_id, (at, consent_id) in sorted(gone.items()):
        if unsubscribed(episodes.get(person_id, ())) or _changed_their_mind(on_file.get(person_id, ()), since=at, now=now):
            continue
        detail = f"consent {consent_id} was withdrawn or refused"
        episode = people.unsubscribe(
            tx, person_id, opted_out_at=at, source="manual", detail=detail, recorded_at=now, recorded_by=by
        )
        event = events.UnsubscribeRecorded(unsubscribe_id=episode, opted_out_at=leaf_time(at), source="manual", detail=detail)
        append_event(tx, event, person_id=person_id)
        followed.append(person_id)
    if followed:
        mismatches.refresh(tx, now, append_event=append_event)
    return tuple(followed)


def _changed_their_mind(on_file: Iterable[Consent], *, since: datetime, now: datetime) -> bool:
    """Whether one of the consents was given after the moment, and stands."""
    return any(
        given is not None and since < given <= now and not consent.withdrawn(now)
        for consent in on_file
        for given in (consent.counts_from,)
    )
