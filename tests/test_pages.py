"""The extension of JupyterLab's server that shows notebooks as pages: what belongs on one, how many, which kernels are left over."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import pytest
from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from jupyter_server.services.sessions.sessionmanager import SessionManager
from notebook_run import NOTEBOOKS
from tornado.web import HTTPError
from traitlets.config import Config

from workbench.lab import pages

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)


def server(*, voila: bool = True, base_url: str = "/") -> Any:
    """As much of a Jupyter server as an extension sees."""
    settings = {"base_url": base_url} | ({"voila_jinja2_env": object()} if voila else {})
    return SimpleNamespace(config=Config(), web_app=SimpleNamespace(settings=settings))


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(pages.PLACE, "/left/from/before/")
    monkeypatch.setenv("JUPYTER_PATH", "/somewhere")


def loaded(one: Any) -> str | None:
    pages._link_jupyter_server_extension(one)
    pages._load_jupyter_server_extension(one)
    return os.environ.get(pages.PLACE)


@pytest.mark.parametrize(("base_url", "place"), [("/", "/voila/render/"), ("/user/ann/", "/user/ann/voila/render/")])
def test_kernels_learn_where_the_pages_are(base_url: str, place: str) -> None:
    assert loaded(server(base_url=base_url)) == place


def test_without_voila_kernels_learn_of_no_pages() -> None:
    assert loaded(server(voila=False)) is None


def test_every_setting_is_one_that_voila_has() -> None:
    """A setting under a name that Voila does not know is ignored without a word."""
    configuration = pytest.importorskip("voila.configuration").VoilaConfiguration
    executor = pytest.importorskip("voila.execute").VoilaExecutor
    one = server()
    loaded(one)
    assert set(one.config) == {"VoilaConfiguration", "VoilaExecutor"}
    assert set(one.config["VoilaConfiguration"]) <= set(configuration.class_trait_names(config=True))
    assert set(one.config["VoilaExecutor"]) <= set(executor.class_trait_names(config=True))
    made = configuration(config=one.config)
    assert (made.template, made.strip_sources, made.show_tracebacks) == ("workbench", True, False)
    assert made.prelaunch_hook is pages.before_a_page


def test_our_template_is_found_and_names_no_other_host() -> None:
    loaded(server())
    collect = pytest.importorskip("voila.paths").collect_template_paths
    assert Path(collect(["voila"], "workbench")[0]) == pages.SHARE / "voila" / "templates" / "workbench"
    texts = [path.read_text(encoding="utf-8") for path in pages.SHARE.rglob("*") if path.is_file()]
    assert len(texts) >= 5
    assert not any("://" in text for text in texts)


def test_a_folder_is_searched_once_however_often_the_server_is_begun() -> None:
    once = pages.searched(os.environ)
    assert once == os.pathsep.join([str(pages.SHARE), "/somewhere"])
    assert pages.searched({"JUPYTER_PATH": once}) == once
    assert pages.searched({}) == str(pages.SHARE)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_page_has_question_panel_and_line_of_a_notebook_and_nothing_about_cells(path: Path) -> None:
    before = nbformat.read(path, as_version=4).cells
    cells = pages.cells_of_a_page([cell.copy() for cell in before])
    assert [cell.cell_type for cell in cells] == ["markdown", "code", "code", "code"]
    assert cells[0].source.startswith("# ")
    said = " ".join(cell.source for cell in cells if cell.cell_type == "markdown").lower()
    assert not [word for word in ("run all", "cell", "code", "dataframe", "▶") if word in said]
    assert cells[1:] == before[1:4]


def test_a_page_says_what_becomes_of_a_run_when_it_is_closed() -> None:
    (batch,) = (path for path in NOTEBOOKS if path.stem.startswith("02"))
    before, on_a_page = pages.OF_A_RUN
    cells = nbformat.read(batch, as_version=4).cells
    assert before in cells[0].source
    said = pages.cells_of_a_page(cells)[0].source
    assert on_a_page in said
    assert "goes on when you close" not in said


def test_an_analysts_own_notebook_is_shown_whole() -> None:
    own = [{"cell_type": "markdown", "source": "# Mine\n\nAs I like it."}, {"cell_type": "code", "source": "1"}]
    assert pages.cells_of_a_page([cell.copy() for cell in own]) == own


def test_more_pages_than_a_machine_bears_are_refused_with_a_sentence() -> None:
    def handler(number: int) -> Any:
        return SimpleNamespace(kernel_manager=SimpleNamespace(list_kernel_ids=lambda: ["id"] * number))

    book = nbformat.v4.new_notebook()
    assert pages.before_a_page(handler(pages.MOST - 1), book, "") is book
    with pytest.raises(HTTPError, match=r"10 notebooks and pages are open already\. Close one") as refused:
        pages.before_a_page(handler(pages.MOST), book, "")
    assert refused.value.status_code == 503


def kernel(name: str, *, minutes: int = 45, connections: int = 0, state: str = "idle") -> dict[str, Any]:
    """As Jupyter describes one that has said nothing for so many minutes."""
    last = f"{NOW - timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%S.%fZ}"
    return {"id": name, "connections": connections, "execution_state": state, "last_activity": last}


def test_only_kernels_that_nobody_looks_at_and_that_do_nothing_are_ended() -> None:
    kernels = [
        kernel("left"),
        kernel("in lab"),
        kernel("looked at", connections=1),
        kernel("at work", state="busy"),
        kernel("just now", minutes=29),
    ]
    assert pages.left_ones(kernels, {"in lab"}, NOW) == ["left"]


def test_a_kernel_left_behind_is_ended_and_one_of_a_notebook_is_not() -> None:
    """With Jupyter's own managers: a kernel as a page starts it, and one as JupyterLab does."""

    async def both() -> tuple[str, str, list[str]]:
        kernels = AsyncMappingKernelManager()
        sessions = SessionManager(kernel_manager=kernels, contents_manager=AsyncLargeFileManager())
        try:
            page = await kernels.start_kernel(kernel_name="python3")
            of_lab = (await sessions.create_session(path="a.ipynb", name="a", type="notebook", kernel_name="python3"))["kernel"][
                "id"
            ]
            for kernel_id in (page, of_lab):
                one = kernels.get_kernel(kernel_id)
                one.execution_state, one.last_activity = "idle", datetime.now(UTC) - pages.LEFT_FOR - timedelta(seconds=1)
            await pages._end_left_ones(SimpleNamespace(kernel_manager=kernels, session_manager=sessions))
            return page, of_lab, kernels.list_kernel_ids()
        finally:
            await kernels.shutdown_all(now=True)

    page, of_lab, there = asyncio.run(both())
    assert page != of_lab
    assert there == [of_lab]
