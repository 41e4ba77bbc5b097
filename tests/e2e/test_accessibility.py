"""What somebody who can't see or point gets: axe-core over every panel, and a whole batch without a mouse."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("playwright", reason="Playwright for Python is not installed")

from clients.installation import MODULES, install
from lab_browser import PATIENCE, browser_path, command, open_notebook, panel_of, status_is, workspace_in_lab
from playwright.sync_api import Locator, Page, expect

pytestmark = pytest.mark.skipif(browser_path() is None, reason="no Chromium on this machine: apt-get install chromium")

SEVERE = ("serious", "critical")
FOUND = """async () => {
  const panel = document.querySelector(".jp-NotebookPanel:not(.lm-mod-hidden) .cw-panel");
  const found = await axe.run(panel, { iframes: false });
  const told = found.violations.map((v) => [v.impact, v.id, ...v.nodes.slice(0, 3).map((n) => n.target.join(" ") + " " + n.html.slice(0, 120))]);
  return { checked: found.passes.length, violations: told };
}"""


@pytest.fixture(scope="module")
def lab_page(tmp_path_factory):
    """JupyterLab on a workspace with people, opened in Chromium."""
    with workspace_in_lab(tmp_path_factory.mktemp("e2e")) as opened:
        yield opened


@pytest.fixture(scope="module")
def axe() -> str:
    install()
    return (MODULES / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


def severe(page: Page, axe: str) -> list[list[str]]:
    """axe-core's serious and critical violations in the panel in front."""
    page.evaluate(f"{axe}; undefined")
    found = page.evaluate(FOUND)
    assert found["checked"] > 5, "axe-core looked at nothing"
    return [violation for violation in found["violations"] if violation[0] in SEVERE]


def every_view(page: Page, name: str):
    """The panel as it opens, and each of its tabs in turn."""
    open_notebook(page, f"{name}.ipynb")
    expect(panel_of(page).get_by_role("status")).not_to_be_empty(timeout=PATIENCE)
    yield "as it opens"
    for tab in panel_of(page).get_by_role("tab").all():
        tab.click()
        expect(tab).to_have_attribute("aria-selected", "true")
        yield tab.inner_text()


NAMES = ("00-start-here", "01-review-unsubscribed", "02-batch-resubscribe", "03-mismatches", "04-audit-trail")


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
@pytest.mark.parametrize("name", NAMES)
def test_axe_finds_nothing_serious_in_any_panel(lab_page, axe, name, theme):
    page, _, _ = lab_page
    command(page, "apputils:change-theme", theme=theme)
    page.wait_for_selector(f"body[data-jp-theme-light={'true' if theme.endswith('Light') else 'false'}]", state="attached")
    found = {f"{name}, {view}": severe(page, axe) for view in every_view(page, name)}
    if name == "01-review-unsubscribed":
        panel_of(page).get_by_role("button", name=re.compile("^Open the card")).first.click()
        expect(panel_of(page)).to_contain_text("History of both systems", timeout=PATIENCE)
        found["the card"] = severe(page, axe)
    assert not {view: violations for view, violations in found.items() if violations}


def test_axe_would_see_a_button_without_a_name(lab_page, axe):
    page, _, _ = lab_page
    open_notebook(page, "00-start-here.ipynb")
    panel_of(page).evaluate("panel => panel.append(document.createElement('button'))")
    assert [violation[1] for violation in severe(page, axe)] == ["button-name"]
    open_notebook(page, "00-start-here.ipynb")


def tab_to(page: Page, wanted: Locator, *, key: str = "Tab") -> None:
    """Press Tab until this has the focus, as somebody without a mouse does."""
    for _ in range(120):
        if wanted.evaluate("element => element === document.activeElement || element.contains(document.activeElement)"):
            return
        page.keyboard.press(key)
    raise AssertionError(f"the focus never reaches {wanted}")


def press(page: Page, name: str) -> None:
    """Go to a button by Tab and press it with Enter."""
    tab_to(page, panel_of(page).get_by_role("button", name=name, exact=True))
    page.keyboard.press("Enter")


def step(page: Page, number: int) -> None:
    """Go to the step's tab by keyboard: Shift+Tab to the row of tabs, arrows along it, Enter."""
    tabs = panel_of(page).get_by_role("tab")
    tab_to(page, panel_of(page).get_by_role("tablist"), key="Shift+Tab")
    for _ in range(8):
        focused = page.evaluate("() => document.activeElement.textContent.trim()")
        if focused.startswith(str(number)):
            break
        here = int(focused[0]) if focused[:1].isdigit() else 1
        page.keyboard.press("ArrowRight" if here < number else "ArrowLeft")
    page.keyboard.press("Enter")
    expect(tabs.nth(number - 1)).to_have_attribute("aria-selected", "true")


def fill(page: Page, label: str, text: str) -> None:
    """Go to a field by Tab and type."""
    tab_to(page, panel_of(page).get_by_label(label, exact=True))
    page.keyboard.type(text)


def test_letters_typed_in_a_panel_are_no_commands_to_the_notebook(lab_page):
    """a, b, m, r and x insert, change and cut cells everywhere else in a notebook."""
    page, _, _ = lab_page
    open_notebook(page, "02-batch-resubscribe.ipynb")
    panel = panel_of(page)
    cells = "() => window.jupyterapp.shell.currentWidget.content.widgets.map((cell) => cell.model.type + cell.model.id)"
    before = page.evaluate(cells)
    panel.get_by_role("tab", name="2 Consent").click()
    for place in (panel.get_by_label("Method", exact=True), panel.get_by_role("button", name="Record consent")):
        place.focus()
        for letter in "abmrxy":
            page.keyboard.press(letter)
            expect(place).to_be_focused()
    assert page.evaluate(cells) == before


def test_a_whole_batch_without_a_mouse(lab_page, tmp_path):
    page, wb, _ = lab_page
    open_notebook(page, "01-review-unsubscribed.ipynb")
    panel = panel_of(page)
    panel.get_by_label("Filter name or address").focus()  # where JupyterLab's own Tab order enters the panel is not ours
    page.keyboard.type("person00")
    expect(panel.locator("caption").first).to_contain_text("fit the filters")
    row = panel.locator("tbody tr").first
    tab_to(page, row)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    expect(panel).to_contain_text("1 selected")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    expect(panel).to_contain_text("2 selected")
    press(page, "Use selection in a batch")
    status_is(page, "2 people handed over")

    open_notebook(page, "02-batch-resubscribe.ipynb")
    status_is(page, "2 people chosen")
    panel = panel_of(page)
    panel.get_by_label("Batch").focus()
    page.keyboard.press("Tab")
    step(page, 2)
    fill(page, "Consent given at", "2026-10-20 14:05:00 +02:00")
    tab_to(page, panel.get_by_label("Method", exact=True))
    page.keyboard.type("paper")
    fill(page, "Where", "a fair")
    fill(page, "Notice shown", "Yes, mail me news about your products.")
    fill(page, "Jurisdiction", "US")
    form = tmp_path / "form.pdf"
    form.write_bytes(b"%PDF-1.7 I would like to have your news again. Signed.")
    with page.expect_file_chooser() as chooser:
        tab_to(page, panel.get_by_role("button", name="Evidence"))
        page.keyboard.press("Enter")
    chooser.value.set_files(form)
    expect(panel.get_by_role("button", name="Evidence (1)")).to_be_visible()
    press(page, "Record consent")
    status_is(page, "Consent recorded for 2 people")

    step(page, 3)
    tab_to(page, panel.get_by_label("Reason", exact=True))
    page.keyboard.type("The person signed")
    press(page, "Propose")
    status_is(page, "proposed: 2 of 2 people")
    tab_to(page, panel.get_by_role("button", name="Approve", exact=True))
    page.keyboard.press("Enter")
    status_is(page, "approved by")
    press(page, "Run")
    status_is(page, "2 of 2 people resubscribed; 0 refused")
    assert wb.batches().iloc[0]["done"] == 2
