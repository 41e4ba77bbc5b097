"""The first screen: is everything in order, what are today's numbers, where to go on."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import ipywidgets as widgets

from workbench.panels.frame import Panel
from workbench.panels.wording import heading, table

LEVELS = {"ok": "OK", "warn": "Look", "bad": "Broken"}
NOTEBOOKS = (
    ("01-review-unsubscribed", "Who is unsubscribed, and where?"),
    ("02-batch-resubscribe", "Whom may we mail again, and how do we record it?"),
    ("03-mismatches", "Where do register and Salesforce disagree?"),
    ("04-audit-trail", "What was done, by whom, and can we prove it?"),
)
NEWEST_REPORTS = 5


class StartPanel(Panel):
    """Health checks in sentences, numbers of today, links to the notebooks and to recent reports."""

    purpose = "is everything in order, and where to go on."

    def body(self) -> Sequence[Any]:
        """Everything is one page of text and a button to look again."""
        self._page = widgets.HTML()
        self.attempt(self.show)
        return [widgets.HBox([self.button("Check again", self._again)]), self._page]

    def show(self) -> None:
        """Ask for health, numbers and reports, and show them."""
        lines = self.wb.health()
        numbers = self.wb.numbers()
        health = "".join(f"<li>{_level(line.level)}{escape(line.sentence)}</li>" for line in lines)
        tiles = "".join(
            f"<li><span>{escape(_label(name))}</span><strong>{number:,}</strong></li>" for name, number in numbers.items()
        )
        links = "".join(f"<li>{notebook_link(name, question)}</li>" for name, question in NOTEBOOKS)
        self._page.value = (
            heading("Is everything in order?") + f'<ul class="cw-health">{health}</ul>'
            + heading("Numbers") + f'<ul class="cw-tiles">{tiles}</ul>'
            + heading("Where to go on") + f"<ul>{links}</ul>"
            + heading("Recent reports") + self._reports()
        )  # fmt: skip
        self._sum_up([line.level for line in lines])

    def _reports(self) -> str:
        columns = {"name": "Report", "issued_at": "Issued (UTC)", "issued_by": "By", "report_id": "Id"}
        return table(self.wb.reports().head(NEWEST_REPORTS), columns, caption="Newest first", empty="No report was issued yet.")

    def _sum_up(self, levels: list[str]) -> None:
        bad, warn = levels.count("bad"), levels.count("warn")
        if bad or warn:
            self.say("look", f"{len(levels)} checks: {bad} broken, {warn} to look at")
        else:
            self.say("done", f"All {len(levels)} checks are in order")

    def _again(self) -> None:
        self.show_banner()
        self.show()


def _level(level: str) -> str:
    word = LEVELS.get(level, "Broken")
    return f'<span class="cw-level cw-level-{escape(level, quote=True)}">{word}</span>'


def _label(name: str) -> str:
    text = name.replace("_", " ")
    return text[:1].upper() + text[1:]


def notebook_link(name: str, text: str) -> str:
    """A link that JupyterLab opens as a tab (its command linker), and that works as a plain link elsewhere."""
    command = escape(f'{{"path": "{name}.ipynb"}}', quote=True)
    return (
        f'<a href="{name}.ipynb" data-commandlinker-command="docmanager:open" data-commandlinker-args="{command}">'
        f"{escape(name)}</a> – {escape(text)}"
    )
