"""A workspace that asks for German, in JupyterLab: words, the line of progress, and labels that fit."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("playwright", reason="Playwright for Python is not installed")

from lab_browser import browser_path, keep, open_notebook, panel_of, status_is, workspace_in_lab
from playwright.sync_api import expect

pytestmark = pytest.mark.skipif(browser_path() is None, reason="no Chromium on this machine: apt-get install chromium")


def test_the_start_page_is_german_and_fits(tmp_path):
    german = {"settings": lambda text: text.replace("[workspace]\n", '[workspace]\nlanguage = "de"\n')}
    with workspace_in_lab(tmp_path, number=12, **german) as (page, _wb, _address):
        page.set_viewport_size({"width": 1280, "height": 1000})
        open_notebook(page, "00-start-here.ipynb")
        status_is(page, re.compile(r"Bitte ansehen: \d+ Prüfungen: |Erledigt: Alle \d+ Prüfungen "))
        panel = panel_of(page)
        expect(panel).to_contain_text("SCRATCH-ORG – Übungsdaten auf diesem Rechner")
        expect(panel.get_by_role("button", name="Erneut prüfen")).to_be_visible()
        keep(page, "00-start-here-german")
        assert panel.evaluate("panel => panel.scrollWidth <= panel.clientWidth")
        cut = ".cw-level, .cw-tiles span, .jupyter-button"
        assert (
            panel.locator(cut).evaluate_all(
                "found => found.filter(e => e.scrollWidth > e.clientWidth + 1 && e.clientWidth).length"
            )
            == 0
        )
