"""An opt-out on either side before and after every request of a run, whatever becomes of that request.

The requests are those that the org's own log names, in the order of the boundaries around them. What can become of one: nothing
unusual; it is carried out and its answer lost; the org is unavailable; the login has expired; the rows are locked; or it takes so
long that nobody waits for it, and is carried out later, while the opt-out comes from a transaction that began earlier.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from faults.harness import Event, Process, Trial
from faults.oracle import Judgement
from faults.programme import by_turns

KINDS = {"none": "", "dropped": "reset_after", "503": "503", "401": "expire_token", "lock": "lock", "late": ""}
OPT_OUTS = 4  # of four people in one trial: on both sides, before and after the request
LATER = (1, 2, 3, 4, 5, 7, 9)
"""How many boundaries later a request that nobody waited for is carried out, by turns."""


def exchanges(found: Judgement) -> list[dict[str, Any]]:
    """The boundaries before each request of a run, with the number of that request in the org's log."""
    before = [line for line in found.journal if line.get("at") == "http:before"]
    assert len(before) == len(found.requests), "every request has a boundary before it, and every boundary a request"
    return [line | {"number": request["number"]} for line, request in zip(before, found.requests, strict=True)]


def around(line: dict[str, Any], turn: int, *, late: bool) -> tuple[Event, ...]:
    """Opt-outs of four people: on either side, before and after one request."""
    here, there, here_too, there_too = by_turns(turn, OPT_OUTS)
    in_salesforce, n = "late_commit" if late else "salesforce", line["n"]
    before = Event(what="local", who=here, at=n), Event(what=in_salesforce, who=there, at=n)
    return (*before, Event(what="local", who=here_too, at=n + 1), Event(what=in_salesforce, who=there_too, at=n + 1))


def spoilt(line: dict[str, Any], kind: str, turn: int, *, events: Sequence[Event] = ()) -> Trial:
    """One run in which this request meets with this fault, and these things happen."""
    if kind == "late":
        arrives = (Event(what="late", at=line["n"] + LATER[turn % len(LATER)]),) if line["what"] == "clear" else ()
        return Trial(processes=(Process(withhold=line["n"], events=(*events, *arrives)),), cells=len(events) or 1)
    faults = ({"on": str(line["number"]), "kind": KINDS[kind]},) if KINDS[kind] else ()
    return Trial(processes=(Process(events=tuple(events)),), faults=faults, cells=len(events) or 1)


def every(found: Judgement) -> Iterator[Trial]:
    """Every request x every fault x either side x before and after."""
    for line in exchanges(found):
        for kind in KINDS:
            turn = line["n"] + list(KINDS).index(kind)
            yield spoilt(line, kind, turn, events=around(line, turn, late=kind == "late"))


def some(found: Judgement) -> Iterator[Trial]:
    """All of that from the first reading on, but locks only where something is written; before it without faults."""
    for line in exchanges(found):
        for kind in KINDS:
            turn = line["n"] + list(KINDS).index(kind)
            if kind == "none" or (line["what"] in ("read", "clear") and not (kind == "lock" and line["what"] == "read")):
                yield spoilt(line, kind, turn, events=around(line, turn, late=kind == "late"))


def behind(line: dict[str, Any], kind: str, found: Judgement) -> Iterator[Trial]:
    """Around every request that a run goes on with after a fault; ``found`` is that run without any opt-out."""
    went_on = [other for other in found.journal if other.get("at") == "http:before" and other["n"] > line["n"]]
    for turn, other in enumerate(went_on):
        yield spoilt(line, kind, line["n"], events=around(other, turn, late=kind == "late"))
