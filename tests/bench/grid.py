"""The review grid in a real JupyterLab: first paint, bytes, every filter, sort and page; beside other grids on the same people.

    python tests/bench/grid.py [--people 1000 100000 1000000] [--runs 5] [--rivals]

A register is written for each size and opened in JupyterLab and Chromium. First paint is the time from running the panel's cell, in a
kernel that has all modules loaded, until a person's address stands in the page; so it is for the others, which get the people as a
DataFrame that is already in the kernel's memory. ``--rivals`` installs those into a temporary folder, from the index that pip uses;
without it, or where one can't be installed, they are not measured, and the table says so. Milliseconds are medians.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "e2e")]

import nbformat
from lab_browser import PATIENCE, chromium, command, lab_server
from million import links, mismatches, written
from panel_workspace import NOW, opened
from playwright.sync_api import Page

NOTEBOOK = "bench.ipynb"
OWN = "workbench"
RIVALS = {
    "quak": ("quak", "import quak", "quak.Widget(frame)"),
    "ipydatagrid": ("ipydatagrid", "from ipydatagrid import DataGrid", "DataGrid(frame)"),
    "perspective": ("perspective-python", "from perspective.widget import PerspectiveWidget", "PerspectiveWidget(frame)"),
    "itables": ("itables", "import itables\nitables.init_notebook_mode(connected=False)", "itables.show(frame, maxBytes=0)"),
}
"""Other grids: the package, what loads it, what shows the frame."""
LAST_WITH = {"itables": 100_000}
"""Up to which size one is tried: it sends every row, and a million of them end the browser."""
SECONDS = 90
READ = """
import pandas as pd, sqlalchemy as sa
with wb.store.read() as tx:
    rows = tx.execute(sa.text("SELECT email, first_name, last_name, company, unsubscribed_at, unsubscribe_source FROM person"
                              " WHERE unsubscribed_at IS NOT NULL")).fetchall()
frame = pd.DataFrame([tuple(row) for row in rows], columns=["email", "first", "last", "company", "unsubscribed", "source"])
len(frame)
"""
FIRST_PAINT = """
async ([index, patience]) => {
  const notebook = window.jupyterapp.shell.currentWidget.content;
  notebook.activeCellIndex = index;
  const cell = notebook.widgets[index];
  const shown = (node) => {
    for (const one of node.querySelectorAll("*")) {
      if (one.shadowRoot && shown(one.shadowRoot)) return true;
      if (one.children.length === 0 && one.textContent.includes("@company") && one.getClientRects().length) return true;
      if (one.tagName === "IFRAME" && one.contentDocument && shown(one.contentDocument)) return true;
      if (one.tagName === "CANVAS" && one.width > 100 && one.height > 40) {
        const pixels = one.getContext("2d")?.getImageData(0, 0, Math.min(600, one.width), Math.min(120, one.height)).data;
        if (pixels && new Set(new Uint32Array(pixels.buffer)).size > 8) return true;
      }
    }
    return false;
  };
  cell.model.clearExecution();
  await new Promise((resolve) => setTimeout(resolve, 300));
  const began = performance.now();
  window.jupyterapp.commands.execute("notebook:run-cell");
  return await new Promise((resolve) => {
    const look = () => {
      const took = performance.now() - began;
      if (cell.outputArea && shown(cell.outputArea.node)) requestAnimationFrame(() => resolve(performance.now() - began));
      else if (took > patience) resolve(null);
      else requestAnimationFrame(look);
    };
    look();
  });
}
"""
ACT = """
async ([selector, value, patience]) => {
  const panel = [...document.querySelectorAll(".jp-NotebookPanel:not(.lm-mod-hidden) .cw-grid")].at(-1);
  const body = panel.querySelector("tbody");
  const control = selector.startsWith("text=")
    ? [...panel.querySelectorAll("button")].find((button) => button.textContent.trim().startsWith(selector.slice(5)))
    : panel.querySelector(selector);
  if (!control || control.disabled) return null;
  const began = performance.now();
  const painted = new Promise((resolve) => {
    const observer = new MutationObserver(() => {
      observer.disconnect();
      requestAnimationFrame(() => resolve(performance.now() - began));
    });
    observer.observe(body, { childList: true, subtree: true });
    setTimeout(() => resolve(null), patience);
  });
  if (value === null) control.click();
  else {
    control.value = value;
    control.dispatchEvent(new Event("input", { bubbles: true }));
    control.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
  }
  return await painted;
}
"""
ACTS: dict[str, tuple[str, str | None]] = {
    "sort by e-mail": ("[data-sort=email]", None),
    "sort by name": ("[data-sort=name]", None),
    "sort by company": ("[data-sort=company]", None),
    "sort by date": ("[data-sort=unsubscribed_at]", None),
    "next page": ("text=Next", None),
    "last page": ("text=Last", None),
    "previous page": ("text=Previous", None),
    "first page": ("text=First", None),
    "filter: name": ("[data-name=text]", "name00042"),
    "filter: address": ("[data-name=text]", "person4242@"),
    "filter: nobody": ("[data-name=text]", "zzzz"),
    "filter: no text": ("[data-name=text]", ""),
    "filter: domain": ("[data-name=domain]", "company7.example"),
    "filter: no domain": ("[data-name=domain]", ""),
    "filter: company": ("[data-name=company]", "Company 77"),
    "filter: no company": ("[data-name=company]", ""),
    "filter: since": ("[data-name=since]", "2026-06-01"),
    "filter: no since": ("[data-name=since]", ""),
    "filter: source": ("[data-name=source]", "clicked_link"),
    "filter: no source": ("[data-name=source]", ""),
    "filter: Salesforce": ("[data-name=salesforce]", "opted_out"),
    "filter: no Salesforce": ("[data-name=salesforce]", ""),
    "filter: mismatch": ("[data-name=mismatch]", "any"),
    "filter: no mismatch": ("[data-name=mismatch]", ""),
    "filter: consent": ("[data-name=consent]", "no"),
    "filter: no consent": ("[data-name=consent]", ""),
}


class Bytes:
    """What came over a page's websockets."""

    def __init__(self, page: Page) -> None:
        self.received = 0
        page.on("websocket", lambda socket: socket.on("framereceived", self._add))

    def _add(self, frame: Any) -> None:
        self.received += len(frame if isinstance(frame, bytes) else str(frame).encode())


@contextmanager
def installed(names: list[str]) -> Iterator[dict[str, str]]:
    """The others in a temporary folder: the environment under which JupyterLab finds those that could be installed."""
    with tempfile.TemporaryDirectory(prefix="rivals-") as folder:
        for name in names:
            words = ["-m", "pip", "-qq", "--disable-pip-version-check", "install", "--prefix", folder, RIVALS[name][0]]
            done = subprocess.run([sys.executable, *words], capture_output=True, check=False)
            print(f"{name}: {'installed' if done.returncode == 0 else 'NOT MEASURED, it can not be installed here'}", flush=True)
        packages = next(Path(folder).glob("lib/python*/site-packages"), None)
        found = {"PYTHONPATH": str(packages), "JUPYTER_PATH": f"{folder}/share/jupyter"} if packages else {}
        yield found


def notebook(path: Path, rivals: list[str]) -> list[str]:
    """Write the notebook; which grid each of its cells from the third on shows."""
    loading = ["from workbench import Workbench\nfrom workbench.panels import ReviewPanel\n\nwb = Workbench.open()"]
    loading += [READ if rivals else "None"]
    shows, names = ["ReviewPanel(wb)"], [OWN]
    for name in rivals:
        _, load, show = RIVALS[name]
        loading[1] += f"\ntry:\n    {load.replace(chr(10), chr(10) + '    ')}\nexcept ImportError:\n    pass\n"
        shows.append(show)
        names.append(name)
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in (*loading, *shows)])
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path.write_text(nbformat.writes(made, version=4), encoding="utf-8")
    return names


def run_cell(page: Page, index: int) -> None:
    """Run a cell and wait until the kernel is idle again."""
    page.evaluate("index => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = index; }", index)
    command(page, "notebook:run-cell")
    page.wait_for_function(
        """index => {
          const panel = window.jupyterapp.shell.currentWidget;
          return panel.content.widgets[index].model.executionCount !== null && panel.sessionContext.session.kernel.status === 'idle';
        }""",
        arg=index,
        timeout=10 * PATIENCE,
    )


def measured(folder: Path, people: int, *, runs: int, rivals: list[str], environment: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Rows of the table for one size."""
    os.environ |= {"WORKBENCH_CLOCK": NOW.isoformat(), "WORKBENCH_NO_KEYRING": "1"}
    with opened(folder, number=5) as (wb, _):
        register, workspace = wb.store.file, wb.workspace
        assert register is not None
        wb.close()
        written(register, people)
        links(register)
        mismatches(register)
        tried = [name for name in rivals if people <= LAST_WITH.get(name, people)]
        names = notebook(workspace / "notebooks" / NOTEBOOK, tried)
        with lab_server(workspace, **environment) as address, chromium() as browser:
            page = browser.new_page(viewport={"width": 1400, "height": 1000})
            came = Bytes(page)
            page.goto(address)
            page.wait_for_selector(".jp-NotebookPanel", timeout=PATIENCE)
            command(page, "docmanager:open", path=NOTEBOOK)
            page.wait_for_function(
                "path => { const w = window.jupyterapp.shell.currentWidget;"
                " return w?.context?.path === path && w.sessionContext?.session?.kernel?.status === 'idle'; }",
                arg=NOTEBOOK,
                timeout=PATIENCE,
            )
            for index in (0, 1):
                run_cell(page, index)
            for index, name in enumerate(names, start=2):
                paints, sizes = [], []
                for turn in range(runs + 1 if name == OWN else 3):
                    before = came.received
                    took = page.evaluate(FIRST_PAINT, [index, SECONDS * 1000])
                    page.wait_for_timeout(300)
                    if turn or took is None:  # the first loads the widget's script
                        paints.append(took)
                        sizes.append(came.received - before)
                    if took is None:
                        break
                fine = [paint for paint in paints if paint is not None]
                yield {
                    "people": people,
                    "grid": name,
                    "what": "first paint",
                    "ms": statistics.median(fine) if fine else None,
                    "kB": statistics.median(sizes) / 1000,
                }
                if name == OWN:
                    yield from acted(page, people, came, runs)


def acted(page: Page, people: int, came: Bytes, runs: int) -> Iterator[dict[str, Any]]:
    """Each filter, sort and page of our own grid."""
    times: dict[str, list[float]] = {}
    sizes: dict[str, list[int]] = {}
    for _ in range(runs):
        for what, (selector, value) in ACTS.items():
            before = came.received
            took = page.evaluate(ACT, [selector, value, SECONDS * 1000])
            page.wait_for_timeout(120)
            if took is not None:
                times.setdefault(what, []).append(took)
                sizes.setdefault(what, []).append(came.received - before)
    for what in ACTS:
        found = times.get(what, [])
        yield {
            "people": people,
            "grid": OWN,
            "what": what,
            "ms": statistics.median(found) if found else None,
            "worst": max(found, default=None),
            "kB": statistics.median(sizes[what]) / 1000 if found else None,
        }


def shown(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def main() -> None:
    """Print a line a measurement, and the whole as JSON at the end."""
    parser = argparse.ArgumentParser(description="The review grid in a real browser.")
    parser.add_argument("--people", type=int, nargs="+", default=[1_000, 100_000, 1_000_000])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--rivals", action="store_true", help="install and measure other grids as well")
    given = parser.parse_args()
    rows = []
    with installed(list(RIVALS) if given.rivals else []) as environment:
        for people in given.people:
            with tempfile.TemporaryDirectory(prefix="grid-") as folder:
                began = time.monotonic()
                for row in measured(
                    Path(folder),
                    people,
                    runs=given.runs,
                    rivals=list(RIVALS) if given.rivals else [],
                    environment=environment,
                ):
                    rows.append(row)
                    worst = f"  worst {shown(row['worst'])}" if "worst" in row else ""
                    print(
                        f"{people:>9,}  {row['grid']:<12} {row['what']:<22} {shown(row['ms']):>7} ms  {shown(row['kB']):>7} kB{worst}",
                        flush=True,
                    )
                print(f"{people:>9,}  took {time.monotonic() - began:.0f} s", flush=True)
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
