"""The main job, end to end, told in plain words: what an analyst, an administrator and the nightly job would do in a day.

Everything goes through the Workbench, as the notebooks and the command line do. Only the person who opts out again while the batch
runs is arranged with the scratch org beforehand, because nobody can be asked to click at the right moment.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from workbench.bench import Workbench
from workbench.demo.askers import REASON
from workbench.demo.cast import FIELDS
from workbench.demo.files import Input, named, write
from workbench.demo.proof import ReadBack, read_back
from workbench.scratch_org import ScratchOrg, start_scratch_org
from workbench.settings import FILE, point_at

Say = Callable[[str], None]
CONTROLLER = "Example GmbH"


@dataclass
class Demo:
    """A demo under way: its folder, its scratch org, its Workbench. A context manager that stops the org at the end."""

    folder: Path
    input: Input
    org: ScratchOrg
    wb: Workbench
    first: bool

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.wb.close()
        self.org.stop()


def prepare(folder: Path, *, clock: datetime | None = None) -> Demo:
    """Set the stage: input files, a scratch org, a workspace bound to it; or the ones that are there already.

    ``clock`` is the moment that the invented data is made for and the org begins at; now, by default.
    """
    folder = folder.resolve()
    workspace = folder / "workspace"
    first = not (workspace / FILE).exists()
    files = folder / "input"
    given = write(files, clock or datetime.now(UTC)) if first else named(files)
    with ExitStack() as undo:
        org = undo.enter_context(start_scratch_org(data=given.org, database=folder / "scratch-org.db", clock=clock))
        if first:
            Workbench.init(workspace, name="demo", url=org.url, controller=CONTROLLER, opt_out_fields=FIELDS).close()
        else:
            point_at(workspace, org.url)
        wb = undo.enter_context(Workbench.open(workspace))
        undo.pop_all()
    return Demo(folder, given, org, wb, first)


def run(demo: Demo, say: Say) -> bool:
    """The whole job; says what happened in plain words. Returns whether every check at the end held."""
    wb = demo.wb
    before = _writes(demo.org)
    _take_in(demo, say)
    say("")
    pulled = wb.pull(full=demo.first)
    say(f"Salesforce was read ({pulled.kind}): {pulled.rows:,} records, {pulled.changed:,} new or changed.")
    counts_before, forecast_before = _mismatches(wb), len(wb.forecast())
    batch = _batch(demo, say)
    say("")
    forecast_after = len(wb.forecast())
    synced = wb.sync()
    say(f"Nightly sync: {synced.sentence}")
    checked = wb.follow_up()
    held = int((checked["outcome"] == "held").sum())
    say(f"Follow-up after the sync: {held} of {len(checked)} resubscribed people held, {len(checked) - held} relapsed.")
    _tell_mismatches(say, counts_before, _mismatches(wb))
    say(
        f"Forecast of the nightly sync: {forecast_before} changes before the batch, {forecast_after} after it, {len(wb.forecast())} after the sync."
    )
    proof = read_back(demo.wb, batch)
    fine = _tell_proof(say, proof)
    written = _writes(demo.org) - before
    say(f"Records that were written in Salesforce in this run: {written}.")
    say("")
    _reports(wb, say)
    verdict = wb.trail.verify()
    say(
        f"The audit trail verifies: {verdict.events:,} events."
        if verdict.ok
        else f"The audit trail does NOT verify: {verdict.problems[0]}"
    )
    return fine and verdict.ok and len(checked) == held


def _take_in(demo: Demo, say: Say) -> None:
    people = demo.wb.import_people(demo.input.people)
    rejected = f" Rejected rows with their reasons: {people.rejects_file}" if people.rejects_file else ""
    say(f"People from Sales Connect's export: {people.sentence}{rejected}")
    consents = demo.wb.import_consents(demo.input.consents, demo.input.evidence)
    say(f"Consents with {len(demo.wb.verify_consents())} evidence files: {consents.sentence}")


def _batch(demo: Demo, say: Say) -> str:
    """Propose, approve and run the batch; or go on with the one that is there."""
    wb = demo.wb
    known = wb.batches()
    if len(known):
        batch = str(known["batch_id"].iloc[0])
        outcome = wb.run(batch)
        say(f"The batch was run before: {outcome.sentence}")
        return batch
    plan = wb.propose(wb.people_in_file(demo.input.batch).person_ids, reason=REASON)
    say(f"Batch proposed: {len(plan.rows)} people asked to be mailed again; {plan.eligible} eligible, {plan.refused} not.")
    for codes, some in sorted(plan.table[plan.table["codes"] != ""].groupby("codes"), key=lambda group: -len(group[1])):
        say(f"    {len(some):3} {codes}")
    say(f"    The nightly sync would touch {plan.forecast_before} of them without the batch, {plan.forecast_after} with it.")
    wb.approve(plan.id, plan.digest)
    say(f"Approved by {wb.operator}: the plan with the digest {plan.digest[:16]}…")
    _arrange_change_of_mind(demo)
    outcome = wb.run(plan.id)
    say(f"Batch run: {outcome.sentence}")
    items = wb.batch_items(plan.id)
    for cause in items[items["state"] == "ABORTED"]["cause"]:
        say(f"    One opt-out arrived during the run and won: {cause[0].lower()}{cause[1:]}")
    say(f"    Work list for the Sales Connect administrator: {len(wb.worklist(plan.id))} people.")
    return plan.id


def _arrange_change_of_mind(demo: Demo) -> None:
    """The moment our request has cleared this record, its person opts out again in the preference centre."""
    record = demo.input.changes_mind
    order = {"object": "Lead" if record.startswith("00Q") else "Contact", "id": record, "values": dict.fromkeys(FIELDS, True)}
    matcher = {"on": r"POST .*/composite$", "contains": f"/{record}"}
    demo.org.control("/hooks", {"after": matcher, "do": {"write": order | {"user": "Preference Centre"}}})


def _mismatches(wb: Workbench) -> dict[str, int]:
    counts = wb.mismatch_counts()
    return dict(zip(counts["kind"], counts["open"], strict=True))


def _tell_mismatches(say: Say, before: dict[str, int], after: dict[str, int]) -> None:
    say("Mismatches between register and Salesforce, by kind (before the batch -> after the sync):")
    for kind in sorted({*before, *after}):
        say(f"    {kind:32} {before.get(kind, 0):5} -> {after.get(kind, 0):5}")


def _tell_proof(say: Say, proof: ReadBack) -> bool:
    say("Read back from both systems:")
    say(f"    {proof.done - len(proof.done_but_out)} of {proof.done} resubscribed people are opted in on both sides.")
    say(
        f"    {proof.refused - len(proof.refused_but_touched)} of {proof.refused} refused people are untouched and still opted out."
    )
    say(
        f"    {proof.aborted - len(proof.aborted_but_in)} of {proof.aborted} people who opted out meanwhile are opted out on both sides."
    )
    for person in (*proof.done_but_out, *proof.refused_but_touched, *proof.aborted_but_in):
        say(f"    NOT AS IT SHOULD BE: person {person}")
    return proof.ok


def _reports(wb: Workbench, say: Say) -> None:
    now = wb.clock()
    since, until = (now - timedelta(days=30)).date(), (now + timedelta(days=1)).date()
    for name, parameters in (
        ("resubscription-audit", {"since": since.isoformat(), "until": until.isoformat()}),
        ("mismatch-review", {}),
    ):
        issued = wb.report(name, **parameters)
        say(f"Report issued: {issued.html}")


def _writes(org: ScratchOrg) -> int:
    """How many records the API was asked to change so far, by the org's own log."""
    return sum(len(request.get("writes") or ()) for request in org.control("/requests")["requests"])
