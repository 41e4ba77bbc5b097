"""The main job in a real browser: review, select, record a consent, propose, approve, run, see the result and the trail."""

from __future__ import annotations

import re
import urllib.request
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlsplit

import pytest

pytest.importorskip("playwright", reason="Playwright for Python is not installed")

from lab_browser import PATIENCE, browser_path, command, keep, open_notebook, panel_of, status_is, workspace_in_lab
from playwright.sync_api import expect

pytestmark = pytest.mark.skipif(browser_path() is None, reason="no Chromium on this machine: apt-get install chromium")

EVIDENCE = b"%PDF-1.7 I would like to have your news again. Signed."


@pytest.fixture(scope="module")
def lab_page(tmp_path_factory):
    """JupyterLab on a workspace with people, opened in Chromium; fails when the page raises an error or a dialog."""
    with workspace_in_lab(tmp_path_factory.mktemp("e2e")) as opened:
        yield opened


def test_lab_opens_on_the_start_notebook_and_tells_how_things_stand(lab_page):
    page, _, _ = lab_page
    assert "00-start-here.ipynb" in page.url
    open_notebook(page, "00-start-here.ipynb")
    status_is(page, "checks")
    expect(panel_of(page)).to_contain_text("SCRATCH ORG – practice data")
    keep(page, "00-start-here")
    panel_of(page).get_by_role("link", name="01-review-unsubscribed").click()
    page.wait_for_function("() => window.jupyterapp.shell.currentWidget.context.path === '01-review-unsubscribed.ipynb'")


def test_review_filters_sorts_pages_selects_and_hands_over(lab_page):
    page, _, _ = lab_page
    open_notebook(page, "01-review-unsubscribed.ipynb")
    panel = panel_of(page)
    expect(panel.get_by_role("button", name="Select all 117 matching")).to_be_visible()
    keep(page, "01-review-unsubscribed")

    panel.get_by_role("button", name="E-mail").click()
    header = panel.get_by_role("columnheader", name="E-mail")
    expect(header).to_have_attribute("aria-sort", "ascending")
    first = panel.locator("tbody tr").first
    expect(first).to_contain_text("person000@example.com")
    expect(first).to_contain_text("<img src=x onerror=alert(1)>")  # shown as typed

    first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    expect(panel.locator("tbody tr").nth(1)).to_have_attribute("aria-selected", "true")
    page.keyboard.press("d")
    page.keyboard.press("d")  # deletes a cell everywhere else in a notebook
    expect(panel).to_contain_text("1 selected")
    page.keyboard.press("PageDown")
    expect(panel).to_contain_text("Rows 26 to 50 of 117")
    page.keyboard.press("Enter")
    status_is(page, "card of the person")
    expect(panel).to_contain_text("History of both systems")
    keep(page, "01-review-card")

    panel.get_by_role("button", name="Clear selection").click()
    panel.get_by_label("Filter Salesforce").select_option("opted_out")
    panel.get_by_label("Filter name or address").fill("person00")
    expect(panel.locator("caption").first).to_contain_text(re.compile(r"^[67] unsubscribed people fit"))
    panel.get_by_role("button", name=re.compile("^Select all")).click()
    status_is(page, "people selected: everyone who fits the filters")
    panel.get_by_role("button", name="Use selection in a batch").click()
    status_is(page, "handed over to 02-batch-resubscribe")
    keep(page, "01-review-selected")


def test_a_batch_goes_from_people_to_result(lab_page, tmp_path):
    page, wb, _ = lab_page
    open_notebook(page, "02-batch-resubscribe.ipynb")
    panel = panel_of(page)
    status_is(page, "people chosen")
    keep(page, "02-batch-1-people")

    panel.get_by_role("tab", name="2 Consent").click()
    panel.get_by_label("Consent given at").fill("2026-10-20 14:05:00 +02:00")
    panel.get_by_label("Method").select_option(label="paper")
    panel.get_by_label("Notice shown").fill("Yes, mail me news about your products.")
    panel.get_by_label("Jurisdiction").fill("US")
    form = tmp_path / "form.pdf"
    form.write_bytes(EVIDENCE)
    with page.expect_file_chooser() as chooser:
        panel.get_by_role("button", name="Evidence").click()
    chooser.value.set_files(form)
    expect(panel.get_by_role("button", name="Evidence (1)")).to_be_visible()
    panel.get_by_role("button", name="Record consent").click()
    status_is(page, "Consent recorded for")
    keep(page, "02-batch-2-consent")

    panel.get_by_role("tab", name="3 Check").click()
    panel.get_by_label("Reason").select_option(label="The person signed a form.")
    panel.get_by_role("button", name="Check", exact=True).click()
    status_is(page, "may be resubscribed")
    keep(page, "02-batch-3-check")
    panel.get_by_role("button", name="Propose").click()
    status_is(page, "proposed")
    keep(page, "02-batch-4-approve")
    panel.get_by_role("button", name="Approve").click()
    status_is(page, "approved by")
    panel.get_by_role("button", name="Run", exact=True).click()
    status_is(page, re.compile(r"(\d+) of \1 people resubscribed; 0 refused"))
    expect(panel).to_contain_text("Trail entries")
    keep(page, "02-batch-6-result")
    assert wb.batches().iloc[0]["done"] == wb.batches().iloc[0]["people"] > 0


def test_mismatches_are_refreshed(lab_page):
    page, _, _ = lab_page
    open_notebook(page, "03-mismatches.ipynb")
    panel_of(page).get_by_role("button", name="Refresh from Salesforce").click()
    status_is(page, "records read from Salesforce")
    keep(page, "03-mismatches")


def test_the_trail_verifies_in_the_browser_too(lab_page):
    page, _, _ = lab_page
    open_notebook(page, "04-audit-trail.ipynb")
    panel = panel_of(page)
    status_is(page, "events fit")
    keep(page, "04-audit-trail-events")
    panel.get_by_role("tab", name="Proof").click()
    panel.get_by_role("button", name="Verify trail").click()
    status_is(page, "events fit their signed checkpoint")
    keep(page, "04-audit-trail-proof")
    panel.get_by_role("tab", name="Reports").click()
    expect(panel.get_by_role("button", name="Run report")).to_be_visible()
    panel.get_by_label("Report", exact=True).select_option(label="Mismatch review")
    expect(panel.get_by_label("Only over limit")).to_be_visible(timeout=PATIENCE)
    panel.get_by_role("button", name="Run report").click()
    status_is(page, "its digest is on the trail")
    expect(page.frame_locator(".cw-panel iframe").locator("body")).to_contain_text("Mismatch", timeout=PATIENCE)
    expect(panel).to_contain_text("Newest first")
    keep(page, "04-audit-trail-reports")


def test_the_dark_theme_keeps_everything_readable(lab_page):
    page, _, _ = lab_page
    command(page, "apputils:change-theme", theme="JupyterLab Dark")
    page.wait_for_selector("body[data-jp-theme-light=false]", state="attached")
    colours = (
        panel_of(page)
        .locator(".cw-status")
        .evaluate(
            "e => [getComputedStyle(e).color, getComputedStyle(document.querySelector('.jp-NotebookPanel')).backgroundColor]"
        )
    )
    assert colours[0] != colours[1]
    command(page, "docmanager:open", path="01-review-unsubscribed.ipynb")
    keep(page, "dark-review")


NAMES = ("00-start-here", "01-review-unsubscribed", "02-batch-resubscribe", "03-mismatches", "04-audit-trail")


@pytest.mark.parametrize("width", [1280, 1920])
@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_no_panel_is_wider_than_its_place(lab_page, theme, width):
    page, _, _ = lab_page
    page.set_viewport_size({"width": width, "height": 1000})
    command(page, "apputils:change-theme", theme=f"JupyterLab {theme}")
    page.wait_for_selector(f"body[data-jp-theme-light={'true' if theme == 'Light' else 'false'}]", state="attached")
    for name in NAMES:
        command(page, "docmanager:open", path=f"{name}.ipynb")
        page.wait_for_function("path => window.jupyterapp.shell.currentWidget.context.path === path", arg=f"{name}.ipynb")
        expect(panel_of(page)).to_be_visible()
        keep(page, f"{name}-{theme.lower()}-{width}")
        assert panel_of(page).evaluate("panel => panel.scrollWidth <= panel.clientWidth"), f"{name} at {width}"


def test_without_the_token_nobody_gets_in(lab_page):
    page, _, address = lab_page
    stranger = page.context.browser.new_context()
    reply = stranger.request.get(f"{address.split('/lab')[0]}/api/contents")
    assert reply.status == 403
    stranger.close()


def test_a_name_of_elsewhere_that_leads_here_is_not_served(lab_page):
    """DNS rebinding: a stranger's page whose name was pointed at this computer, even with the token at hand."""
    _, _, address = lab_page
    (token,) = parse_qs(urlsplit(address).query)["token"]
    url = f"{address.split('/lab')[0]}/api/contents"

    def status(**headers: str) -> int:
        request = urllib.request.Request(url, headers={"Authorization": f"token {token}", **headers})
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                return reply.status
        except HTTPError as refused:
            return refused.code

    assert status() == 200
    assert status(Host="evil.example.com") == 403


def test_what_the_browser_saved_holds_no_people(lab_page):
    page, wb, _ = lab_page
    command(page, "docmanager:save-all")
    page.wait_for_function("() => !window.jupyterapp.shell.currentWidget.context.model.dirty")
    for path in sorted((wb.workspace / "notebooks").glob("*.ipynb")):
        text = path.read_text()
        assert not re.search(r"person\d{3}@example", text), path.name
        assert "application/vnd.jupyter.widget-state+json" not in text
    assert (wb.workspace / "notebooks").stat().st_mode & 0o077 == 0
