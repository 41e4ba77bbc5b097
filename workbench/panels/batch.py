"""A batch from people to result: six steps on tabs, each a thin view of what the Workbench says."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from html import escape
from typing import Any

import ipywidgets as widgets

from workbench.panels.consent import ConsentStep
from workbench.panels.frame import ADMIN, WORKING, Panel
from workbench.panels.language import N_, _, ngettext, told, word
from workbench.panels.picking import PeopleStep
from workbench.panels.wording import bullets, heading, paragraph, people, plain_time, spoken, state, table

STEPS = (N_("1 People"), N_("2 Consent"), N_("3 Check"), N_("4 Approve"), N_("5 Run"), N_("6 Result"))
PEOPLE, CONSENT, CHECK, APPROVE, RUN, RESULT = range(6)
VERDICTS = {
    "email": N_("E-mail"),
    "outcome": N_("Verdict"),
    "sentences": N_("Why"),
    "records": N_("Records"),
    "codes": N_("Rules"),
}
ITEMS = {
    "email": N_("E-mail"),
    "state": N_("State"),
    "sentences": N_("Why"),
    "cause": N_("Cause"),
    "changed_at": N_("When (UTC)"),
}
WORKLIST = {
    "email": N_("E-mail"),
    "first_name": N_("First name"),
    "last_name": N_("Last name"),
    "company": N_("Company"),
    "external_id": N_("Person ID there"),
    "reason": N_("Reason"),
}
EVENTS = {"at": N_("When (UTC)"), "seq": N_("Entry"), "action": N_("What"), "operator": N_("By"), "person_id": N_("Person")}
REASONS = (
    N_("The person signed up again and confirmed it by double opt-in."),
    N_("The person asked in writing to be mailed again."),
    N_("The person signed a form."),
    N_("The person asked by telephone, and the call was recorded."),
    N_("A machine or another person had used the unsubscribe link."),
    N_("The opt-out had been recorded by mistake, and the error is proven."),
)
"""What a new policy says of its reasons; what an organisation writes itself is shown as it is."""
BEGUN = ("running", "paused")


class BatchPanel(Panel):
    """People, consent, check, approve, run, result; an earlier batch can be opened again at any step."""

    purpose = "whom may we mail again, and how is it recorded."
    limits = N_("Choose people, record their consent, check and propose; an administrator approves and runs the batch.")

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
        self.reserve(WORKING, self._check, self._propose, self._cancel, *self.consent_step.buttons)
        self.reserve(ADMIN, self._approve, self._run, self._resume, self._undo)
        self.reason = widgets.Dropdown(
            description=_("Reason"), options=[(word(text), code) for code, text in self.wb.policy.reasons.items()]
        )
        self.picked = widgets.Dropdown(description=_("Batch"), options=[self._no_batch()])
        self.picked.observe(lambda change: self.attempt(lambda: self._picked(change["new"])), names="value")
        self._check_view, self._approve_view, self._run_view, self._result_view = (widgets.HTML() for _view in range(4))
        self.tabs = widgets.Tab(children=[widgets.VBox(step) for step in self._steps()], titles=tuple(_(step) for step in STEPS))
        self._list_batches()
        self.attempt(self._begin)
        return [self.picked, self.tabs]

    def _make_buttons(self) -> None:
        self._check = self.button(_("Check"), self.check, hint=_("Judge everybody by the rules; stores nothing"))
        self._propose = self.button(_("Propose"), self.propose, hint=_("Store the plan for approval"), main=True)
        self._approve = self.button(_("Approve"), self.approve, hint=_("Approve exactly this plan"), main=True)
        self._cancel = self.button(_("Cancel batch"), self.cancel, hint=_("Give the batch up; nothing is changed"))
        self._run = self.button(_("Run"), self.run, hint=_("Resubscribe the people of the approved batch"), main=True)
        self._pause = self.button(_("Pause"), self.pause, hint=_("Stop at the next safe point; resume later"))
        self._resume = self.button(_("Resume"), self.resume, hint=_("Go on with a paused batch"))
        self._undo = self.button(_("Undo batch"), self.undo, hint=_("Opt everybody of this batch out again, on both sides"))
        self._pause.disabled = True
        self._busy = [self._check, self._propose, self._approve, self._cancel, self._run, self._resume, self._undo]

    def _steps(self) -> list[list[Any]]:
        undo = _("Undo opts everybody of this batch out again, in the register and in Salesforce.")
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
            self.say("idle", _("Choose the people first: step 1"))
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
            ngettext(
                "Batch {batch} was begun and has not ended: {open} of {number} person is still to be done",
                "Batch {batch} was begun and has not ended: {open} of {number} people are still to be done",
                int(newest["people"]),
                batch=newest["batch_id"],
                open=int(newest["open"]),
            ),
            _("Press Resume to go on."),
        )

    def _people_changed(self) -> None:
        self._check_view.value = ""
        self.consent_step.show()

    # -- which batch -----------------------------------------------------------------------------------------------------------

    def _list_batches(self, chosen: str = "") -> None:
        found = self.wb.batches()
        named = [(_batch_line(row), row["batch_id"]) for row in found.to_dict("records")]
        self._listing = True  # new options choose the first one for a moment: that is nobody's choice
        self.picked.options = [self._no_batch(), *named]
        self.picked.value = chosen if chosen in set(found["batch_id"]) else ""
        self._listing = False

    def _no_batch(self) -> tuple[str, str]:
        return (_("none yet"), "")

    def _picked(self, batch_id: str | None) -> None:
        if not self._listing and batch_id != self._batch_id:
            self._show_batch(batch_id or "")
            if batch_id:
                self.say("done", _("Batch {batch} is shown", batch=batch_id))

    def _show_batch(self, batch_id: str) -> None:
        """Fill steps 4 to 6 with what the register says about the batch."""
        self._batch_id = batch_id
        if not batch_id:
            self._digest = ""
            nothing = state("empty", "", _("No batch yet: propose one in step 3, or choose an earlier one above."))
            self._approve_view.value = self._run_view.value = self._result_view.value = nothing
            return
        plan = self.wb.plan(batch_id)
        self._digest = plan.digest
        self._approve_view.value = _approval_html(plan)
        self._run_view.value = paragraph(_("Batch {batch} is {state}.", batch=batch_id, state=spoken(plan.batch.state)))
        self._show_result(batch_id)

    def _show_result(self, batch_id: str) -> None:
        items = self.wb.batch_items(batch_id)
        worklist, entries = self.wb.worklist(batch_id), self.wb.trail.events(batch_id=batch_id)
        self._result_view.value = (
            heading(_("What happened to each person"))
            + table(items, ITEMS, caption=_("Batch {batch}", batch=batch_id), spell=("state",), tell=("sentences", "cause"))
            + heading(_("Work list for the Sales Connect admin"))
            + table(
                worklist,
                WORKLIST,
                caption=_("Clear these people's boxes in Sales Connect"),
                empty=_("Nobody was resubscribed by this batch, so there is nothing to do in Sales Connect."),
                spell=("reason",),
            )
            + heading(_("Trail entries"))
            + table(
                entries, EVENTS, caption=_("What the audit trail holds about this batch"), empty=_("No entry."), spell=("action",)
            )
        )

    # -- check and propose -----------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Judge the chosen people by the rules, without storing anything."""
        ids, reason = self.people_step.person_ids, self.reason.value
        self.start(
            _("Checking {people}", people=people(len(ids))),
            lambda _tell: self.wb.check(ids, reason=reason),
            self._checked,
            resting=self._busy,
        )

    def _checked(self, plan: Any) -> None:
        self._check_view.value = plan_html(plan)
        self.say(
            "done" if plan.eligible else "refused",
            _allowed(plan),
        )

    def propose(self) -> None:
        """Store the plan as a batch for approval."""
        ids, reason = self.people_step.person_ids, self.reason.value
        self.start(
            _("Proposing {people}", people=people(len(ids))),
            lambda _tell: self.wb.propose(ids, reason=reason),
            self._proposed,
            resting=self._busy,
        )

    def _proposed(self, plan: Any) -> None:
        self._check_view.value = plan_html(plan)
        self._changed(plan.id)
        self.tabs.selected_index = APPROVE
        self.say(
            "done",
            _("Batch {batch} proposed: {sentence}", batch=plan.id, sentence=_allowed(plan)),
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
            self.say("done", _("Batch {batch} approved by {operator}", batch=self._batch_id, operator=self.wb.operator))

    def cancel(self) -> None:
        """Give the batch up."""
        if self._needs_batch():
            self.wb.cancel(self._batch_id)
            self._changed(self._batch_id)
            self.say("done", _("Batch {batch} cancelled; nobody was resubscribed by it", batch=self._batch_id))

    def run(self) -> None:
        """Resubscribe the people of the batch, off the kernel's thread."""
        self._carry_out(N_("Running batch {batch}"), self.wb.run)

    def resume(self) -> None:
        """Go on with a batch that was paused or cut off."""
        self._carry_out(N_("Resuming batch {batch}"), self.wb.resume)

    def _carry_out(self, sentence: str, action: Any) -> None:
        if not self._needs_batch():
            return
        batch_id = self._batch_id
        self._stop.clear()
        self._pause.disabled = False
        self.start(
            _(sentence, batch=batch_id),
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
        self.say("done" if whole else "refused", told(outcome.sentence), "" if finished else _("Press Resume to go on."))

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
        self.say("working", _("Pausing at the next safe point"))

    def undo(self) -> None:
        """Opt everybody of the batch out again, on both sides."""
        if self._needs_batch():
            batch_id = self._batch_id
            self.start(
                _("Undoing batch {batch}", batch=batch_id), lambda _tell: self.wb.undo(batch_id), self._undone, resting=self._busy
            )

    def _undone(self, outcome: Any) -> None:
        self._changed(outcome.batch_id)
        self.say("done", told(outcome.sentence))

    def _needs_batch(self) -> bool:
        if not self._batch_id:
            self.say("refused", _("there is no batch yet"), _("Propose one in step 3, or choose an earlier one above."))
        return bool(self._batch_id)


def _batch_line(row: Any) -> str:
    state, reason = spoken(row["state"]), spoken(row["reason"])
    return f"{plain_time(row['proposed_at'])} – {state}, {people(row['people'])}, {reason} – {row['batch_id']}"


def _allowed(plan: Any) -> str:
    return ngettext(
        "{eligible} of {number} person may be resubscribed; {refused} not",
        "{eligible} of {number} people may be resubscribed; {refused} not",
        plan.eligible + plan.refused,
        eligible=plan.eligible,
        refused=plan.refused,
    )


def plan_html(plan: Any) -> str:
    """A plan as escaped HTML: sums, blockers, forecast, cost, verdict by person."""
    cost = ngettext("It takes {number} API call", "It takes {number} API calls", plan.cost)
    left = _(" of {left} left today", left=plan.calls_left) if plan.calls_left is not None else ""
    facts = [
        f"{_allowed(plan)}.",
        f"{cost}{left}.",
        _(
            "Tonight's sync would touch {people} of this batch without it, {after} with it.",
            people=people(plan.forecast_before),
            after=plan.forecast_after,
        ),
    ]
    before = heading(_("Before it can be approved"))
    blockers = before + bullets(told(blocker) for blocker in plan.blockers) if plan.blockers else ""
    verdicts = table(plan.table, VERDICTS, caption=_("Verdict by person"), spell=("outcome", "codes"), tell=("sentences",))
    return bullets(facts) + blockers + verdicts


def _approval_html(plan: Any) -> str:
    batch = plan.batch
    facts = [
        _(
            "Batch {batch} is {state}; reason: {reason}.",
            batch=batch.batch_id,
            state=spoken(batch.state),
            reason=spoken(batch.reason),
        ),
        _("Proposed by {operator}, {moment} UTC.", operator=batch.proposed_by, moment=plain_time(batch.proposed_at)),
    ]
    if batch.approved_at is not None:
        facts.append(_("Approved by {operator}, {moment} UTC.", operator=batch.approved_by, moment=plain_time(batch.approved_at)))
    names = escape(_("The approval names this plan's digest:"))
    digest = f'<p>{names} <code class="cw-digest">{escape(batch.digest)}</code></p>'
    return bullets(facts) + digest + plan_html(plan)
