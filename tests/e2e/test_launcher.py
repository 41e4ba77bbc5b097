"""JupyterLab's launcher: a card for each notebook of the workbench, before anything else, which opens it and runs it."""

from __future__ import annotations

import pytest

pytest.importorskip("playwright", reason="Playwright for Python is not installed")

from lab_browser import PATIENCE, browser_path, command, panel_of, status_is, workspace_in_lab
from playwright.sync_api import Locator, Page, expect

pytestmark = pytest.mark.skipif(browser_path() is None, reason="no Chromium on this machine: apt-get install chromium")

CARDS = {
    "Start": "00-start-here",
    "Unsubscribed": "01-review-unsubscribed",
    "Resubscribe": "02-batch-resubscribe",
    "Mismatches": "03-mismatches",
    "Audit trail": "04-audit-trail",
}


@pytest.fixture(scope="module")
def lab_page(tmp_path_factory):
    """JupyterLab on a workspace with people, opened in Chromium; fails when anything leaves this machine."""
    with workspace_in_lab(tmp_path_factory.mktemp("e2e")) as opened:
        yield opened


def launcher(page: Page) -> Locator:
    """A new tab of the launcher, in front, and no other."""
    page.evaluate(
        "() => document.querySelectorAll('.jp-Launcher').length && [...window.jupyterapp.shell.widgets('main')]"
        ".filter((widget) => widget.node.querySelector('.jp-Launcher')).forEach((widget) => widget.dispose())"
    )
    command(page, "launcher:create")
    shown = page.locator(".jp-Launcher:visible")
    expect(shown.locator(".jp-LauncherCard").first).to_be_visible(timeout=PATIENCE)
    return shown


def path_in_front(page: Page) -> str:
    return page.evaluate("() => window.jupyterapp.shell.currentWidget.context?.path")


def test_the_cards_come_first_and_name_the_five_notebooks(lab_page):
    page, _, _ = lab_page
    shown = launcher(page)
    expect(shown.locator(".jp-Launcher-sectionTitle").first).to_have_text("Compliance Workbench")
    cards = shown.locator(".jp-LauncherCard[data-category='Compliance Workbench']")
    expect(cards.locator(".jp-LauncherCard-label")).to_have_text(list(CARDS))
    assert [card.get_attribute("title") for card in cards.all()][1] == "Who is unsubscribed, and where?"


@pytest.mark.parametrize("label", CARDS)
def test_a_card_opens_its_notebook_and_shows_its_panel(lab_page, label):
    page, _, _ = lab_page
    launcher(page).locator(".jp-LauncherCard", has=page.get_by_text(label, exact=True)).focus()
    page.keyboard.press("Enter")
    page.wait_for_function(
        "path => window.jupyterapp.shell.currentWidget?.context?.path === path", arg=f"{CARDS[label]}.ipynb", timeout=PATIENCE
    )
    expect(panel_of(page).get_by_role("status")).to_be_attached(timeout=PATIENCE)
    assert panel_of(page).count() == 1
    page.wait_for_function("() => !document.querySelector('.jp-Launcher')", timeout=PATIENCE)


def test_a_notebook_that_is_open_comes_to_the_front_as_it_is(lab_page):
    page, _, _ = lab_page
    command(page, "docmanager:open", path="01-review-unsubscribed.ipynb")
    panel_of(page).get_by_role("button", name="Select all 117 matching").click()
    status_is(page, "117 people selected")
    launcher(page).get_by_role("button", name="Unsubscribed").click()
    page.wait_for_function("() => !document.querySelector('.jp-Launcher')", timeout=PATIENCE)
    assert path_in_front(page) == "01-review-unsubscribed.ipynb"
    expect(panel_of(page)).to_contain_text("117 selected")
    status_is(page, "117 people selected")
