"""What every report ends with: the trail's verdict and the checkpoint that ties the page to a moment of the trail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.reports.presentation import Facts, Note
from workbench.trail import parse_checkpoint

if TYPE_CHECKING:
    from workbench.bench import Workbench
    from workbench.trail import TrailVerdict


def trail_verdict(wb: Workbench) -> Facts:
    """The whole trail verified now: intact or not, how many events, and every problem in its own sentence."""
    return verdict_facts(wb.trail.verify())


def verdict_facts(verdict: TrailVerdict) -> Facts:
    """What a verification found."""
    values: dict[str, object] = {"Trail": "intact" if verdict.ok else "does not verify", "Events": verdict.events}
    values["Covered by the last checkpoint"] = verdict.size
    values |= {f"Problem {number}": problem for number, problem in enumerate(verdict.problems, start=1)}
    return Facts(
        "Trail",
        values,
        frozenset() if verdict.ok else frozenset(name for name in values if name.startswith(("Trail", "Problem"))),
    )


def checkpoint(wb: Workbench) -> Note:
    """The newest signed checkpoint, to be kept where nobody who runs the workbench can change it."""
    note = wb.trail.newest_checkpoint()
    if not note:
        return Note("Checkpoint", "The trail has no signed checkpoint yet: nothing ties this page to it.", finding=True)
    size = parse_checkpoint(note).size
    sentence = (
        f"Checkpoint of the trail's first {size} events. Kept with this page, it proves later that none of them was changed or removed: "
        "save the lines below to a file and run workbench trail verify --known FILE."
    )
    return Note("Checkpoint", sentence, verbatim=note, facts={"checkpoint_size": size})
