"""A kernel that is restarted in the middle of a batch: the notebook, opened again, finds the batch and goes on with it."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

pytest.importorskip("playwright", reason="Playwright for Python is not installed")

from lab_browser import PATIENCE, browser_path, keep, open_notebook, panel_of, status_is, workspace_in_lab
from panel_workspace import NOW
from playwright.sync_api import expect

from workbench import Evidence, Workbench

pytestmark = pytest.mark.skipif(browser_path() is None, reason="no Chromium on this machine: apt-get install chromium")

LONG = 600  # seconds that one answer takes: the run is in the middle for as long as the test needs
RESTART = "async () => { await window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart(); }"


def approved(wb: Workbench, folder) -> str:
    """An approved batch of three people; returns its id."""
    people = wb.people(unsubscribed=True, salesforce="opted_out").sort_values("email").head(3)
    form = folder / "form.pdf"
    form.write_bytes(b"%PDF-1.7 signed")
    for person in people["person_id"]:
        wb.record_consent(person=person, evidence=[Evidence.from_file(form)], given_at=NOW - timedelta(days=13), purpose="sales_email", method="paper",
                          notice_text="Yes, mail me news.", jurisdiction="US")  # fmt: skip
    plan = wb.propose(people, reason="signed_form")
    wb.approve(plan.id, plan.digest)
    return plan.id


def state_of(wb: Workbench) -> str:
    return str(wb.batches().iloc[0]["state"])


def test_a_restarted_kernel_finds_the_batch_again(tmp_path):
    orgs = []
    with workspace_in_lab(tmp_path, on_org=orgs.append) as (page, wb, _):
        batch_id = approved(wb, tmp_path)
        open_notebook(page, "02-batch-resubscribe.ipynb")
        panel = panel_of(page)
        panel.get_by_label("Batch").select_option(index=1)
        status_is(page, f"Batch {batch_id} is shown")
        panel.get_by_role("tab", name="5 Run").click()
        orgs[0].control("/faults", {"plan": [{"kind": "slow", "on": "* .", "seconds": LONG}]})
        panel.get_by_role("button", name="Run", exact=True).click()
        status_is(page, f"Running batch {batch_id}")
        expect(panel.get_by_role("button", name="Pause")).to_be_enabled()
        expect(panel.get_by_role("button", name="Run", exact=True)).to_be_disabled()
        deadline = time.monotonic() + PATIENCE / 1000
        while state_of(wb) != "running" and time.monotonic() < deadline:
            time.sleep(0.1)
        assert state_of(wb) == "running"
        keep(page, "02-batch-5-running")

        page.evaluate(RESTART)
        orgs[0].control("/faults", {"clear": True})
        open_notebook(page, "02-batch-resubscribe.ipynb")
        status_is(
            page, f"Batch {batch_id} was begun and has not ended: 3 of 3 people are still to be done. Press Resume to go on."
        )
        keep(page, "02-batch-5-found-again")
        panel_of(page).get_by_role("button", name="Resume").click()
        status_is(page, "3 of 3 people resubscribed; 0 refused")
        assert state_of(wb) == "finished"
