"""A workspace that asks for German, in JupyterLab: no English on any panel, the line of progress, and labels that fit."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("playwright", reason="Playwright for Python is not installed")

from german import english_in, without_data
from lab_browser import ARTIFACTS, browser_path, keep, open_notebook, panel_of, status_is, workspace_in_lab
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.skipif(browser_path() is None, reason="no Chromium on this machine: apt-get install chromium")

SHOWN = """panel => {
  const said = [panel.innerText];
  for (const node of panel.querySelectorAll('*')) {
    if (!node.getClientRects().length) continue;
    for (const name of ['aria-label', 'title', 'placeholder', 'alt']) said.push(node.getAttribute(name) || '');
    if (node.tagName === 'SELECT') said.push(...[...node.options].map(option => option.text));
    if (node.tagName === 'title' || node.tagName === 'text') said.push(node.textContent);
  }
  return said.join('\\n');
}"""
"""What somebody sees or hears of a panel, without what is on a tab behind."""
DATA = """panel => {
  const found = [...panel.querySelectorAll('pre, code, figcaption, td')].map(node => node.innerText.trim());
  return found.filter(text => text.startsWith('{') || text.includes('@') || text.includes('<img'));
}"""
BATCH = re.compile(r"–\s[0-9a-f-]{36}$")
CUT = "found => found.filter(e => e.clientWidth && e.scrollWidth > e.clientWidth + 1).map(e => e.innerText.trim())"
LABELS = (
    ".cw-level, .cw-tiles span, .jupyter-button, .cw-button, .widget-label, .widget-label-basic, .lm-TabBar-tabLabel, .cw-filter span,"
    " table.cw-table th, .cw-status, .cw-banner"
)
CHOICES = """found => found.filter(select => select.clientWidth).flatMap(select => {
  const style = getComputedStyle(select);
  const pen = document.createElement('canvas').getContext('2d');
  pen.font = `${style.fontSize} ${style.fontFamily}`;
  const room = select.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight) - 12;  // less the arrow
  return [...select.options].map(option => option.text).filter(text => pen.measureText(text).width > room);
})"""
"""The choices that don't fit their field; that of a batch ends in its id, which need not."""
THEIRS = re.compile(r"(?:First|Last)\d+|Company \d|Web Form|workspace|Scratch Org|<img src=x onerror=alert\(1\)>|=HYPERLINK\(0\)")


def german_and_fitting(page: Page, name: str) -> None:
    """Nothing English, nothing cut off, no scrolling to the side; a picture is kept."""
    keep(page, f"german-{name}")
    panel = panel_of(page)
    shown = panel.evaluate(SHOWN)
    for data in panel.evaluate(DATA):
        shown = shown.replace(data, " ")
    assert english_in(THEIRS.sub(" ", without_data(shown))) == set(), name
    assert panel.evaluate("panel => panel.scrollWidth <= panel.clientWidth"), name
    assert panel.locator(LABELS).evaluate_all(CUT) == [], name
    assert [text for text in panel.locator("select").evaluate_all(CHOICES) if not BATCH.search(text)] == [], name


@pytest.fixture(scope="module")
def lab_page(tmp_path_factory):
    """JupyterLab on a German workspace."""
    german = {"settings": lambda text: text.replace("[workspace]\n", '[workspace]\nlanguage = "de"\n')}
    with workspace_in_lab(tmp_path_factory.mktemp("german"), number=60, **german) as (page, wb, _address):
        page.set_viewport_size({"width": 1280, "height": 1000})
        yield page, wb


def test_the_start_page(lab_page):
    page, _ = lab_page
    open_notebook(page, "00-start-here.ipynb")
    status_is(page, re.compile(r"Bitte ansehen: \d+ Prüfungen: |Erledigt: Alle \d+ Prüfungen "))
    panel = panel_of(page)
    expect(panel).to_contain_text("SCRATCH-ORG – Übungsdaten auf diesem Rechner")
    expect(panel.get_by_role("button", name="Erneut prüfen")).to_be_visible()
    german_and_fitting(page, "00-start")


def test_the_review(lab_page):
    page, _ = lab_page
    open_notebook(page, "01-review-unsubscribed.ipynb")
    panel = panel_of(page)
    expect(panel.get_by_role("button", name="Alle 54 passenden auswählen")).to_be_visible()
    german_and_fitting(page, "01-review")
    panel.get_by_label("Filter Salesforce").select_option("opted_out")
    panel.get_by_label("Filter Name oder Adresse").fill("person00")
    expect(panel.locator("caption").first).to_contain_text("abgemeldete Personen passen zu den Filtern; Zeiten in UTC")
    panel.locator("tbody tr").nth(1).focus()
    page.keyboard.press("Enter")
    status_is(page, "Erledigt: Die Karte der Person wird unter der Tabelle gezeigt.")
    expect(panel).to_contain_text("Verlauf beider Systeme")
    german_and_fitting(page, "01-card")
    page.set_viewport_size({"width": 1280, "height": 2600})
    panel.locator("section").screenshot(path=ARTIFACTS / "german-01-card.png")
    page.set_viewport_size({"width": 1280, "height": 1000})
    panel.get_by_role("button", name=re.compile("^Alle .* auswählen$")).click()
    status_is(page, "Personen ausgewählt: alle, die zu den Filtern passen.")
    panel.get_by_role("button", name="Auswahl in einen Stapel").click()
    status_is(page, "Personen an 02-batch-resubscribe übergeben.")
    german_and_fitting(page, "01-selected")


def test_a_batch(lab_page, tmp_path):
    page, _ = lab_page
    open_notebook(page, "02-batch-resubscribe.ipynb")
    panel = panel_of(page)
    status_is(page, "Personen gewählt.")
    german_and_fitting(page, "02-people")
    panel.get_by_role("tab", name="3 Prüfung").click()
    panel.get_by_role("button", name="Prüfen", exact=True).click()
    status_is(page, re.compile(r"Abgelehnt: 0 von \d Personen dürfen wieder angemeldet werden; \d nicht\."))
    expect(panel).to_contain_text(
        "Es liegt keine Einwilligung vor; erfassen Sie zuerst die Einwilligung der Person mit ihrem Nachweis."
    )
    german_and_fitting(page, "02-refused")

    panel.get_by_role("tab", name="2 Einwilligung").click()
    german_and_fitting(page, "02-consent")
    panel.get_by_label("Erteilt am").fill("2026-10-20 14:05:00 +02:00")
    panel.get_by_label("Weg").select_option(label="Papier")
    panel.get_by_label("Gezeigter Hinweis").fill("Ja, bitte senden Sie mir Neues zu Ihren Produkten.")
    panel.get_by_label("Rechtsordnung").fill("US")
    form = tmp_path / "formular.txt"
    form.write_text("Ich bitte wieder um Ihre Neuigkeiten. Unterschrieben.", encoding="utf-8")
    with page.expect_file_chooser() as chooser:
        panel.get_by_role("button", name="Nachweise").click()
    chooser.value.set_files(form)
    expect(panel).to_contain_text("formular.txt (text/plain, 53 Byte)")
    panel.get_by_role("button", name="Einwilligung erfassen").click()
    status_is(page, "Erledigt: Einwilligung erfasst für")
    german_and_fitting(page, "02-recorded")

    panel.get_by_role("tab", name="3 Prüfung").click()
    panel.get_by_label("Grund", exact=True).select_option(label="Die Person hat ein Formular unterschrieben.")
    panel.get_by_role("button", name="Vorschlagen").click()
    status_is(
        page, re.compile(r"Erledigt: Stapel \S+ vorgeschlagen: (\d) von \1 Personen dürfen wieder angemeldet werden; 0 nicht\.")
    )
    german_and_fitting(page, "02-approve")
    panel.get_by_role("button", name="Freigeben").click()
    status_is(page, " freigegeben von ")
    german_and_fitting(page, "02-run")
    panel.get_by_role("button", name="Ausführen", exact=True).click()
    status_is(page, re.compile(r"(\d+) von \1 Personen wieder angemeldet; 0 abgelehnt\."))
    expect(panel).to_contain_text("auf beiden Seiten wieder angemeldet")
    german_and_fitting(page, "02-result")


def test_mismatches(lab_page):
    page, _ = lab_page
    open_notebook(page, "03-mismatches.ipynb")
    panel = panel_of(page)
    status_is(page, re.compile(r"\d+ offene Abweichungen, davon \d+ seit mehr als 10 Arbeitstagen\."))
    german_and_fitting(page, "03-mismatches")
    panel.get_by_role("button", name="Zeigen, was ein Abgleich täte").click()
    status_is(page, "Ein Abgleich würde abmelden: ")
    german_and_fitting(page, "03-dry-run")


def test_the_trail(lab_page):
    page, _ = lab_page
    open_notebook(page, "04-audit-trail.ipynb")
    panel = panel_of(page)
    status_is(page, re.compile(r"\d+ Ereignisse passen\."))
    expect(panel).to_contain_text("Personen importiert")
    german_and_fitting(page, "04-events")
    panel.get_by_role("tab", name="Beweis").click()
    panel.get_by_role("button", name="Prüfpfad verifizieren").click()
    status_is(page, re.compile(r"Erledigt: Alle \d+ Ereignisse passen zu ihrem signierten Prüfpunkt\."))
    german_and_fitting(page, "04-proof")
    panel.get_by_role("tab", name="Berichte").click()
    german_and_fitting(page, "04-reports")
