"""The first screen: is everything in order, what are today's numbers, where to go on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from html import escape
from typing import Any

import ipywidgets as widgets

from workbench import lab
from workbench.lab.pages import PLACE
from workbench.panels.frame import Panel
from workbench.panels.language import N_, _, figure, told
from workbench.panels.wording import heading, table

LEVELS = {"ok": N_("OK"), "warn": N_("Look"), "bad": N_("Broken")}
FIGURES = {
    "people": N_("People"),
    "unsubscribed": N_("Unsubscribed"),
    "mismatches": N_("Mismatches"),
    "open_batches": N_("Open batches"),
    "resubscribed": N_("Resubscribed"),
}
NOTEBOOKS = (
    ("01-review-unsubscribed", N_("Who is unsubscribed, and where?")),
    ("02-batch-resubscribe", N_("Whom may we mail again, and how do we record it?")),
    ("03-mismatches", N_("Where do register and Salesforce disagree?")),
    ("04-audit-trail", N_("What was done, by whom, and can we prove it?")),
)
REPORTS = {"name": N_("Report"), "issued_at": N_("Issued (UTC)"), "issued_by": N_("By"), "report_id": N_("Id")}
NEWEST_REPORTS = 5


class StartPanel(Panel):
    """Health checks in sentences, numbers of today, links to the notebooks and to recent reports."""

    purpose = "is everything in order, and where to go on."

    def body(self) -> Sequence[Any]:
        """Everything is one page of text and a button to look again."""
        self._page = widgets.HTML()
        self.show()
        return [widgets.HBox([self.button(_("Check again"), self._again)]), self._page]

    def show(self) -> None:
        """Ask for health, numbers and reports, and show them."""
        lines = self.wb.health()
        numbers = self.wb.numbers()
        health = "".join(f"<li>{_level(line.level)}{escape(told(line.sentence))}</li>" for line in lines)
        tiles = "".join(
            f"<li><span>{escape(_(FIGURES[name]))}</span><strong>{figure(number)}</strong></li>"
            for name, number in numbers.items()
        )
        links = "".join(f"<li>{notebook_link(name, _(question))}</li>" for name, question in NOTEBOOKS)
        self._page.value = (
            heading(_("Is everything in order?")) + f'<ul class="cw-health">{health}</ul>'
            + heading(_("Numbers")) + f'<ul class="cw-tiles">{tiles}</ul>'
            + heading(_("Where to go on")) + f"<ul>{links}{_pages()}</ul>"
            + heading(_("Recent reports")) + self._reports()
        )  # fmt: skip
        self._sum_up([line.level for line in lines])

    def _reports(self) -> str:
        return table(
            self.wb.reports().head(NEWEST_REPORTS),
            REPORTS,
            caption=_("Newest first"),
            empty=_("No report was issued yet. Run one in 04-audit-trail, on the tab Reports."),
        )

    def _sum_up(self, levels: list[str]) -> None:
        bad, warn = levels.count("bad"), levels.count("warn")
        if bad or warn:
            self.say("look", _("{number} checks: {bad} broken, {warn} to look at", number=len(levels), bad=bad, warn=warn))
        else:
            self.say("done", _("All {number} checks are in order", number=len(levels)))

    def _again(self) -> None:
        self.show_banner()
        self.show()


def _level(level: str) -> str:
    word = escape(_(LEVELS.get(level, LEVELS["bad"])))
    return f'<span class="cw-level cw-level-{escape(level, quote=True)}">{word}</span>'


def _pages() -> str:
    """A link to the start page without code, where this kernel's server has such pages and this is none of them."""
    place = os.environ.get(PLACE)
    if not place or _on_a_page():
        return ""
    address, text = escape(f"{place}{lab.FIRST}", quote=True), escape(_("The same as pages without code"))
    return f'<li><a href="{address}" target="_blank" rel="noopener">{text}</a></li>'


def _on_a_page() -> bool:
    """Whether this kernel works for one of Voila's pages."""
    return "VOILA_BASE_URL" in os.environ


def notebook_link(name: str, text: str) -> str:
    """A link that JupyterLab opens as a tab (its command linker), and a plain one on a page, where that linker opens nothing."""
    command = escape(f'{{"path": "{name}.ipynb"}}', quote=True)
    linker = "" if _on_a_page() else f' data-commandlinker-command="docmanager:open" data-commandlinker-args="{command}"'
    return f'<a href="{name}.ipynb"{linker}>{escape(name)}</a> – {escape(text)}'
