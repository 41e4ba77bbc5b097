"""The notebooks as pages without code, served by Voila on JupyterLab's server: what is there, what is not, and for whom."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from urllib.error import HTTPError
from urllib.parse import urlsplit

import pytest

pytest.importorskip("playwright", reason="Playwright for Python is not installed")
pytest.importorskip("voila", reason="the extra voila is not installed")

from lab_browser import PATIENCE, browser_path, open_notebook, panel_of, workspace_in_lab
from playwright.sync_api import Locator, Page, expect

pytestmark = pytest.mark.skipif(browser_path() is None, reason="no Chromium on this machine: apt-get install chromium")

BASE = "/user/ann/"  # as under JupyterHub
CODE = ("from workbench", "Workbench.open", "Panel(wb)", "wb.numbers", "groupby")


@pytest.fixture(scope="module")
def lab_page(tmp_path_factory):
    """JupyterLab on a workspace with people, at an address as JupyterHub gives; fails when anything leaves this machine."""
    with workspace_in_lab(tmp_path_factory.mktemp("e2e"), f"--ServerApp.base_url={BASE}") as opened:
        yield opened


def root_of(address: str) -> str:
    """The address of the server without a path."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"


def asked(address: str, **headers: str) -> tuple[int, str, str]:
    """Status, final address and text of an answer, without the browser's cookies."""
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=60) as answer:
            return answer.status, answer.url, answer.read().decode()
    except HTTPError as error:
        return error.code, error.url, error.read().decode()


def kernels(address: str) -> list[str]:
    """The kernels that run on the server."""
    token = urlsplit(address).query.removeprefix("token=")
    status, _, text = asked(f"{root_of(address)}{BASE}api/kernels", Authorization=f"token {token}")
    assert status == 200, text
    return [kernel["id"] for kernel in json.loads(text)]


def shown(page: Page, address: str, name: str, *, query: str = "") -> Locator:
    """The panel of a notebook's page, once it is there: without code in what the server sent or in what the browser made of it."""
    answer = page.goto(f"{root_of(address)}{BASE}voila/render/{name}.ipynb{query}")
    panel = page.locator(".cw-panel")
    expect(panel.get_by_role("status")).not_to_be_empty(timeout=PATIENCE)
    for text in (answer.text(), page.content()):
        assert "jp-OutputArea" in text, "it looked at something"
        assert [code for code in CODE if code in text] == []
    assert page.locator(".jp-InputArea-editor, .cm-editor, .highlight").count() == 0
    seen = page.locator("body").inner_text()
    assert "Run all cells" not in seen
    assert "Going on by hand" not in seen
    return panel


def test_the_start_page_is_the_panel_without_code(lab_page):
    page, _, address = lab_page
    panel = shown(page, address, "00-start-here")
    expect(panel.get_by_role("status")).to_contain_text("checks")
    expect(panel).to_contain_text("SCRATCH ORG – practice data")
    expect(page.get_by_role("heading", name=re.compile("Is everything in order, and where do I go on"))).to_be_visible()
    expect(panel.get_by_role("link", name="The same as pages without code")).to_have_count(0)
    panel.get_by_role("link", name="01-review-unsubscribed").click()
    expect(page.locator(".cw-panel")).to_contain_text("117 unsubscribed people", timeout=PATIENCE)
    page.get_by_role("link", name="Notebooks").click()
    expect(page.get_by_role("listitem")).to_have_count(5)


def test_the_review_page_works_and_ends_its_kernel(lab_page):
    page, _, address = lab_page
    deadline = time.monotonic() + PATIENCE / 1000
    panel = shown(page, address, "01-review-unsubscribed")
    before = kernels(address)
    panel.get_by_label("Filter Salesforce").select_option("opted_out")
    expect(panel.locator("caption").first).to_contain_text("fit the filters", timeout=PATIENCE)
    row = panel.locator("tbody tr").first
    row.focus()
    page.keyboard.press("Space")
    expect(panel).to_contain_text("1 selected")
    page.keyboard.press("Enter")
    expect(panel.get_by_role("status")).to_contain_text("card of the person", timeout=PATIENCE)
    page.goto("about:blank")
    while len(kernels(address)) >= len(before) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert len(kernels(address)) == len(before) - 1


@pytest.mark.parametrize("path", ["voila", "voila/render/00-start-here.ipynb", "voila/render/01-review-unsubscribed.ipynb"])
def test_without_the_token_there_is_only_the_login(lab_page, path):
    _, _, address = lab_page
    before = kernels(address)
    _, where, text = asked(f"{root_of(address)}{BASE}{path}")
    assert urlsplit(where).path == f"{BASE}login"
    assert "cw-panel" not in text
    assert "person000" not in text
    assert asked(f"{root_of(address)}{BASE}{path}?token=wrong")[1].startswith(f"{root_of(address)}{BASE}login")
    assert kernels(address) == before


@pytest.mark.parametrize("path", ["picture.svg", "00-start-here.ipynb", "..%2Fworkbench.toml"])
def test_files_are_handed_to_nobody(lab_page, path):
    """Voila's own setting hands pictures in the folder to whoever asks, without a login."""
    _, wb, address = lab_page
    (wb.workspace / "notebooks" / "picture.svg").write_text("<svg/>")
    assert asked(f"{root_of(address)}{BASE}voila/files/{path}")[0] in (403, 404)


@pytest.mark.parametrize("path", ["..%2Foutside.ipynb", "%2e%2e/outside.ipynb", ".hidden.ipynb", "no-such.ipynb"])
def test_only_notebooks_of_the_workspace_are_shown(lab_page, path):
    page, wb, address = lab_page
    some = (wb.workspace / "notebooks" / "00-start-here.ipynb").read_bytes()
    for file in (wb.workspace / "outside.ipynb", wb.workspace / "notebooks" / ".hidden.ipynb"):
        file.write_bytes(some)
    before = kernels(address)
    answer = page.request.get(f"{root_of(address)}{BASE}voila/render/{path}")
    assert answer.status in (400, 403, 404), answer.text()
    assert kernels(address) == before


def test_neither_template_nor_sources_can_be_asked_for_by_the_address(lab_page):
    page, _, address = lab_page
    shown(page, address, "00-start-here", query="?template=classic&theme=dark&strip_sources=False&show_tracebacks=True")
    expect(page.locator("body")).to_have_class(re.compile("theme-light"))


def test_the_start_panel_in_lab_links_to_the_page(lab_page):
    page, _, address = lab_page
    page.goto(address)
    page.wait_for_function("() => window.jupyterapp && window.jupyterapp.shell.currentWidget", timeout=PATIENCE)
    open_notebook(page, "00-start-here.ipynb")
    link = panel_of(page).get_by_role("link", name="The same as pages without code")
    expect(link).to_have_attribute("href", f"{BASE}voila/render/00-start-here.ipynb")
