"""What must be true at the end, whatever happened: from the org's log and ledger and the register's tables, without the engine.

For every person the latest opt-out against the latest consent decides. An opt-out that came before the last look at its side must
have stopped the resubscription on both sides; one that came later must stand on its own side, and after the nightly sync on both.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from itertools import chain

from faults.traces import Evidence, Row, Traces, moment

NOT_RESUBSCRIBED_FOR = {"not_applied", "salesforce_refused", "lease_lost", "no_longer_eligible"}
"""Why somebody whose consent is the latest word may be opted out again, where requests were made to fail."""
CHANGES_A_RECORD = ("edit", "late", "salesforce", "late_commit")
"""An opt-out in Salesforce is preceded by an opt-in: whoever is killed between the two has changed the record without opting out."""
ANNOUNCED_BY = {"clear": ("clear_intended",), "opt_out": ("abort_intended", "opt_out_intended")}
STATE_OF = {"clear": ("SENT",), "opt_out": ("ABORTING",)}


@dataclass(frozen=True)
class Judgement:
    """``losses`` are sentences; empty means that all is well. ``journal`` are the boundaries of all processes in order."""

    losses: tuple[str, ...]
    states: Counter[str]
    causes: Counter[str]
    journal: tuple[Row, ...]
    exits: tuple[int, ...]
    said: tuple[Row, ...]
    opt_outs: int
    faults: Counter[str]
    requests: tuple[Row, ...]


def judge(evidence: Evidence) -> Judgement:
    """Everything that is wrong at the end of a trial."""
    traces = Traces(evidence)
    losses = [*_process(evidence), *_others(traces), *_explained(traces), *_cleared_again(traces), *_closed_again(traces)]
    losses += chain(_unannounced(traces), _unconditional(traces), _unnoted(traces))
    for person_id in traces.records:
        losses += _person(traces, person_id, faulty=evidence.faulty)
        losses += _carried_over(traces, person_id) if evidence.synced else []
    faults = Counter(kind for request in traces.requests for kind in request["faults"])
    faults += Counter(line["injected"] for line in traces.journal if line.get("injected") in ("late", "lock", "clock"))
    return Judgement(
        losses=tuple(losses),
        states=Counter(i["state"] for i in traces.intents.values()),
        causes=Counter(i["cause"] for i in traces.intents.values() if i["state"] == "ABORTED"),
        journal=traces.journal,
        exits=evidence.exits,
        said=evidence.said,
        opt_outs=_opt_outs(traces),
        faults=faults,
        requests=tuple(traces.requests),
    )


def _opt_outs(traces: Traces) -> int:
    """How many opt-outs others made: ticked in Salesforce, or asked for here."""
    asked = [e for p in traces.records for e in traces.local(p) if e["source"] == "clicked_link"]
    return len(asked) + sum(len(traces.foreign(p)) for p in traces.records)


def _process(evidence: Evidence) -> Iterator[str]:
    said, last = evidence.said[-1], evidence.exits[-1]
    if last:
        yield f"the last process ended with {last}"
    if any(code not in (0, -9) for code in evidence.exits[:-1]):
        yield f"a process ended with {evidence.exits}"
    if said.get("state") != "finished":
        yield f"the batch is {said.get('state')}: {said.get('cause') or said.get('sentence')}"
    if not said.get("trail_ok"):
        yield "the trail does not verify"
    if said.get("again") or not said.get("same_again"):
        yield f"running again reached {said.get('again')} boundaries"


def _others(traces: Traces) -> Iterator[str]:
    """Everybody who is not eligible in the batch is exactly as before, on both sides."""
    yield from (
        f"{r} of somebody else was touched" for r, row in traces.before.items() if r not in traces.owner and traces.rows[r] != row
    )
    kept, before = (
        [e for e in some if e["person_id"] not in traces.records] for some in (traces.episodes, traces.episodes_before)
    )
    if kept != before:
        yield "an episode of somebody else was touched"


def _explained(traces: Traces) -> Iterator[str]:
    """The org's ledger tells the whole story: the flags of the beginning and its entries give the flags of the end."""
    last = max((e["number"] for e in traces.ledger), default=0)
    for person_id in traces.records:
        if traces.flags_at(person_id, last) != traces.flags(person_id):
            yield f"the org's ledger does not explain the records of {person_id}"


def _cleared_again(traces: Traces) -> Iterator[str]:
    """No opt-out that somebody else made in Salesforce was cleared by us."""
    opted_out: set[str] = set()
    for entry in traces.ledger:
        if entry["by"] != traces.us:
            (opted_out.add if entry["new"] else opted_out.discard)(entry["id"])
        elif not entry["new"] and entry["id"] in opted_out:
            yield f"LOST: the opt-out of {entry['id']} in Salesforce was cleared"


def _closed_again(traces: Traces) -> Iterator[str]:
    """No unsubscribe that came after the batch was approved was closed; none ever vanished; each is on the trail."""
    for person_id in traces.records:
        for episode in traces.local(person_id):
            if episode["closed_at"]:
                yield f"LOST: the unsubscribe {episode['unsubscribe_id']} was closed"
            if traces.recorded(episode["unsubscribe_id"]) < 0:
                yield f"the unsubscribe {episode['unsubscribe_id']} is not on the trail"
    if {e["unsubscribe_id"] for e in traces.episodes_before} - {e["unsubscribe_id"] for e in traces.episodes}:
        yield "LOST: an unsubscribe vanished"


def _unannounced(traces: Traces) -> Iterator[str]:
    """Every write was on the trail, committed, before it left: for this person's intent, these rows and this condition."""
    for line in traces.journal:
        for record in line.get("rows", ()) if line.get("at") == "http:before" else ():
            person, what = traces.owner.get(record), line["what"]
            told = [e for e in traces.events if e["seq"] < line["trail"] and _announces(traces, e, line, record)]
            if not told:
                yield f"nothing on the trail announced the {what} of {record}"
            elif told[-1]["intent_id"] and person and line["states"][person] not in STATE_OF[what]:
                yield f"the {what} of {record} left while its person was {line['states'][person]}"


def _announces(traces: Traces, event: Row, line: Row, record: str) -> bool:
    if event["action"] not in ANNOUNCED_BY[line["what"]] or traces.owner.get(record) is None:
        return False
    if event["intent_id"] not in (None, traces.intents[traces.owner[record]]["intent_id"]):
        return False
    if line["what"] == "opt_out":
        return record in event["payload"]["rows"]
    return (record, _conditions(line).get(record)) in _bases(event)


def _bases(event: Row) -> set[tuple[str, datetime]]:
    return {(r["record_id"], moment(r["base"])) for r in event["payload"]["rows"]}


def _conditions(line: Row) -> dict[str, datetime | None]:
    """The condition that each row of a noted request was sent with."""
    parts = json.loads(line["request"]["body"])["compositeRequest"]
    told = {p["url"].rpartition("/")[2]: p.get("httpHeaders", {}).get("If-Unmodified-Since") for p in parts}
    return {record: condition and parsedate_to_datetime(condition) for record, condition in told.items()}


def _unconditional(traces: Traces) -> Iterator[str]:
    """By the org's own log: whatever was cleared there was cleared on a stamp that the trail announced for that record."""
    stamps = set(chain.from_iterable(_bases(e) for e in traces.events if e["action"] == "clear_intended"))
    for write in (w for request in traces.requests for w in request["writes"]):
        if any(new is False for _, new in write.get("opt_out", {}).values()):
            condition = write["condition"] and parsedate_to_datetime(write["condition"])
            if (write["id"], condition) not in stamps:
                yield f"{write['id']} was cleared without its condition"


def _unnoted(traces: Traces) -> Iterator[str]:
    """By the org's own log: every request that wrote is one that was seen to leave, in that order, or one that was held back.

    What was held back arrives whenever it is let go. Which of several alike a request was can't be told from its rows, so every way
    is followed: how many of those seen to leave have arrived, and which of those held back.
    """
    sent = [set(line["rows"]) for line in traces.journal if line.get("rows") and line.get("at") == "http:before"]
    late = [set(line["rows"]) for line in traces.journal if line.get("rows") and line.get("at") is None]
    ways: set[tuple[int, frozenset[int]]] = {(0, frozenset())}
    for request in traces.requests:
        if wrote := {w["id"] for w in request["writes"]}:
            in_turn = {(n + 1, used) for at, used in ways for n in range(at, len(sent)) if wrote <= sent[n]}
            held_back = {(at, used | {n}) for at, used in ways for n in range(len(late)) if n not in used and wrote <= late[n]}
            if in_turn or held_back:
                ways = in_turn | held_back
            else:
                yield f"the org's request {request['number']} wrote what nobody was seen to send"
            if request["user"] != traces.us:
                yield f"the org's request {request['number']} was somebody else's"


def _person(traces: Traces, person_id: str, *, faulty: bool) -> Iterator[str]:
    """The latest word decides."""
    intent = traces.intents[person_id]
    state, out = intent["state"], traces.latest_opt_out(person_id) >= traces.latest_consent(person_id)
    came = bool(traces.foreign(person_id) or traces.local(person_id))
    if state == "DONE":
        yield from _done(traces, person_id)
    elif state in ("ABORTED", "REFUSED"):
        yield from _kept_out(traces, person_id, state)
        excused = traces.befell(person_id, *CHANGES_A_RECORD) or (faulty and intent["cause"] in NOT_RESUBSCRIBED_FOR)
        if not (out and came) and not excused:
            yield f"{person_id} is {state} ({intent['cause']}) for no reason"
    else:
        yield f"{person_id} is {state}"
    if out != came:
        yield f"{person_id}: the opt-outs of this trial do not add up"


def _done(traces: Traces, person_id: str) -> Iterator[str]:
    """Every flag was false when it was looked at for the last time, and whatever came later stands."""
    closed = [e["seq"] for e in traces.event(person_id, "person_resubscribed")]
    look = traces.last_look(person_id)
    if len(closed) != 1 or look is None:
        yield f"{person_id} is done without one event and a last look"
        return
    before = traces.event(person_id, "clear_intended", "clear_verified")
    if [e["action"] for e in before if e["seq"] < closed[0]][-1:] != ["clear_verified"]:
        yield f"{person_id} is done and was not verified"
    if all(any(traces.flags_at(person_id, entry).values()) for entry in range(look[0], look[1] + 1)):
        yield f"LOST: {person_id} is done and not every record was clear at the last look"
    told = traces.event(person_id, "person_resubscribed")[0]["payload"]["after"]
    if told["org"].keys() != set(traces.records[person_id]) or any(any(f.values()) for f in told["org"].values()):
        yield f"{person_id} is done and the trail does not say that every record was clear"
    if any(traces.recorded(e["unsubscribe_id"]) < closed[0] for e in traces.local(person_id)):
        yield f"LOST: {person_id} was done although the local opt-out came before"
    if any(e["number"] <= look[0] for e in traces.foreign(person_id)):
        yield f"LOST: {person_id} was done although the opt-out in Salesforce came before the last look"
    later = {e["id"] for e in traces.foreign(person_id)}
    yield from (f"LOST: the later opt-out of {r} does not stand" for r in later if not traces.flags(person_id)[r])
    if not traces.local(person_id):
        yield from (
            f"{person_id} is done and {r} opted out" for r, flag in traces.flags(person_id).items() if flag and r not in later
        )
        yield from (f"{person_id} is done and unsubscribed" for _ in traces.open_episodes(person_id))


def _kept_out(traces: Traces, person_id: str, state: str) -> Iterator[str]:
    """Aborted: opted out on both sides. Refused: nothing of ours ever happened to them."""
    flags, ours = traces.flags(person_id), [e for e in traces.ledger if e["by"] == traces.us]
    if state == "ABORTED":
        yield from (f"LOST: {person_id} is aborted and {r} is not opted out" for r, flag in flags.items() if not flag)
    else:
        yield from (f"{person_id} is refused and {e['id']} was cleared" for e in ours if e["id"] in flags and not e["new"])
    unsubscribed = any(e["person_id"] == person_id for e in traces.episodes_before) or traces.local(person_id)
    if (unsubscribed or state == "ABORTED") and not traces.open_episodes(person_id):
        yield f"LOST: {person_id} is {state} and subscribed in the register"


def _carried_over(traces: Traces, person_id: str) -> Iterator[str]:
    """After the nightly sync both sides say the same, and it is the latest word."""
    out = bool(traces.open_episodes(person_id))
    if traces.intents[person_id]["state"] == "DONE" and out != bool(traces.foreign(person_id) or traces.local(person_id)):
        yield f"LOST: after the sync {person_id} is {'un' if out else ''}subscribed"
    yield from (
        f"LOST: after the sync {r} says something else than the register" for r, f in traces.flags(person_id).items() if f != out
    )
