"""The panels in German: every marked text has its translation with the same places, and what is not marked is not shown."""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from html import unescape
from pathlib import Path

import pandas as pd
import pytest
from catalogue import HOUSE, KEYWORDS, PO, catalogue, compiled, marked
from german import english_in, english_left
from panel_workspace import NOW, opened
from test_panels import labels, texts, upload

from workbench import panels, reports
from workbench.bench import Workbench
from workbench.consent import AUTHORIZATION_TYPES, CONSENT_TYPES, EXPRESSED_BY, METHODS, STATES, Evidence
from workbench.eligibility import RULES
from workbench.errors import SettingsError
from workbench.mismatch import DETAILS, KINDS
from workbench.panels import language
from workbench.panels.batch import REASONS
from workbench.panels.frame import Panel
from workbench.panels.language import _, day_form, figure, moment_form, ngettext, speak, told, word
from workbench.panels.recognised import Template
from workbench.panels.trail import ASKED, REPORTS
from workbench.panels.wording import spoken, table
from workbench.person import UNSUBSCRIBE_SOURCES
from workbench.policy import DEFAULT_REASONS, Policy
from workbench.resubscription import State
from workbench.said import Said, said, said_of
from workbench.settings import FILE, read_settings, rewrite
from workbench.trail.event import EVENT_TYPES

PANELS = sorted(path.name for path in (HOUSE / "panels").glob("*.py"))
SHOWING = {"say", "button", "heading", "paragraph", "table", "Button", "HTML", "Dropdown", "Text", "Textarea", "Checkbox"}
SHOWN_AS = {"description", "tooltip", "placeholder", "caption", "empty", "hint"}
TONES = {"idle", "working", "done", "look", "refused", "failed"}


@pytest.fixture(autouse=True)
def _back_to_english() -> Iterator[None]:
    yield
    speak("en")


def parts(text: str) -> list[str]:
    return sorted(name for _text, name, _format, _conversion in string.Formatter().parse(text) if name)


def test_every_marked_text_has_its_german_with_the_same_places() -> None:
    german = {m.id: m for m in catalogue() if m.id}
    assert set(german) == set(marked()), "run `python tests/catalogue.py`"
    assert [m.id for m in german.values() if m.fuzzy] == []
    for english, message in german.items():
        of, to = ([english], [message.string]) if isinstance(english, str) else (list(english), list(message.string))
        assert len(of) == len(to)
        for one, other in zip(of, to, strict=True):
            assert other, f"no German for {one!r}"
            assert parts(one) == parts(other), one
            assert re.findall(r"`[^`]*`", one) == re.findall(r"`[^`]*`", other), one


def test_the_compiled_catalogue_is_that_of_the_text() -> None:
    assert PO.with_suffix(".mo").read_bytes() == compiled(catalogue()), "run `python tests/catalogue.py`"


def named(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else call.func.id if isinstance(call.func, ast.Name) else ""


def test_every_mark_is_found_wherever_it_stands() -> None:
    """What reads the marks looks into no f-string; a text that is marked in one would stay English."""
    taken = {one for text in marked() for one in ([text] if isinstance(text, str) else text)}
    missed = []
    for path in HOUSE.rglob("*.py"):
        if "shipped" not in path.parts:
            calls = [n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.Call)]
            first = [c.args[0] for c in calls if named(c) in KEYWORDS and c.args]
            missed += [a.value for a in first if isinstance(a, ast.Constant) and a.value and a.value not in taken]
    assert missed == []


def unmarked(source: str) -> list[str]:
    """Texts with a letter that are handed to something that shows them, without being marked; pieces of an f-string, too."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = named(node)
        if name in ("_", "ngettext", "N_"):
            found += [ast.unparse(arg) for arg in node.args if isinstance(arg, ast.JoinedStr)]
        shown = [*(node.args if name in SHOWING else ()), *(k.value for k in node.keywords if k.arg in SHOWN_AS)]
        for value in shown:
            found += list(literals(value))
    return [text for text in found if text not in TONES and re.search(r"[A-Za-z]", text)]


def literals(value: ast.expr) -> Iterator[str]:
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        yield value.value
    elif isinstance(value, ast.JoinedStr):
        yield from (re.sub(r"<[^>]*>", "", part.value) for part in value.values if isinstance(part, ast.Constant))
    elif isinstance(value, ast.BinOp):
        yield from [*literals(value.left), *literals(value.right)]
    elif isinstance(value, ast.IfExp):
        yield from [*literals(value.body), *literals(value.orelse)]
    elif isinstance(value, ast.BoolOp):
        yield from (text for one in value.values for text in literals(one))


def bare(source: str) -> list[str]:
    """Sentences of checks that are plain text; only those that hand an error on with its advice may be."""
    calls = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Call)]
    made = [n for n in calls if isinstance(n.func, ast.Name) and n.func.id in ("HealthLine", "CheckLine")]
    given = [v for n in made for v in (*n.args, *(k.value for k in n.keywords))]
    return [ast.unparse(v) for v in given if any(" " in text for text in literals(v)) and ".advice" not in ast.unparse(v)]


@pytest.mark.parametrize("module", ["health.py", "salesforce/check.py"])
def test_the_sentences_of_checks_can_be_told_in_german(module: str) -> None:
    assert bare((HOUSE / module).read_text(encoding="utf-8")) == []


def test_a_bare_sentence_of_a_check_is_found() -> None:
    assert bare('HealthLine("warn", f"{n} wait for you")') == ["f'{n} wait for you'"]


@pytest.mark.parametrize("module", PANELS)
def test_what_a_panel_shows_is_marked(module: str) -> None:
    assert unmarked((HOUSE / "panels" / module).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("planted", "found"),
    [
        ('self.say("done", "Bare words")', ["Bare words"]),
        ('self.say("done", f"{n} bare")', [" bare"]),
        ('_(f"{n} people")', ["f'{n} people'"]),
        ('field(description="Bare" if x else _("b"))', ["Bare"]),
        ('self.say("done", _("marked"))', []),
    ],
)
def test_a_text_that_is_not_marked_is_found(planted: str, found: list[str]) -> None:
    assert unmarked(planted) == found


def test_a_sentence_remembers_what_it_was_made_from_and_is_english() -> None:
    sentence = said_of("{number} batch waits for an approval.", "{number} batches wait for an approval.", 2_000)
    assert isinstance(sentence, Said)
    assert sentence == "2,000 batches wait for an approval."
    assert said("{done} of {what}", done=True, what="{x}") == "True of {x}"
    speak("de")
    assert told(sentence) == "2.000 Stapel warten auf eine Freigabe."
    assert told(said_of("{number} batch waits for an approval.", "{number} batches wait for an approval.", 1)).startswith(
        "1 Stapel wartet"
    )
    clock = said(
        "{sentence} Set it: waiting times and evidence times depend on it.", sentence=said("The org has no person accounts.")
    )
    assert (
        told(clock)
        == "Die Org hat keine Personenaccounts. Stellen Sie sie: Wartezeiten und die Zeiten von Nachweisen hängen davon ab."
    )
    assert told("Somebody's own words {x}") == "Somebody's own words {x}"
    assert str(sentence) == "2,000 batches wait for an approval."


def test_numbers_and_words_follow_the_language() -> None:
    assert (_("yes"), _(""), figure(12_345)) == ("yes", "", "12,345")
    speak("de")
    assert (_("yes"), _(""), figure(12_345)) == ("ja", "", "12.345")
    assert (
        ngettext("{number} batch waits for an approval.", "{number} batches wait for an approval.", 3)
        == "3 Stapel warten auf eine Freigabe."
    )
    speak("fr")
    assert (_("yes"), figure(12_345)) == ("yes", "12,345")
    assert language.N_("kept") == "kept"


def test_days_and_moments_follow_the_language() -> None:
    assert (moment_form(NOW), day_form(NOW)) == ("2026-11-02 12:00", "2026-11-02")
    due = said("Salesforce was last read at {moment} UTC.", moment="2026-11-02 12:00")
    speak("de")
    assert (moment_form(NOW), day_form(NOW)) == ("02.11.2026 12:00", "02.11.2026")
    assert told(due) == "Salesforce wurde zuletzt am 02.11.2026 12:00 UTC gelesen."
    assert told(str(due)) == told(due)


def test_a_sentence_that_was_stored_is_recognised_by_its_template() -> None:
    stored = str(said_of("{number} batch waits for an approval.", "{number} batches wait for an approval.", 2_000))
    merged = "Lead 00Q1 was opted out when it was merged into 00Q2; the person is not unsubscribed in the register."
    assert (told(stored), told(merged)) == (stored, merged)
    speak("de")
    assert told(stored) == "2.000 Stapel warten auf eine Freigabe."
    assert told("1 batch waits for an approval.") == "1 Stapel wartet auf eine Freigabe."
    assert (
        told(merged)
        == "Lead 00Q1 war abgemeldet, als er mit 00Q2 zusammengeführt wurde; die Person ist im Register nicht abgemeldet."
    )
    two = "The person is unsubscribed (clicked_link); Lead 00Q1 is not opted out. Lead 00Q1 is deleted."
    assert told(two) == "Die Person ist abgemeldet (Link angeklickt); Lead 00Q1 ist nicht abgemeldet. Lead 00Q1 ist gelöscht."
    assert told(f"Somebody's own words. {stored}") == "Somebody's own words. 2.000 Stapel warten auf eine Freigabe."


@pytest.mark.parametrize(
    "text", ["", " ", "{number}", "{0}", "%s", "a. B. C.", "Kind {x} {", "\ud800", ". ".join(["Nicht von uns"] * 300)]
)
def test_a_text_of_anybody_s_is_told_as_it_is(text: str) -> None:
    speak("de")
    assert told(text) == text
    assert word(text) == text


def test_names_that_look_like_ours_stay_as_they_are() -> None:
    speak("de")
    assert told("The opt-out of Lead 00Q1 was cleared by admin, not by a resubscription of ours.") == (
        "Die Abmeldung von Lead 00Q1 wurde durch admin aufgehoben, nicht durch eine Wiederanmeldung von uns."
    )


def sql_texts(module: str) -> list[str]:
    """The literal words that a module of the store puts together to sentences: arguments of ``text``, also within cases."""
    tree = ast.parse((HOUSE / "store" / "mismatches" / module).read_text(encoding="utf-8"))
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id == "text"]
    return [a.value for c in calls for a in c.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]


@pytest.mark.parametrize("module", ["opposed.py", "status.py", "ties.py"])
def test_what_the_store_says_of_a_mismatch_is_marked(module: str) -> None:
    words = sql_texts(module)
    assert len(words) > 4
    assert [w for w in words if w.strip() and not any(w in detail for detail in DETAILS)] == []


def test_a_table_is_in_german_form_where_it_is_ours() -> None:
    frame = pd.DataFrame(
        {"kind": ["relapse"], "n": [12_345], "seq": [12_345], "t": [NOW], "name": ["People"], "why": [DETAILS[0]]}
    )
    speak("de")
    html = table(frame, {name: name for name in frame}, caption="", spell=("kind",), tell=("why",))
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", html)
    assert cells[:5] == ["nach Wiederanmeldung erneut abgemeldet", "12.345", "12345", "02.11.2026 12:00", "People"]


def test_every_kind_of_mismatch_is_spoken() -> None:
    speak("de")
    assert [k for k in KINDS if spoken(k) == k.replace("_", " ") or told(KINDS[k]) == KINDS[k]] == []


@contextmanager
def speaking_german(folder: Path, *, read: bool) -> Iterator[Workbench]:
    with pytest.MonkeyPatch.context() as env:
        env.setenv("WORKBENCH_CLOCK", NOW.isoformat())
        with opened(folder, number=12) as (english, _org):
            if read:
                english.pull()
            said_so = (
                (english.workspace / FILE).read_text(encoding="utf-8").replace("[workspace]\n", '[workspace]\nlanguage = "de"\n')
            )
            rewrite(english.workspace, said_so)
            with Workbench.open(english.workspace) as wb:
                yield wb


@pytest.fixture(scope="module")
def german(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    """A workspace whose panels speak German, for looking at; Salesforce was not read yet."""
    with speaking_german(tmp_path_factory.mktemp("german"), read=False) as wb:
        yield wb


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Workbench]:
    """A German workspace of the test's own, to work in."""
    with speaking_german(tmp_path, read=True) as wb:
        yield wb


def test_the_language_is_a_setting_and_an_unknown_one_is_a_sentence(german: Workbench) -> None:
    assert german.settings.language == "de"
    before = (german.workspace / FILE).read_text(encoding="utf-8")
    rewrite(german.workspace, before.replace('"de"', '"xx"'))
    with pytest.raises(SettingsError, match=r"^workbench\.toml: workspace\.language: "):
        read_settings(german.workspace)
    rewrite(german.workspace, before)


def test_the_start_panel_speaks_german(german: Workbench) -> None:
    panel = panels.StartPanel(german)
    page = unescape(texts(panel.box))
    assert "Erneut prüfen" in labels(panel.box)
    assert "SCRATCH-ORG – Übungsdaten auf diesem Rechner" in page
    assert "Salesforce wurde noch nicht gelesen; lesen Sie zuerst den Stand aus Salesforce ein." in page
    assert re.search(r"Der Prüfpfad ist unversehrt: \d+ Ereignisse\.", page)
    assert "Lead kann gelesen und bearbeitet werden." in page
    assert "<span>Abgemeldet</span><strong>11</strong>" in page
    assert re.fullmatch(r"\d+ Prüfungen: \d gestört, \d anzusehen\.", panel.status.sentence)
    assert panel.status.words["done"] == "Erledigt:"
    assert [text for text in marked_english() if re.search(rf">\s*{re.escape(text)}\s*<", page)] == []
    assert "Run all cells to open it." in repr(panel), "what a notebook keeps stays English"


def test_the_mismatch_panel_speaks_german(own: Workbench) -> None:
    panel = panels.MismatchPanel(own)
    panel.full.value = True
    panel.refresh()
    panel.wait()
    assert re.fullmatch(
        r"\d+ Datensätze aus Salesforce gelesen, davon \d+ neu oder geändert\. \d+ offene Abweichung(en)?, davon \d+ seit mehr als 10 Arbeitstagen\.",
        panel.status.sentence,
    )
    assert english_left(panel) == set()
    panel.kind.value = "never_syncs"
    assert panel.status.sentence == "4 Zeilen: abgemeldet, ohne Salesforce-ID."
    assert "Es geschieht nichts: Salesforce erfährt es von niemandem." in panel._rows_view.value
    panel.dry_run()
    panel.wait()
    assert panel.status.sentence.startswith("Ein Abgleich würde abmelden: 0 Personen; in Salesforce: 0 Datensätze")
    assert english_left(panel) == set()


def test_the_trail_panel_speaks_german(own: Workbench) -> None:
    panel = panels.TrailPanel(own)
    assert re.fullmatch(r"\d+ Ereignisse passen\.", panel.status.sentence)
    assert "<td>Personen importiert</td>" in panel._events_view.value
    assert english_left(panel) == set()
    panel.verify()
    panel.wait()
    assert re.fullmatch(r"Alle \d+ Ereignisse passen zu ihrem signierten Prüfpunkt\.", panel.status.sentence)
    panel.attempt(panel.prove)
    assert (panel.status.sentence, panel.status.advice) == (
        "Es wurde keine Person genannt.",
        "Geben Sie eine Adresse oder eine Personenkennung an.",
    )
    panel.checkpoint()
    assert english_left(panel) == set()
    panel.export()
    panel.wait()
    assert re.fullmatch(
        r"Der Prüfpfad wurde nach exports/trail-[0-9-]+ geschrieben, mit einem Prüfprogramm, .*", panel.status.sentence
    )
    for name in panel._templates:
        panel.report.value = name
        assert english_left(panel) == set(), name
    panel.by.value = "Niemand"
    panel.filter()
    assert panel.status.sentence == "0 Ereignisse passen."


def test_a_trail_that_was_tampered_with_is_told_in_german(own: Workbench) -> None:
    with own.store.write() as tx:
        for trigger in tx.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'").scalars().all():
            tx.exec_driver_sql(f"DROP TRIGGER {trigger}")
        tx.exec_driver_sql("DELETE FROM trail_event WHERE seq IN (2, 3)")
    panel = panels.TrailPanel(own)
    panel.verify()
    panel.wait()
    assert (panel.status.tone, panel.status.sentence) == ("failed", "Der Prüfpfad hält der Prüfung nicht stand.")
    assert "vor Ereignis 4 fehlt: Ereignisse 2 bis 3" in panel._verdict_view.value
    assert english_left(panel) == set()


def test_every_title_and_parameter_of_a_report_has_its_german() -> None:
    speak("de")
    said_in_them = {t.title for t in reports.templates()} | {p.help for t in reports.templates() for p in t.parameters}
    assert said_in_them == {*REPORTS, *ASKED}
    asked = {spoken(p.name) for t in reports.templates() for p in t.parameters}
    assert {a for a in asked if english_in(a)} == set()


def test_every_action_of_the_trail_is_spoken() -> None:
    speak("de")
    assert [a for a in EVENT_TYPES if spoken(a) == a.replace("_", " ")] == []


def test_every_sentence_is_recognised_when_only_its_text_is_left() -> None:
    speak("de")
    lost = []
    for message in catalogue():
        for form, english in enumerate([message.id] if isinstance(message.id, str) else message.id):
            one = english if isinstance(message.id, str) else message.id[0]
            values: dict[str, object] = {name: 1 + 1_233 * form if name == "number" else "00Q1" for name in parts(english)}
            made = Said.of(one, values, many=english if form else "", number=1 + form)
            if english and Template(english, one, form).telling and told(str(made)) != told(made):
                lost.append((english, told(str(made))))
    assert lost == []


@pytest.mark.parametrize("module", ["refusals.py", "strengthenings.py"])
def test_what_a_rule_says_is_said(module: str) -> None:
    """A rule returns None or something said; a bare text would stay English."""
    tree = ast.parse((HOUSE / "eligibility" / module).read_text(encoding="utf-8"))
    given = [n.value for n in ast.walk(tree) if isinstance(n, ast.Return) and n.value is not None]
    assert [ast.unparse(v) for v in given if " " in "".join(literals(v)) or isinstance(v, ast.JoinedStr)] == []


def test_codes_are_spoken() -> None:
    speak("de")
    codes = {
        *(rule.code for rule in RULES),
        *dict(DEFAULT_REASONS),
        *AUTHORIZATION_TYPES,
        *CONSENT_TYPES,
        *METHODS,
        *EXPRESSED_BY,
    }
    codes |= {
        *UNSUBSCRIBE_SOURCES,
        *STATES,
        *State,
        *Policy().purposes,
        "proposed",
        "approved",
        "running",
        "paused",
        "finished",
        "cancelled",
    }
    assert {code for code in codes if english_in(spoken(code))} == set()
    assert tuple(text for _code, text in DEFAULT_REASONS) == REASONS


def test_the_batch_panel_speaks_german(own: Workbench) -> None:
    people = own.people(unsubscribed=True, salesforce="opted_out", limit=3)
    theirs = [*people["email"], *people["first_name"], *people["last_name"], *people["company"], "nobody@example.com"]
    panel = panels.BatchPanel(own)
    assert panel.status.sentence == "Wählen Sie zuerst die Personen aus: Schritt 1."
    assert english_left(panel) == set()
    listed = "\n".join(["Email", *people["email"], "nobody@example.com"]).encode()
    panel.people_step._file.value = (upload("list.csv", listed),)
    assert panel.status.sentence == "3 Personen gewählt; 1 nicht zugeordnet."
    assert english_left(panel, but=theirs) == set()
    panel.check()
    panel.wait()
    assert panel.status.sentence == "0 von 3 Personen dürfen wieder angemeldet werden; 3 nicht."
    assert "Es liegt keine Einwilligung vor; erfassen Sie zuerst" in panel._check_view.value
    assert english_left(panel, but=theirs) == set()
    panel.attempt(panel.consent_step.record)
    assert panel.status.sentence == "Eine Einwilligung braucht mindestens eine Datei, die sie belegt."
    step = panel.consent_step
    step.evidence.value = (upload("form.txt", b"yes"),)
    panel.attempt(step.record)
    assert (panel.status.sentence, panel.status.advice) == (
        "Erteilt am: das ist kein Datum mit Uhrzeit.",
        "Schreiben Sie es wie 2026-10-20 14:05:00 +02:00.",
    )
    step.given_at.value, step.notice.value, step.jurisdiction.value = "2026-03-20 14:05:00 +01:00", "Newsletter", "us"
    step.collection_point.value, panel.reason.value = "https://example.com/form", "signed_form"
    step.record()
    panel.wait()
    assert panel.status.sentence == "Einwilligung erfasst für 3 Personen, mit ihrem Nachweis."
    panel.propose()
    panel.wait()
    assert re.fullmatch(
        r"Stapel \S+ vorgeschlagen: 0 von 3 Personen dürfen wieder angemeldet werden; 3 nicht\.", panel.status.sentence
    )
    assert re.search(r"Die Einwilligung wurde am 20\.03\.2026 13:05:00 UTC erteilt, und die Abmeldung ", panel._check_view.value)
    panel.attempt(panel.approve)
    assert panel.status.sentence == "Niemand in diesem Stapel darf wieder angemeldet werden."
    assert panel.status.advice == "`workbench batch show` zeigt, wie es um den Stapel steht."
    assert english_left(panel, but=theirs) == set()
    panel.cancel()
    assert panel.status.sentence.endswith("abgebrochen; niemand wurde durch ihn wieder angemeldet.")
    step.evidence.value = (upload("form.txt", b"yes"),)
    step.given_at.value = "2026-10-20 14:05:00 +02:00"
    step.record()
    panel.wait()
    panel.propose()
    panel.wait()
    panel.approve()
    assert re.fullmatch(r"Stapel \S+ freigegeben von \S+\.", panel.status.sentence)
    panel.run()
    panel.wait()
    assert panel.status.sentence == "3 von 3 Personen wieder angemeldet; 0 abgelehnt."
    assert english_left(panel, but=theirs) == set()
    assert "auf beiden Seiten wieder angemeldet" in panel._result_view.value
    panel.undo()
    panel.wait()
    assert panel.status.sentence == "0 von 3 Personen wieder angemeldet; 0 abgelehnt; 3 zurückgenommen."
    assert english_left(panel, but=theirs) == set()


def test_the_review_panel_and_a_card_speak_german(own: Workbench) -> None:
    people = own.people(unsubscribed=True)
    theirs = [*people["email"], *people["first_name"], *people["last_name"], *people["company"], "Web Form", "Marie said: import"]
    panel = panels.ReviewPanel(own)
    grid = panel.grid
    assert panel.status.sentence.startswith("Kreuzen Sie Personen an, oder wählen Sie alle aus")
    assert grid.widget.view["caption"] == "11 abgemeldete Personen; Zeiten in UTC"
    assert grid.widget.view["where"] == "Zeilen 1 bis 11 von 11"
    assert grid.widget.view["rows"][0][3] == "04.05.2026 21:00"
    assert {row[4] for row in grid.widget.view["rows"]} == {"Link angeklickt", "von Hand"}
    assert english_left(panel, but=theirs) == set()
    labels_sent = [field["label"] for field in (*grid.widget.columns, *grid.widget.fields)]
    labels_sent += [label for field in grid.widget.fields for _code, label in field.get("choices", ())]
    assert english_in(" ".join([*labels_sent, *grid.widget.words.values()])) == set()
    grid.receive({"act": "filter", "filters": {"source": "manual"}})
    assert grid.widget.view["caption"] == "5 abgemeldete Personen passen zu den Filtern; Zeiten in UTC"
    grid.receive({"act": "filter", "filters": {"since": "x"}})
    assert (panel.status.sentence, panel.status.advice) == (
        "Das ist kein Datum.",
        "Schreiben Sie es als Jahr-Monat-Tag, zum Beispiel 2026-11-02.",
    )
    grid.receive({"act": "select_all"})
    assert panel.status.sentence == "5 Personen ausgewählt: alle, die zu den Filtern passen."
    panel.use_in_batch()
    assert panel.status.sentence == "5 Personen an 02-batch-resubscribe übergeben."
    panel.export()
    assert panel.status.sentence.startswith("5 Personen nach exports/people-")
    assert english_left(panel, but=theirs) == set()

    person = people[people["salesforce"] == "opted_out"].iloc[0]["person_id"]
    evidence = [Evidence.from_file(written(own.workspace / "letter.txt", "Bitte wieder senden."))]
    own.record_consent(
        person=person, evidence=evidence, given_at=NOW - timedelta(days=3), given_at_precision="second", purpose="sales_email",
        method="paper", notice_text="Brief", jurisdiction="DE", authorization_type="consent", consent_type="explicitly_expressed",
        expressed_by="person",
    )  # fmt: skip
    own.unsubscribe(person, detail="Marie said: import")
    panel.open_card(person)
    card = unescape(panel._card.widget.value)
    assert "erteilt 30.10.2026 12:00, Papier, für Vertriebs-E-Mail" in card
    assert ">HasOptedOutOfEmail von 00Q" in card
    assert "<td>Marie said: import</td>" in card
    assert re.search(r"<td>Nachweis [0-9a-f]{12}</td>", card)
    assert re.search(r"abgemeldet \(.*04\.05\.2026 \d\d:00 UTC", card)
    assert "letter.txt (text/plain, 20 Byte)" in card
    assert english_left(panel, but=[*theirs, "letter.txt"]) == set()


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_mistakes_are_told_in_german(own: Workbench) -> None:
    panel = panels.TrailPanel(own)
    panel.proved.value = "nobody@example.com"
    panel.attempt(panel.prove)
    assert panel.status.sentence == "Niemand im Register hat diese Adresse oder Kennung."
    assert panel.status.advice == "Prüfen Sie die Schreibweise, oder importieren Sie die Person zuerst."
    panel.report.value = "resubscription-audit"
    panel.run_report()
    panel.wait()
    assert panel.status.sentence == "Der Bericht resubscription-audit braucht die Parameter since, until."
    batch = panels.BatchPanel(own)
    batch.people_step._file.value = (upload("other.csv", b"Colour\nred\n"),)
    assert batch.status.sentence == "Die Datei hat keine Spalte Person ID or Email ID; sie hat Colour."


def test_english_that_is_left_is_found(german: Workbench) -> None:
    panel = panels.StartPanel(german)
    assert english_left(panel) == set()
    speak("en")
    panel.attempt(panel.show)
    assert {"checks", "broken", "read"} <= english_left(panel)


def marked_english() -> list[str]:
    """Marked texts of one piece that are another in German."""
    return [m.id for m in catalogue() if isinstance(m.id, str) and m.id and m.string != m.id and "{" not in m.id]


def test_the_same_checks_are_english_on_the_command_line_and_in_the_register(german: Workbench) -> None:
    panels.StartPanel(german)
    assert "Lead can be read and edited." in [line.sentence for line in german.health()]
    assert "Salesforce has not been read yet; refresh from Salesforce first." in german.banner().warnings


def test_a_defect_is_told_in_german(german: Workbench) -> None:
    panel: Panel = panels.StartPanel(german)
    panel.attempt(lambda: 1 / 0)
    assert panel.status.sentence == "Die Workbench selbst hat einen Fehler gemacht (ZeroDivisionError)."
    assert panel.status.advice == "Melden Sie ihn; Abmeldungen bleiben, wie sie sind."
