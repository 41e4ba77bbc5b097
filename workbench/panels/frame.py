"""What all panels share: the banner, the status line, buttons that never show a traceback, and long work with progress."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from html import escape
from pathlib import Path
from typing import Any, ClassVar

import anywidget
import ipywidgets as widgets
import traitlets

from workbench.bench import Workbench
from workbench.errors import WorkbenchError
from workbench.panels.language import N_, _, speak, spoken_language, told
from workbench.panels.wording import bullets, state
from workbench.panels.work import Ended, Task, Work, time_left

HERE = Path(__file__).parent

ORG_WORDS = {
    "production": N_("PRODUCTION – changes reach real people"),
    "sandbox": N_("SANDBOX – a copy for trying out"),
    "scratch": N_("SCRATCH ORG – practice data on this machine"),
}
ROLES = {"analyst": N_("analyst"), "admin": N_("admin"), "auditor": N_("auditor")}
TONES = {
    "idle": "",
    "working": N_("Working:"),
    "done": N_("Done:"),
    "look": N_("Please look:"),
    "refused": N_("Refused:"),
    "failed": N_("Not done:"),
}


ADMIN = frozenset({"admin"})
WORKING = frozenset({"analyst", "admin"})
"""Roles that buttons are reserved for."""


class StatusLine(anywidget.AnyWidget):
    """The line that ends every action with one sentence; ``tone`` is idle, working, done, look, refused or failed."""

    _esm = HERE / "status.js"
    _css = HERE / "panel.css"
    tone = traitlets.Unicode("idle").tag(sync=True)
    sentence = traitlets.Unicode("").tag(sync=True)
    advice = traitlets.Unicode("").tag(sync=True)
    done = traitlets.Int(0).tag(sync=True)
    total = traitlets.Int(0).tag(sync=True)
    left = traitlets.Unicode("").tag(sync=True)
    words: Any = traitlets.Dict().tag(sync=True)

    def __init__(self) -> None:
        """Idle; its own words are those of the language that is spoken now."""
        tones = {tone: _(word) for tone, word in TONES.items()}
        super().__init__(words={**tones, "progress": _("Progress"), "of": _("of"), "language": spoken_language()})

    def say(self, tone: str, sentence: str, advice: str = "") -> None:
        """Show one sentence."""
        with self.hold_sync():
            self.tone, self.sentence, self.advice = tone, _sentence(sentence), _sentence(advice)


def _sentence(text: str) -> str:
    """Errors are written as clauses; on the screen they start and end like a sentence."""
    text = text.strip()
    return text and text[0].upper() + text[1:] + ("" if text[-1] in ".!?:…" else ".")


class Panel:
    """One screen over a Workbench: banner, body, status line. Subclasses lay out the body and call the Workbench."""

    purpose: ClassVar[str] = ""
    limits: ClassVar[str] = ""
    """What an analyst can do here and what is left to an administrator, in one sentence; "" where that is nothing."""

    def __init__(self, wb: Workbench) -> None:
        """Build the panel and show it filled."""
        self.wb = wb
        speak(wb.settings.language)
        self.status = StatusLine()
        self.banner = widgets.HTML()
        self._work = Work(on_progress=self._on_progress, on_end=self._on_end)
        self._then: Callable[[Any], None] = lambda _: None
        self._resting: list[Any] = []
        self.box = widgets.VBox([])
        self.box.add_class("cw-panel")
        self._build()

    def _build(self) -> None:
        """Fill the panel; where that fails it says so in its place, with a button to try again."""
        self.show_banner()
        try:
            filled = self.body()
        except Exception as error:  # noqa: BLE001 - an operator must not see a traceback
            self.fail(error)
            sentence = f"{self.status.sentence} {self.status.advice}".strip()
            notice = state("failed", _("This screen can't be shown now."), sentence)
            filled = [widgets.HTML(notice), widgets.HBox([self.button(_("Try again"), self._build)])]
        self.box.children = [self.banner, *filled, self.status]

    def body(self) -> Sequence[Any]:
        """The widgets between banner and status line."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}: {self.purpose} Run all cells to open it."

    def _repr_mimebundle_(self, **wanted: Any) -> dict[str, Any]:
        """The live panel for JupyterLab; one stable line without personal data for whatever is saved."""
        bundle: dict[str, Any] = dict(self.box._repr_mimebundle_(**wanted))
        return bundle | {"text/plain": repr(self)}

    # -- banner and status -----------------------------------------------------------------------------------------------------

    def show_banner(self) -> None:
        """Say again where we are, who is at the keyboard, and what is paused or broken."""
        try:
            banner = self.wb.banner()
            self.banner.value = banner_html(banner) + self._about_roles(frozenset(banner.roles))
        except WorkbenchError as error:
            self.banner.value = f'<div class="cw-banner">{escape(_told(error))}</div>'

    def _about_roles(self, roles: frozenset[str]) -> str:
        """What whoever is at the keyboard can't do here, and who can; nothing for an administrator."""
        if "admin" in roles or ("analyst" in roles and not self.limits):
            return ""
        if "analyst" in roles:
            return state("limits", _("You are here as analyst."), _(self.limits))
        if "auditor" in roles:
            return state(
                "limits", _("You are here as auditor."), _("Look at everything, verify and export it; nothing can be changed.")
            )
        grant = _("An administrator gives you one with `workbench operator grant`; until then you can look around.")
        return state("limits", _("You have no role in this workspace."), grant)

    def say(self, tone: str, sentence: str, advice: str = "") -> None:
        """Put one sentence into the status line."""
        self.status.say(tone, sentence, advice)

    def fail(self, error: Exception) -> None:
        """What went wrong, as a sentence with advice; never a traceback."""
        if isinstance(error, WorkbenchError):
            self.say("failed", _told(error), told(error.advice))
        else:
            self.say(
                "failed",
                _("the workbench itself made a mistake ({kind})", kind=type(error).__name__),
                _("Report it; opt-outs stay as they are."),
            )

    def attempt(self, action: Callable[[], Any]) -> Any:
        """Do something now; whatever it raises ends in the status line. Returns None then."""
        try:
            return action()
        except Exception as error:  # noqa: BLE001 - an operator must not see a traceback
            self.fail(error)
            return None

    def button(self, label: str, action: Callable[[], None], *, hint: str = "", main: bool = False) -> Any:
        """A button whose action may raise."""
        made = widgets.Button(description=label, tooltip=hint or label, button_style="primary" if main else "")
        made.on_click(lambda _: self.attempt(action))
        return made

    def reserve(self, roles: Collection[str], *buttons: Any) -> None:
        """Let nobody press these buttons who holds none of the roles; pointing at one says whose they are."""
        if not self.wb.roles & set(roles):
            whose = _("Reserved for: {roles}", roles=", ".join(_(ROLES[role]) for role in ROLES if role in roles))
            for button in buttons:
                button.disabled, button.tooltip = True, whose

    # -- long work -------------------------------------------------------------------------------------------------------------

    def start(self, sentence: str, task: Task, then: Callable[[Any], None], *, resting: Sequence[Any] = ()) -> None:
        """Run a task off the kernel's thread and hand its result to ``then``; ``resting`` buttons are disabled meanwhile."""
        if self._work.running:
            self.say("refused", _("something is still running"), _("Wait for it to end, or pause it."))
            return
        self._then, self._resting = then, [b for b in resting if not b.disabled]
        for button in self._resting:
            button.disabled = True
        with self.status.hold_sync():
            self.status.done, self.status.total, self.status.left = 0, 0, ""
            self.say("working", sentence)
        self._work.start(task)

    def wait(self, timeout: float = 600) -> None:
        """Stay until long work has ended: for scripts and tests."""
        self._work.wait(timeout)

    def _on_progress(self, progress: Any) -> None:
        with self.status.hold_sync():
            self.status.done, self.status.total = progress.done, progress.total
            self.status.left = time_left(progress.done, progress.total, time.monotonic() - self._work.started)
            self.say("working", told(progress.sentence))

    def _on_end(self, ended: Ended) -> None:
        for button in self._resting:
            button.disabled = False
        if ended.error is not None:
            self.fail(ended.error)
        else:
            self.attempt(lambda: self._then(ended.result))
        self.show_banner()


def banner_html(banner: Any) -> str:
    """The banner as escaped HTML: org, register, operator, warnings; the kind of org in words and as a colour."""
    kind = banner.org_kind if banner.org_kind in ORG_WORDS else "production"  # unknown is treated as the dangerous one
    no_role = _("no role")
    who = f"{banner.operator} ({', '.join(_(ROLES.get(role, role)) for role in sorted(banner.roles)) or no_role})"
    register = _("register {name}", name=banner.register)
    where = escape(_("Where you are"), quote=True)
    warnings = bullets(told(warning) for warning in banner.warnings)
    return (
        f'<div class="cw-banner cw-{kind}" role="region" aria-label="{where}"><span class="cw-kind">{escape(_(ORG_WORDS[kind]))}</span>'
        f"{escape(told(banner.org_name))} · {escape(register)} · {escape(who)}{warnings}</div>"
    )


def _told(error: WorkbenchError) -> str:
    """What an error says; most say it in English only."""
    return told(error.args[0]) if error.args else ""
