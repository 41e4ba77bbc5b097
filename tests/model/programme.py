"""What is explored: the settings of the engine, and every variant with the setting that finds it and what it does wrong."""

from __future__ import annotations

from dataclasses import dataclass

from model.state import Budget, Setting
from model.worker import BROKEN

WRONG = {
    "lost": "an opt-out made after the consent does not stand on both sides, although worker and sync have run",
    "done_over_an_opt_out": "DONE although a record read as opted out, or the register knew of a newer unsubscribe",
    "half_done": "DONE, nobody opted out, and one side is opted out",
    "cleared_after_the_end": "a late request clears a record of somebody who has an end",
    "aborted_and_not_opted_out": "ABORTED, and one side is not opted out",
    "unannounced": "a request left before SENT was durable",
    "turned_back_for_nothing": "not DONE, although nothing but the sync came between",
    "consent_usable_again": "the rules would take the same consent a second time, after a later opt-out",
}
"""What must never be, by its name."""

SMALL = (
    Setting(name="two records, crash, loss, opt-out", flags=(True, True), budget=Budget(crashes=1, lost=1, opt_outs=1)),
    Setting(
        name="opted out in Salesforce only",
        flags=(True, False),
        unsubscribed=False,
        budget=Budget(opt_outs=1, edits=1, errors=1),
        same_second=False,
    ),
    Setting(name="stale sync, standing still", flags=(True,), budget=Budget(opt_outs=1, syncs=1, stalls=1)),
)
LARGE = (
    Setting(
        name="two records, two crashes, two losses, opt-out", flags=(True, True), budget=Budget(crashes=2, lost=2, opt_outs=1)
    ),
    Setting(
        name="stale sync, standing still, two crashes, loss, opt-out",
        flags=(True,),
        budget=Budget(crashes=2, lost=1, opt_outs=1, syncs=1, stalls=1),
    ),
)


@dataclass(frozen=True)
class Variant:
    """A broken worker, the setting in which it shows, and everything that goes wrong there."""

    setting: Setting
    found: frozenset[str]

    @property
    def does(self) -> str:
        """What it does, as a sentence."""
        (name,) = self.setting.broken
        return BROKEN[name]


def _variant(name: str, *found: str, budget: Budget = Budget(crashes=1, lost=1, opt_outs=1)) -> Variant:  # noqa: B008 - frozen
    return Variant(Setting(name=name, flags=(True,), budget=budget, broken=frozenset({name})), frozenset(found))


VARIANTS = {
    variant.setting.name: variant
    for variant in (
        _variant("local_first", "lost", "half_done", "cleared_after_the_end"),
        _variant("salesforce_first", "lost", "half_done", "cleared_after_the_end"),
        _variant("blind_resend", "lost", "cleared_after_the_end", "aborted_and_not_opted_out"),
        _variant("unconditional", "lost", "cleared_after_the_end", "aborted_and_not_opted_out"),
        _variant("check_then_write", "lost", "cleared_after_the_end", "aborted_and_not_opted_out"),
        _variant("no_final_check", "done_over_an_opt_out"),
        _variant("bumped_stamp", "lost"),
        _variant("no_register_check", "lost", "done_over_an_opt_out"),
        _variant("no_quiet_period", "lost", budget=Budget(edits=1, opt_outs=1)),
        _variant("sent_afterwards", "lost", "unannounced", "done_over_an_opt_out", "cleared_after_the_end"),
        _variant("no_lease", "turned_back_for_nothing", budget=Budget(syncs=1)),
        _variant("abort_unwritten", "cleared_after_the_end", "aborted_and_not_opted_out"),
        _variant("abort_unread", "cleared_after_the_end", "aborted_and_not_opted_out"),
    )
}
