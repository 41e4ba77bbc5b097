"""Workers that are wrong on purpose, as patches of the real one: the harness has to catch every one of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from workbench.resubscription import Abort, SendAgain
from workbench.salesforce import org as door
from workbench.salesforce.org import SalesforceOrg
from workbench.trail import events
from workbench.worker import beginning, course, settling


def no_final_check() -> None:
    """Closes the register without looking at Salesforce again."""
    settling.before_closing = lambda *_, **__: None


def unconditional() -> None:
    """Clears without a condition."""
    original = door.clear_request

    def request(*args: Any, **kwargs: Any) -> Any:
        made = original(*args, **kwargs)
        for part in made.body["compositeRequest"]:
            part.pop("httpHeaders")
        return made

    door.clear_request = request


def bumped_stamp() -> None:
    """Answers "modified since" by taking the new stamp and sending again, without judging the person anew."""
    original = settling.after_sending

    def after_sending(intent: Any, rows: Any, *args: Any, **kwargs: Any) -> Any:
        decision = original(intent, rows, *args, **kwargs)
        course.Course.verdict = lambda *_, **__: SimpleNamespace(eligible=True)  # type: ignore[method-assign]
        stamps = {r.record_id: r.system_modstamp for r in rows if r.opted_out}
        again = tuple(replace(b, stamp=stamps[b.record_id]) for b in intent.base if b.to_clear and b.record_id in stamps)
        return SendAgain(again) if isinstance(decision, Abort) and again else decision

    settling.after_sending = after_sending


def no_version_check() -> None:
    """Closes whatever episodes are open, also one that came while the batch ran."""
    settling._local_objection = lambda *_: None


def silent_intention() -> None:
    """Sends what no event has announced."""
    beginning.intended = lambda _, *, attempt: events.ClearIntended(rows=(), attempt=attempt)


def half_an_abort() -> None:
    """Says that a person is opted out again without writing it."""
    original = SalesforceOrg.opt_out
    SalesforceOrg.opt_out = lambda self, rows: original(self, [])  # type: ignore[method-assign]
    settling._still_open = lambda _: False


BROKEN: dict[str, Callable[[], None]] = {
    patch.__name__: patch
    for patch in (no_final_check, unconditional, bumped_stamp, no_version_check, silent_intention, half_an_abort)
}
