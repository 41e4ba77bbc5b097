"""A batch from people to result: six steps on tabs, each a thin view of what the Workbench says."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from html import escape
from typing import Any

import ipywidgets as widgets

from workbench.panels.consent import ConsentStep
from workbench.panels.frame import Panel
from workbench.panels.picking import PeopleStep
from workbench.panels.wording import bullets, heading, paragraph, people, plain_time, spoken, table

STEPS = ("1 People", "2 Consent", "3 Check", "4 Approve", "5 Run", "6 Result")
PEOPLE, CONSENT, CHECK, APPROVE, RUN, RESULT = range(6)
VERDICTS = {
    "email": "E-mail",
    "outcome": "Verdict",
    "sentences": "Why",
    "records": "Records",
    "codes": "Rules",
}
ITEMS = {
    "email": "E-mail",
    "state": "State",
    "sentences": "Why",
    "cause": "Cause",
    "changed_at": "When (UTC)",
}
WORKLIST = {
    "email": "E-mail",
    "first_name": "First name",
    "last_name": "Last name",
    "company": "Company",
    "external_id": "Person ID there",
    "reason": "Reason",
}
EVENTS = {"at": "When (UTC)", "seq": "Entry", "action": "What", "operator": "By", "person_id": "Person"}
NO_BATCH = ("none yet", "")
BEGUN = ("running", "paused")


class BatchPanel(Panel):
    """People, consent, check, approve, run, result; an earlier batch can be opened again at any step."""

    purpose = "whom may we mail again, and how is it recorded."

    def body(self) -> Sequence[Any]:
        """The batch that is looked at, and the six steps."""
        self._stop = threading.Event()
        self._batch_id = ""
        self._digest = ""
        self._listing = False
        self._make_buttons()
        self.people_step = PeopleStep(self.wb, button=self.button, say=self.say, changed=self._people_changed)
        self.consent_step = ConsentStep(
            self.wb, button=self.button, start=self.start, say=self.say, chosen=lambda: self.people_step.frame
        )
        self.reason = widgets.Dropdown(
            description="Reason", options=[(text, code) for code, text in self.wb.policy.reasons.items()]
        )
        self.picked = widgets.Dropdown(description="Batch", options=[NO_BATCH])
        self.picked.observe(lambda change: self.attempt(lambda: self._picked(change["new"])), names="value")
        self._check_view, self._approve_view, self._run_view, self._result_view = (widgets.HTML() for _ in range(4))
        self.tabs = widgets.Tab(children=[widgets.VBox(step) for step in self._steps()], titles=STEPS)
        self.attempt(self._list_batches)
        self.attempt(self._begin)
        return [self.picked, self.tabs]

    def _make_buttons(self) -> None:
        self._check = self.button("Check", self.check, hint="Judge everybody by the rules; stores nothing")
        self._propose = self.button("Propose", self.propose, hint="Store the plan for approval", main=True)
        self._approve = self.button("Approve", self.approve, hint="Approve exactly this plan", main=True)
        self._cancel = self.button("Cancel batch", self.cancel, hint="Give the batch up; nothing is changed")
        self._run = self.button("Run", self.run, hint="Resubscribe the people of the approved batch", main=True)
        self._pause = self.button("Pause", self.pause, hint="Stop at the next safe point; resume later")
        self._resume = self.button("Resume", self.resume, hint="Go on with a paused batch")
        self._undo = self.button("Undo batch", self.undo, hint="Opt everybody of this batch out again, on both sides")
        self._pause.disabled = True
        self._busy = [self._check, self._propose, self._approve, self._cancel, self._run, self._resume, self._undo]

    def _steps(self) -> list[list[Any]]:
        undo = "Undo opts everybody of this batch out again, in the register and in Salesforce."
        return [
            [self.people_step.widget],
            [self.consent_step.widget],
            [self.reason, widgets.HBox([self._check, self._propose]), self._check_view],
            [self._approve_view, widgets.HBox([self._approve, self._cancel])],
            [widgets.HBox([self._run, self._pause, self._resume]), self._run_view],
            [self._result_view, widgets.HTML(paragraph(undo)), widgets.HBox([self._undo])],
        ]

    def _begin(self) -> None:
        from workbench.panels import handover

        self._show_batch("")
        if handover.take(self.wb.workspace):
            self.people_step.take_selection()
        else:
            self.say("idle", "Choose the people first: step 1")
        self._show_unfinished()

    def _show_unfinished(self) -> None:
        """Open at the newest batch that was begun and has not ended: a closed browser or a restarted kernel loses nothing."""
        found = self.wb.batches()
        begun = found[found["state"].isin(BEGUN)]
        if begun.empty:
            return
        newest = begun.iloc[0]
        self._changed(newest["batch_id"])
        self.tabs.selected_index = RUN
        self.say(
            "look",
            f"Batch {newest['batch_id']} was begun and has not ended: {newest['open']:,} of {people(newest['people'])} are still to be done",
            "Press Resume to go on.",
        )

    def _people_changed(self) -> None:
        self._check_view.value = ""
        self.consent_step.show()

    # -- which batch -----------------------------------------------------------------------------------------------------------

    def _list_batches(self, chosen: str = "") -> None:
        found = self.wb.batches()
        named = [(_batch_line(row), row["batch_id"]) for row in found.to_dict("records")]
        self._listing = True  # new options choose the first one for a moment: that is nobody's choice
        self.picked.options = [NO_BATCH, *named]
        self.picked.value = chosen if chosen in set(found["batch_id"]) else ""
        self._listing = False

    def _picked(self, batch_id: str | None) -> None:
        if not self._listing and batch_id != self._batch_id:
            self._show_batch(batch_id or "")
            if batch_id:
                self.say("done", f"Batch {batch_id} is shown")

    def _show_batch(self, batch_id: str) -> None:
        """Fill steps 4 to 6 with what the register says about the batch."""
        self._batch_id = batch_id
        if not batch_id:
            self._digest = ""
            nothing = paragraph("No batch yet: propose one in step 3, or choose an earlier one above.")
            self._approve_view.value = self._run_view.value = self._result_view.value = nothing
            return
        plan = self.wb.plan(batch_id)
        self._digest = plan.digest
        self._approve_view.value = _approval_html(plan)
        self._run_view.value = paragraph(f"Batch {batch_id} is {plan.batch.state}.")
        self._show_result(batch_id)

    def _show_result(self, batch_id: str) -> None:
        items = self.wb.batch_items(batch_id)
        worklist, entries = self.wb.worklist(batch_id), self.wb.trail.events(batch_id=batch_id)
        self._result_view.value = (
            heading("What happened to each person")
            + table(items, ITEMS, caption=f"Batch {batch_id}", spell=("state",))
            + heading("Work list for the Sales Connect admin")
            + table(
                worklist,
                WORKLIST,
                caption="Clear these people's boxes in Sales Connect",
                empty="Nobody was resubscribed.",
                spell=("reason",),
            )
            + heading("Trail entries")
            + table(entries, EVENTS, caption="What the audit trail holds about this batch", empty="No entry.", spell=("action",))
        )

    # -- check and propose -----------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Judge the chosen people by the rules, without storing anything."""
        ids, reason = self.people_step.person_ids, self.reason.value
        self.start(f"Checking {people(len(ids))}", lambda _: self.wb.check(ids, reason=reason), self._checked, resting=self._busy)

    def _checked(self, plan: Any) -> None:
        self._check_view.value = plan_html(plan)
        self.say(
            "done" if plan.eligible else "refused",
            f"{plan.eligible} of {people(plan.eligible + plan.refused)} may be resubscribed; {plan.refused} not",
        )

    def propose(self) -> None:
        """Store the plan as a batch for approval."""
        ids, reason = self.people_step.person_ids, self.reason.value
        self.start(
            f"Proposing {people(len(ids))}", lambda _: self.wb.propose(ids, reason=reason), self._proposed, resting=self._busy
        )

    def _proposed(self, plan: Any) -> None:
        self._check_view.value = plan_html(plan)
        self._changed(plan.id)
        self.tabs.selected_index = APPROVE
        self.say(
            "done",
            f"Batch {plan.id} proposed: {plan.eligible} of {people(plan.eligible + plan.refused)} may be resubscribed; {plan.refused} not",
        )

    def _changed(self, batch_id: str) -> None:
        self._show_batch(batch_id)
        self._list_batches(batch_id)

    # -- approve, run, undo ----------------------------------------------------------------------------------------------------

    def approve(self) -> None:
        """Approve the plan that is on the screen."""
        if self._needs_batch():
            self.wb.approve(self._batch_id, self._digest)
            self._changed(self._batch_id)
            self.tabs.selected_index = RUN
            self.say("done", f"Batch {self._batch_id} approved by {self.wb.operator}")

    def cancel(self) -> None:
        """Give the batch up."""
        if self._needs_batch():
            self.wb.cancel(self._batch_id)
            self._changed(self._batch_id)
            self.say("done", f"Batch {self._batch_id} cancelled; nobody was resubscribed by it")

    def run(self) -> None:
        """Resubscribe the people of the batch, off the kernel's thread."""
        self._carry_out("Running", self.wb.run)

    def resume(self) -> None:
        """Go on with a batch that was paused or cut off."""
        self._carry_out("Resuming", self.wb.resume)

    def _carry_out(self, word: str, action: Any) -> None:
        if not self._needs_batch():
            return
        batch_id = self._batch_id
        self._stop.clear()
        self._pause.disabled = False
        self.start(
            f"{word} batch {batch_id}",
            lambda tell: action(batch_id, progress=tell, stop=self._stop),
            self._ran,
            resting=self._busy,
        )

    def _ran(self, outcome: Any) -> None:
        self._changed(outcome.batch_id)
        finished = outcome.state == "finished"
        whole = finished and not outcome.refused and not outcome.aborted
        if finished:
            self.tabs.selected_index = RESULT
        self.say("done" if whole else "refused", outcome.sentence, "" if finished else "Press Resume to go on.")

    def _on_end(self, ended: Any) -> None:
        self._pause.disabled = True
        super()._on_end(ended)
        if ended.error is not None:
            self.attempt_quietly()

    def attempt_quietly(self) -> None:
        """After a failure, show how the batch stands without covering the failure's sentence."""
        if self._batch_id:
            said = self.status.tone, self.status.sentence, self.status.advice
            self.attempt(lambda: self._changed(self._batch_id))
            self.say(*said)

    def pause(self) -> None:
        """Ask the run to stop at the next safe point."""
        self._stop.set()
        self._pause.disabled = True
        self.say("working", "Pausing at the next safe point")

    def undo(self) -> None:
        """Opt everybody of the batch out again, on both sides."""
        if self._needs_batch():
            batch_id = self._batch_id
            self.start(f"Undoing batch {batch_id}", lambda _: self.wb.undo(batch_id), self._undone, resting=self._busy)

    def _undone(self, outcome: Any) -> None:
        self._changed(outcome.batch_id)
        self.say("done", outcome.sentence)

    def _needs_batch(self) -> bool:
        if not self._batch_id:
            self.say("refused", "there is no batch yet", "Propose one in step 3, or choose an earlier one above.")
        return bool(self._batch_id)


def _batch_line(row: Any) -> str:
    return (
        f"{plain_time(row['proposed_at'])} – {row['state']}, {people(row['people'])}, {spoken(row['reason'])} – {row['batch_id']}"
    )


def plan_html(plan: Any) -> str:
    """A plan as escaped HTML: sums, blockers, forecast, cost, verdict by person."""
    total = plan.eligible + plan.refused
    left = f" of {plan.calls_left:,} left today" if plan.calls_left is not None else ""
    facts = [
        f"{plan.eligible} of {people(total)} may be resubscribed, {plan.refused} not.",
        f"It takes {plan.cost:,} API calls{left}.",
        f"Tonight's sync would touch {people(plan.forecast_before)} of this batch without it, {plan.forecast_after:,} with it.",
    ]
    blockers = heading("Before it can be approved") + bullets(plan.blockers) if plan.blockers else ""
    return bullets(facts) + blockers + table(plan.table, VERDICTS, caption="Verdict by person", spell=("outcome", "codes"))


def _approval_html(plan: Any) -> str:
    batch = plan.batch
    facts = [
        f"Batch {batch.batch_id} is {batch.state}; reason: {spoken(batch.reason)}.",
        f"Proposed by {batch.proposed_by}, {plain_time(batch.proposed_at)} UTC.",
    ]
    if batch.approved_at is not None:
        facts.append(f"Approved by {batch.approved_by}, {plain_time(batch.approved_at)} UTC.")
    digest = f'<p>The approval names this plan\'s digest: <code class="cw-digest">{escape(batch.digest)}</code></p>'
    return bullets(facts) + digest + plan_html(plan)
