"""The panels without a browser: what they ask of a real Workbench, what they show, and what they refuse."""

from __future__ import annotations

import csv
import json
import re
import threading
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from types import SimpleNamespace

import ipywidgets as widgets
import pandas as pd
import pytest
from panel_workspace import FORMULA, HOSTILE, NOW, opened

from workbench import panels
from workbench.bench import Workbench
from workbench.errors import InputError
from workbench.panels import handover, uploads, wording
from workbench.panels.batch import BatchPanel
from workbench.panels.consent import moment
from workbench.panels.frame import banner_html
from workbench.panels.work import Ended, Work, time_left
from workbench.settings import Operator

ALL = (panels.StartPanel, panels.ReviewPanel, panels.BatchPanel, panels.MismatchPanel, panels.TrailPanel)
CONSENTED = "2026-10-20 14:05:00 +02:00"


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A workspace on a scratch org, shared by the tests that only read; the clock stands still on both sides."""
    with pytest.MonkeyPatch.context() as env:
        env.setenv("WORKBENCH_CLOCK", NOW.isoformat())
        env.setenv("WORKBENCH_NO_KEYRING", "1")
        with opened(tmp_path_factory.mktemp("panels")) as (wb, org):
            wb.pull()
            yield wb, org


@pytest.fixture
def wb(house):
    handover_file = house[0].workspace / handover.FILE
    handover_file.unlink(missing_ok=True)
    return house[0]


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A workspace of the test's own, to write in."""
    monkeypatch.setenv("WORKBENCH_CLOCK", NOW.isoformat())
    with opened(tmp_path, number=12) as (wb, org):
        wb.pull()
        yield wb, org


def upload(name: str, content: bytes) -> dict:
    return {"name": name, "type": "", "size": len(content), "content": memoryview(content), "last_modified": NOW}


def texts(widget) -> str:
    """Everything a panel shows, as it is written into HTML."""
    shown = getattr(widget, "value", "")
    found = shown if isinstance(shown, str) else ""
    return found + "".join(texts(child) for child in getattr(widget, "children", ()))


def labels(widget) -> set[str]:
    names = {getattr(widget, "description", "")}
    return names.union(*(labels(child) for child in getattr(widget, "children", ())))


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)


def tags(html: str) -> set[str]:
    parser = Tags()
    parser.feed(html)
    return parser.seen


# -- every panel -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ALL)
def test_a_panel_is_saved_as_one_stable_line_without_people(wb, kind):
    first, second = kind(wb), kind(wb)
    bundle = first._repr_mimebundle_()
    assert bundle["text/plain"] == repr(first) == repr(second)
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert "@" not in repr(first)
    assert "\n" not in repr(first)
    assert len(repr(first)) < 110


@pytest.mark.parametrize("kind", ALL)
def test_a_panel_says_where_we_are_in_words(wb, kind):
    banner = kind(wb).banner.value
    assert "SCRATCH ORG – practice data" in banner
    assert wb.operator in banner
    assert "admin, analyst" in banner


@pytest.mark.parametrize("kind", ALL)
def test_names_that_attack_are_shown_as_typed(wb, kind):
    handover.leave(wb.workspace, tuple(wb.people(text="person000")["person_id"]))
    panel = kind(wb)
    if kind is panels.ReviewPanel:
        panel.open_card(wb.people(text="person000").iloc[0]["person_id"])
    html = texts(panel.box)
    assert "img" not in tags(html)
    assert "<script" not in html
    if kind in (panels.ReviewPanel, panels.BatchPanel):
        assert "&lt;img src=x onerror=alert(1)&gt;" in html


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (panels.ReviewPanel, {"Use selection in a batch"}),
        (
            panels.BatchPanel,
            {"Check", "Propose", "Approve", "Run", "Pause", "Resume", "Undo batch", "Reason", "Authorization", "Consent given at", "Purpose",
             "Method", "Notice shown", "Jurisdiction", "Evidence", "Addresses (CSV)"},
        ),
        (panels.MismatchPanel, {"Refresh from Salesforce"}),
        (panels.TrailPanel, {"Verify trail", "Export for auditor", "Run report"}),
    ],
)  # fmt: skip
def test_the_names_that_the_manual_uses_are_there(wb, kind, names):
    assert names <= labels(kind(wb).box)


def test_the_kinds_of_org_differ_in_words_and_an_unknown_one_is_treated_as_production():
    def told(kind: str) -> str:
        return banner_html(
            SimpleNamespace(org_kind=kind, org_name="<b>", register="r", operator="o", roles=(), warnings=("<i>late",))
        )

    assert "PRODUCTION" in told("production")
    assert "SANDBOX" in told("sandbox")
    assert "PRODUCTION" in told("something else")
    assert {"b", "i"}.isdisjoint(tags(told("sandbox")))
    assert "no role" in told("sandbox")


def test_start_says_health_and_numbers_in_words(wb):
    panel = panels.StartPanel(wb)
    html = texts(panel.box)
    assert "checks" in panel.status.sentence
    assert "01-review-unsubscribed" in html
    assert "Unsubscribed" in html


# -- the grid --------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def review(wb):
    return panels.ReviewPanel(wb)


def send(panel, **message):
    panel.grid.receive(message)
    return panel.grid.widget.view


def test_only_one_page_of_text_travels(review):
    view = review.grid.widget.view
    assert view["count"] == 117
    assert view["caption"] == "117 unsubscribed people; times in UTC"
    assert len(view["rows"]) == 25
    assert all(isinstance(cell, str) for row in view["rows"] for cell in row)
    assert len(json.dumps(view)) < 30_000
    assert "00000000" not in json.dumps(view)  # no ids
    assert view["where"] == "Rows 1 to 25 of 117"


def test_paging_reaches_everybody_once_and_comes_back(review):
    seen = [row[0] for row in review.grid.widget.view["rows"]]
    for _ in range(4):
        seen += [row[0] for row in send(review, act="page", to="next")["rows"]]
    assert len(seen) == len(set(seen)) == 117
    view = send(review, act="page", to="next")
    assert (view["where"], view["has_next"]) == ("Rows 101 to 117 of 117", False)
    assert send(review, act="page", to="previous")["where"] == "Rows 76 to 100 of 117"
    assert send(review, act="page", to="first")["where"] == "Rows 1 to 25 of 117"
    assert send(review, act="page", to="last")["where"] == "Rows 93 to 117 of 117"


def test_sorting_turns_round_on_the_second_press(review):
    assert send(review, act="sort", column="email")["rows"][0][0] == "person000@example.com"
    assert send(review, act="sort", column="email")["rows"][0][0] == "person128@example.net"
    assert review.grid.widget.view["sort"] == "email"
    assert review.grid.widget.view["descending"] is True


def test_filters_narrow_and_can_be_cleared(review):
    view = send(review, act="filter", filters={"source": "manual", "domain": "example.org", "text": ""})
    assert 0 < view["count"] < 30
    assert {row[4] for row in view["rows"]} == {"manual"}
    assert view["caption"].endswith("unsubscribed people fit the filters; times in UTC")
    assert send(review, act="filter", filters={"text": "nobody at all"})["empty"].startswith(
        "Nobody fits these filters. Press Clear filters"
    )
    assert send(review, act="clear_filters")["count"] == 117


def test_the_day_to_includes_that_day(review):
    assert send(review, act="filter", filters={"since": "2026-05-05", "until": "2026-05-05"})["count"] == 22
    assert all(row[3].startswith("2026-05-05") for row in review.grid.widget.view["rows"])


def test_a_selection_is_a_table_of_people(review):
    view = review.grid.widget.view
    send(review, act="select", row=3, view=view["number"], on=True)
    view = send(review, act="page", to="next")
    view = send(review, act="select", row=0, view=view["number"], on=True)
    assert view["selected"][0] is True
    assert view["chosen_text"] == "2 selected"
    chosen = review.selection
    assert len(chosen) == 2
    assert str(chosen["unsubscribed_at"].dtype).startswith("datetime64")
    send(review, act="clear_selection")
    assert list(review.selection.columns) == list(chosen.columns)
    assert review.selection.empty


def test_all_matching_is_a_filter_and_single_people_can_be_left_out(review):
    send(review, act="filter", filters={"source": "manual"})
    view = send(review, act="select_all")
    everybody = view["count"]
    assert view["chosen"] == everybody
    assert all(view["selected"])
    view = send(review, act="select", row=0, view=view["number"], on=False)
    assert view["chosen"] == everybody - 1
    left_out = view["rows"][0][0]
    view = send(review, act="clear_filters")  # another list is shown; who was meant stays
    assert view["chosen"] == everybody - 1
    view = send(review, act="select_page", view=view["number"], on=True)
    assert left_out not in set(review.selection["email"]) or left_out in {row[0] for row in view["rows"]}
    assert view["chosen"] == len(review.selection) == len(set(review.selection["person_id"]))


@pytest.mark.parametrize(
    "message",
    [
        None,
        "select_all",
        {},
        {"act": ["filter"]},
        {"act": "__init__"},
        {"act": "drop"},
        {"act": "filter", "filters": "x"},
        {"act": "filter", "filters": {"person_ids": "x"}},
        {"act": "filter", "filters": {"unsubscribed": "no"}},
        {"act": "filter", "filters": {"text": {"a": 1}}},
        {"act": "filter", "filters": {"source": "x' OR 1=1"}},
        {"act": "filter", "filters": {"since": "yesterday"}},
        {"act": "filter", "filters": {"until": "9999-12-31"}},
        {"act": "filter", "filters": {"text": "\ud800"}},
        {"act": "sort", "column": "person_id"},
        {"act": "sort", "column": "first_name"},
        {"act": "sort", "column": ["email"]},
        {"act": "select", "row": 0, "view": -1, "on": True},
        {"act": "select", "row": True, "view": None, "on": True},
        {"act": "select", "row": 99, "on": True},
        {"act": "open", "row": -1},
    ],
)
def test_what_a_browser_should_not_send_changes_nothing(review, message):
    before = review.grid.widget.view
    if isinstance(message, dict) and "row" in message:
        message = {"view": before["number"], **message}
    review.grid.receive(message)
    assert review.status.tone == "failed"
    assert review.grid.widget.view["rows"] == before["rows"]
    assert review.grid.selected_count == 0
    assert send(review, act="clear_filters")["count"] == 117


def test_the_card_tells_both_systems(review):
    view = send(review, act="sort", column="email")
    review.grid.receive({"act": "open", "row": 0, "view": view["number"]})
    html = review._card.widget.value
    assert "History of both systems" in html
    assert html.index('role="img"') < html.index("History of both systems"), "drawn, and the list below it"
    assert "<desc" in html
    assert "Salesforce: opted out 2026-05-04, now opted out." in html
    assert "Salesforce records" in html
    assert "No consent is on file. It is recorded in" in html
    assert "unsubscribed (clicked link" in html


def test_an_export_runs_no_formula(review):
    view = send(review, act="filter", filters={"text": "person001"})
    send(review, act="select", row=0, view=view["number"], on=True)
    path = review.export()
    with path.open(encoding="utf-8-sig", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["company"] == "'" + FORMULA
    assert row["email"] == "person001@example.org"
    assert path.stat().st_mode & 0o077 == 0
    assert review.export() != path  # never over an earlier one
    assert review.status.sentence == f"1 person written to exports/{path.stem}-2.csv."


def test_nobody_selected_is_said_not_exported(review):
    assert review.export() is None
    assert (review.status.tone, review.status.sentence) == ("refused", "Nobody is selected.")
    review.attempt(review.use_in_batch)
    assert (review.status.tone, review.status.sentence) == ("failed", "Nobody is selected.")


# -- handing over, uploads, words ------------------------------------------------------------------------------------------------


def test_the_selection_reaches_the_batch_notebook_without_addresses(review, wb):
    view = review.grid.widget.view
    send(review, act="select_page", view=view["number"], on=True)
    review.use_in_batch()
    text = (wb.workspace / handover.FILE).read_text()
    assert "@" not in text
    batch = BatchPanel(wb)
    assert set(batch.people_step.person_ids) == set(review.selection["person_id"])
    assert batch.status.sentence == "25 people chosen."


@pytest.mark.parametrize("text", ["", "{}", '{"person_ids": "x"}', '{"person_ids": ["../../x"]}', "[1]", "\x00"])
def test_a_broken_handover_is_a_sentence(wb, text):
    (wb.workspace / handover.FILE).write_text(text)
    with pytest.raises(InputError, match="can't be read"):
        handover.take(wb.workspace)
    assert BatchPanel(wb).status.tone == "failed"


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("form.pdf", "form.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\x\\y.pdf", "y.pdf"),
        ("..", "file"),
        ("", "file"),
        ("a\x00\nb.txt", "ab.txt"),
    ],
)
def test_a_file_name_from_a_browser_is_only_a_name(name, plain):
    assert uploads.plain_name(name) == plain


def test_uploads_are_files_for_a_moment_only():
    with uploads.as_files([upload("a.txt", b"x"), upload("b.txt", b"y")]) as paths:
        assert [p.read_bytes() for p in paths] == [b"x", b"y"]
    assert not paths[0].exists()
    for wrong in ([], [upload("a", b"")], [upload("a", b"x" * (uploads.MOST_BYTES + 1))], [upload("a", b"1"), upload("a", b"2")]):
        with pytest.raises(InputError), uploads.as_files(wrong):
            pass


def test_a_csv_of_addresses_says_who_is_not_in_the_register(wb):
    panel = BatchPanel(wb)
    content = f"Name;Email\nx;PERSON003@Example.com\ny;nobody@example.com\nz;\nh;{HOSTILE}\n".encode()
    panel.people_step._file.value = (upload("list.csv", content),)
    assert list(panel.people_step.frame["email"]) == ["person003@example.com"]
    assert panel.people_step.unmatched == ("nobody@example.com", HOSTILE)
    assert panel.status.sentence == "1 person chosen; 2 could not be matched."
    assert "img" not in tags(texts(panel.box))


def test_a_csv_of_ids_and_one_without_either(wb):
    ids = list(wb.people(limit=2)["person_id"])
    panel = BatchPanel(wb)
    panel.people_step._file.value = (upload("list.csv", "\n".join(["Person ID", *ids, ids[0]]).encode()),)
    assert set(panel.people_step.person_ids) == set(ids)
    panel.people_step._file.value = (upload("other.csv", b"Colour\nred\n"),)
    assert panel.status.tone == "failed"
    assert "Person ID" in panel.status.sentence


def test_times_need_their_zone():
    assert moment(CONSENTED, field="x") == (datetime(2026, 10, 20, 12, 5, tzinfo=UTC), "second")
    assert moment("2026-10-20T14:05:00Z", field="x")[0] == datetime(2026, 10, 20, 14, 5, tzinfo=UTC)
    assert moment("2026-10-20", field="x") == (datetime(2026, 10, 20, tzinfo=UTC), "day")
    for wrong, why in (("2026-10-20 14:05", "zone is missing"), ("soon", "not a date and time"), ("", "not a date and time")):
        with pytest.raises(InputError, match=why):
            moment(wrong, field="Consent given at")


def test_a_table_escapes_everything_and_says_when_it_is_cut():
    frame = pd.DataFrame({"a": [HOSTILE] * 3, "n": [1, 2, 3], "t": [pd.NaT, NOW, None]})
    html = wording.table(frame, {"a": "<b>", "n": "N", "t": "T"}, caption='"x"', shown=2)
    assert tags(html).isdisjoint({"img", "b"})
    assert "the first 2 of 3 rows" in html
    assert "2026-11-02 12:00" in html
    assert (
        wording.table(frame.iloc[:0], {"a": "A"}, caption="", empty="<none>")
        == '<p class="cw-state cw-state-empty">&lt;none&gt;</p>'
    )


# -- long work -------------------------------------------------------------------------------------------------------------------


def test_progress_and_end_come_through_one_queue_on_the_waiting_thread():
    heard: list = []
    here = threading.get_ident()
    work = Work(
        on_progress=lambda p: heard.append((p, threading.get_ident())), on_end=lambda e: heard.append((e, threading.get_ident()))
    )
    work.start(lambda tell: [tell(n) for n in range(100)] and "end")
    with pytest.raises(RuntimeError):
        work.start(lambda tell: None)
    work.wait(10)
    assert heard == [(99, here), (Ended(result="end"), here)]  # of many progresses only the last is shown
    assert not work.running


def test_an_error_in_the_worker_ends_as_a_sentence(review):
    def fails(_tell):
        raise InputError("something is wrong with it", "Mend it.")

    button = review.button("x", lambda: None)
    review.start("Trying", fails, lambda _: None, resting=[button])
    assert button.disabled
    assert review.status.tone == "working"
    review.wait(10)
    assert not button.disabled
    assert (review.status.tone, review.status.sentence, review.status.advice) == (
        "failed",
        "Something is wrong with it.",
        "Mend it.",
    )
    review.start("Trying", lambda _: 1 / 0, lambda _: None)
    review.wait(10)
    assert "ZeroDivisionError" in review.status.sentence
    assert "Traceback" not in review.status.sentence


def test_time_left_is_said_in_words():
    assert time_left(1, 3, 10) == "about 20 s left"
    assert time_left(1, 61, 10) == "about 10 min left"
    assert time_left(0, 3, 10) == time_left(3, 3, 10) == time_left(1, 3, 0.2) == ""


# -- a batch from people to result -----------------------------------------------------------------------------------------------


def filled(wb, number: int = 3) -> BatchPanel:
    people = wb.people(unsubscribed=True, salesforce="opted_out").sort_values("email").head(number)
    handover.leave(wb.workspace, tuple(people["person_id"]))
    panel = BatchPanel(wb)
    form = panel.consent_step
    form.given_at.value, form.method.value, form.jurisdiction.value = CONSENTED, "paper", "us"
    form.notice.value = "Yes, mail me news about your products."
    form.evidence.value = (upload("form.pdf", b"%PDF-1.7 signed"),)
    panel.reason.value = "signed_form"
    return panel


def test_a_batch_goes_from_people_to_result_and_can_be_undone(own):
    wb, _ = own
    panel = filled(wb)
    panel.consent_step.record()
    panel.wait()
    assert panel.status.sentence == "Consent recorded for 3 people, with its evidence."
    assert set(wb.consents()["evidence"]) == {1}

    panel.check()
    panel.wait()
    assert panel.status.sentence == "3 of 3 people may be resubscribed; 0 not."
    assert wb.batches().empty, "a check stores nothing"
    panel.propose()
    panel.wait()
    assert panel.status.tone == "done", panel.status.sentence
    assert list(wb.batches()["state"]) == ["proposed"]
    panel.approve()
    assert "approved by" in panel.status.sentence
    panel.run()
    panel.wait()
    assert (panel.status.tone, panel.status.sentence) == ("done", "3 of 3 people resubscribed; 0 refused.")
    assert wb.batch_items(panel._batch_id)["state"].tolist() == ["DONE"] * 3
    assert "resubscribed on both sides" in panel._result_view.value
    assert wb.people(unsubscribed=True)["person_id"].isin(panel.people_step.person_ids).sum() == 0

    again = BatchPanel(wb)  # another browser, later
    again.picked.value = panel._batch_id
    assert "resubscribed on both sides" in again._result_view.value
    again.undo()
    again.wait()
    assert again.status.tone == "done", again.status.sentence
    assert wb.people(unsubscribed=True)["person_id"].isin(panel.people_step.person_ids).sum() == 3


def test_without_consent_everybody_is_refused_in_sentences(own):
    wb, _ = own
    panel = filled(wb, 2)
    panel.check()
    panel.wait()
    assert (panel.status.tone, panel.status.sentence) == ("refused", "0 of 2 people may be resubscribed; 2 not.")
    assert "no consent" in panel._check_view.value


def test_a_run_pauses_and_resumes(own):
    wb, _ = own
    panel = filled(wb)
    panel.consent_step.record()
    panel.wait()
    panel.propose()
    panel.wait()
    panel.approve()
    panel.run()
    panel.pause()  # before the first group: the kernel's thread is free while the worker runs
    panel.wait()
    state = wb.batches().iloc[0]["state"]
    assert state in ("paused", "finished")
    if state == "paused":
        assert panel.status.tone == "refused"
        panel.resume()
        panel.wait()
    assert wb.batches().iloc[0]["state"] == "finished"
    assert panel._pause.disabled


def test_steps_out_of_order_are_sentences(wb):
    panel = BatchPanel(wb)
    for step in (panel.approve, panel.run, panel.resume, panel.undo, panel.cancel):
        panel.attempt(step)
        assert (panel.status.tone, panel.status.sentence) == ("refused", "There is no batch yet.")
    panel.check()
    panel.wait()
    assert panel.status.tone == "failed"
    panel.attempt(panel.consent_step.record)
    assert panel.status.sentence == "Nobody is chosen."


def test_a_consent_form_with_gaps_says_what_is_missing(own):
    wb, _ = own
    panel = filled(wb, 1)
    panel.consent_step.given_at.value = "2026-10-20 14:05"
    panel.attempt(panel.consent_step.record)
    assert panel.status.sentence == "Consent given at: the time zone is missing."
    panel.consent_step.evidence.value = ()
    panel.attempt(panel.consent_step.record)
    assert panel.status.sentence == "A consent needs at least one file that proves it."
    assert wb.consents().empty


# -- mismatches and trail --------------------------------------------------------------------------------------------------------


def test_mismatches_are_counted_shown_and_handed_on(own):
    wb, org = own
    first = wb.people(unsubscribed=True, salesforce="opted_out").iloc[0]
    record = wb.person(first["person_id"]).records.iloc[0]
    org.control("/write", {"object": record["object"], "id": record["record_id"], "values": {"HasOptedOutOfEmail": False}})
    panel = panels.MismatchPanel(wb)
    panel.full.value = True  # on a clock that stands still nothing is newer than the last reading
    panel.refresh()
    panel.wait()
    assert "records read from Salesforce" in panel.status.sentence, panel.status.sentence
    assert "unsubscribed only in the register: 1 open, 1 over the limit." in panel._counts_view.value
    assert panel._counts_view.value.index('role="img"') < panel._counts_view.value.index("What it means")
    panel.kind.value = "unsubscribed_only_locally"
    assert first["email"] in panel._rows_view.value
    assert list(panel.selection["person_id"]) == [first["person_id"]]
    panel.use_in_batch()
    assert handover.take(wb.workspace) == (first["person_id"],)
    panel.sync()
    panel.wait()
    assert panel.status.tone == "done", panel.status.sentence
    assert wb.mismatches("unsubscribed_only_locally").empty


def test_the_trail_is_filtered_verified_and_proved(wb):
    panel = panels.TrailPanel(wb)
    assert "events fit" in panel.status.sentence
    panel.verify()
    panel.wait()
    assert panel.status.sentence.endswith("events fit their signed checkpoint.")
    panel.by.value = "nobody"
    panel.filter()
    assert panel.status.sentence == "0 events fit."
    panel.clear_filters()
    panel.day_from.value = (NOW + timedelta(days=1)).date()
    panel.filter()
    assert panel.selection.empty
    panel.proved.value = "person003@example.com"
    panel.attempt(panel.prove)
    assert "of this person are on the signed trail" in panel.status.sentence
    panel.proved.value = "nobody@example.com"
    panel.attempt(panel.prove)
    assert panel.status.tone == "failed"


def test_the_auditors_export_is_written_beside_the_notebooks(own):
    wb, _ = own
    panel = panels.TrailPanel(wb)
    panel.export()
    panel.wait()
    assert panel.status.tone == "done", panel.status.sentence
    (folder,) = (wb.workspace / "notebooks" / "exports").glob("trail-*")
    assert len(list(folder.iterdir())) > 3


# -- nothing there, nothing to be shown, nothing to be changed ---------------------------------------------------------------------


@pytest.fixture
def new(tmp_path, monkeypatch):
    """A workspace in which nothing has happened yet."""
    monkeypatch.setenv("WORKBENCH_NO_KEYRING", "1")
    with Workbench.init(tmp_path / "new") as made:
        yield made


def named(wb: Workbench, name: str, *roles: str) -> Workbench:
    """The same workspace with somebody else at the keyboard."""
    for role in roles:
        wb.grant(name, role)
    return Workbench(wb.settings, Operator(name=name, auth="os-user"))


def pressable(widget) -> set[str]:
    own = {widget.description} if isinstance(widget, widgets.Button) and not widget.disabled else set()
    return own.union(*(pressable(child) for child in getattr(widget, "children", ())))


@pytest.mark.parametrize("kind", ALL)
def test_where_there_is_nothing_a_panel_says_what_to_do_next(new, kind):
    panel = kind(new)
    empty = re.findall('cw-state-empty">(.*?)</p>', texts(panel.box))
    if kind is panels.ReviewPanel:
        empty = [panel.grid.widget.view["empty"]]
    assert empty
    assert [sentence for sentence in empty if not re.search(r"Press|Choose|Run|Fill|Import|propose one", sentence)] == []
    assert "cw-state-failed" not in texts(panel.box)
    assert "cw-state-limits" not in texts(panel.box), "an administrator may do everything"


@pytest.mark.parametrize("kind", ALL)
def test_a_register_that_cant_be_read_is_said_in_the_panels_place_until_it_can(new, kind):
    away = new.workspace / "away"
    register = next(new.workspace.glob("*.db"))
    new.store.close()
    register.rename(away)
    register.write_bytes(b"this is no register at all, " * 100)
    for beside in new.workspace.glob("*.db-*"):
        beside.unlink()
    panel = kind(new)
    assert "This screen can&#x27;t be shown now." in texts(panel.box)
    assert panel.status.tone == "failed"
    assert panel.status.advice
    assert "Traceback" not in texts(panel.box)
    assert pressable(panel.box) == {"Try again"}
    new.store.close()
    register.unlink()
    away.rename(register)
    again = next(
        child for row in panel.box.children for child in getattr(row, "children", ()) if isinstance(child, widgets.Button)
    )
    again.click()
    assert "cw-state-failed" not in texts(panel.box)
    assert panel.status.tone != "failed"


def test_a_defect_in_a_panel_is_no_traceback_either(wb, monkeypatch):
    monkeypatch.setattr(panels.StartPanel, "show", lambda _self: 1 / 0)
    panel = panels.StartPanel(wb)
    assert panel.status.sentence == "The workbench itself made a mistake (ZeroDivisionError)."
    assert pressable(panel.box) == {"Try again"}


ADMINS_BUTTONS = {
    panels.BatchPanel: {"Approve", "Run", "Resume", "Undo batch"},
    panels.MismatchPanel: {"Opt out the other side now"},
    panels.TrailPanel: {"New checkpoint"},
    panels.StartPanel: set(),
    panels.ReviewPanel: set(),
}


@pytest.mark.parametrize("kind", ALL)
def test_an_analyst_reads_what_an_administrator_does_and_cant_press_it(new, kind):
    everything = pressable(kind(new).box)
    assert everything >= ADMINS_BUTTONS[kind]
    with named(new, "bea", "analyst") as analyst:
        panel = kind(analyst)
        assert pressable(panel.box) == everything - ADMINS_BUTTONS[kind]
        assert ("You are here as analyst." in texts(panel.box)) == bool(ADMINS_BUTTONS[kind])
        assert panel.status.tone != "failed"


@pytest.mark.parametrize(
    ("role", "sentence"), [("auditor", "You are here as auditor."), ("", "You have no role in this workspace.")]
)
def test_who_may_only_look_is_told_so_on_every_panel(new, role, sentence):
    with named(new, "cora", *([role] if role else [])) as visitor:
        for kind in ALL:
            assert sentence in texts(kind(visitor).box)
        assert {"Propose", "Record consent", "Import consents", "Check"}.isdisjoint(pressable(panels.BatchPanel(visitor).box))
        assert ("Run report" in pressable(panels.TrailPanel(visitor).box)) == bool(role)
        assert ("Export for auditor" in pressable(panels.TrailPanel(visitor).box)) == bool(role)


def test_a_reserved_button_says_whose_it_is_and_stays_so_after_long_work(new):
    with named(new, "bea", "analyst") as analyst:
        panel = panels.MismatchPanel(analyst)
        assert panel._sync.tooltip == "Reserved for: admin"
        panel.dry_run()
        panel.wait()
        assert panel._sync.disabled
        assert not panel._dry.disabled
