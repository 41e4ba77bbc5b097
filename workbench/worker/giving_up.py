"""Every open batch of a register that was restored is given up: it was decided on before opt-outs that the register no longer knows."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from workbench.desk import Desk
from workbench.eligibility import Finding
from workbench.resubscription import NOT_SENT, Abort, State
from workbench.said import kept, said
from workbench.store import batches, leases
from workbench.trail import events
from workbench.worker.settling import turn_back
from workbench.worker.step import Step, step

CAUSE = kept("the register was restored from a backup")
ON_THE_WAY = (State.SENT, State.VERIFIED)
RESTORED = Finding(
    code="register_restored",
    severity="refuse",
    sentence=said("The register was restored from a backup while this batch was open; propose the person again."),
    source="an opt-out received after the backup is not in the register, and the batch was approved without it",
)


@dataclass(frozen=True, kw_only=True)
class GivenUp:
    """How many batches were cancelled; how many wait for a `resume` that opts out ``turned_back`` people again."""

    cancelled: int
    to_resume: tuple[str, ...]
    turned_back: int


def give_up(desk: Desk) -> GivenUp:
    """Cancel every open batch; where people were on the way, they are to be opted out again and nobody else is begun.

    Who was on the way when the backup was made may have opted out since, so no state of theirs counts any more.
    """
    with desk.store.read() as tx:
        opened = [b for b in batches.everything(tx) if b.state in ("proposed", "approved", "running", "paused")]
    cancelled, to_resume, turned_back = 0, [], 0
    for batch in opened:
        with step(desk, batch.batch_id, signed=False) as made:
            leases.release(made.tx, holder=f"batch:{batch.batch_id}")
            turned = _turned_back(desk, made, batch.batch_id)
            if turned:
                turned_back += turned
                to_resume.append(batch.batch_id)
                batches.change(made.tx, batch.batch_id, expected=[batch.state], state="paused", pause_cause=f"{CAUSE}.")
            else:
                cancelled += 1
                batches.change(made.tx, batch.batch_id, expected=[batch.state], state="cancelled", finished_at=desk.clock())
                batches.let_go(made.tx, batch.batch_id)
                desk.trail.append(made.tx, events.BatchCancelled(cause=CAUSE), batch_id=batch.batch_id)
    return GivenUp(cancelled=cancelled, to_resume=tuple(to_resume), turned_back=turned_back)


def _turned_back(desk: Desk, made: Step, batch_id: str) -> int:
    """How many people of a batch are to be opted out again; the others, who were not begun, are refused if there are any."""
    under_way = batches.intents(made.tx, batch_id, states=[*ON_THE_WAY, State.ABORTING])
    for intent in under_way:
        if intent.state in ON_THE_WAY:
            turn_back(desk, made, intent, Abort("register_restored", CAUSE), rows=())
    if under_way:
        finding = events.Finding(code=RESTORED.code, severity=RESTORED.severity, sentence=RESTORED.sentence)
        for intent in batches.intents(made.tx, batch_id, states=NOT_SENT):
            made.move(intent, State.REFUSED, expected=NOT_SENT, refusals=[asdict(RESTORED)], cause="")
            refused = events.PersonRefused(consent_id=intent.consent_id, findings=(finding,), policy=desk.policy.digest)
            made.note(refused, intent)
    return len(under_way)
