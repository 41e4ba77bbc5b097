"""Two spellings of one mailbox or one record are the same; two mailboxes are never one."""

from __future__ import annotations

import time
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.person import Person, ascii_domain, domain_of, new_id, normalize_address, redact, salesforce_id_18, spellings

VECTORS = [
    ("a0D30000001n7Pi", "a0D30000001n7PiEAI"),
    ("001xx000003DGb2", "001xx000003DGb2AAG"),
    ("003xx000004TmiQ", "003xx000004TmiQAAS"),
]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ann@example.com", "ann@example.com"),
        ("  Ann@Example.COM\n", "ann@example.com"),
        ("ann@example.com.", "ann@example.com"),
        ("Jose\u0301@example.com", "josé@example.com"),
        ("JOSÉ@example.com", "josé@example.com"),
        ("ann@BÜCHER.example", "ann@xn--bcher-kva.example"),
        ("ann@bu\u0308cher.example", "ann@xn--bcher-kva.example"),
        ("ann@XN--bcher-kva.example", "ann@xn--bcher-kva.example"),
        ('"a@b"@example.com', '"a@b"@example.com'),
        ("ann+news@example.com", "ann+news@example.com"),
    ],
)
def test_spellings_of_one_mailbox_are_the_same(text: str, expected: str) -> None:
    assert normalize_address(text) == expected


def test_an_address_is_asked_for_with_its_accents_joined_and_apart() -> None:
    joined, apart = "jos\u00e9@example.com", "jose\u0301@example.com"
    assert spellings(joined) == spellings(apart) == {joined, apart}
    assert spellings("ann@example.com") == {"ann@example.com"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ann@straße.example", "ann@strasse.example"),
        ("straße@example.com", "strasse@example.com"),
        ("ann+news@example.com", "ann@example.com"),
        ("a.nn@example.com", "ann@example.com"),
    ],
)
def test_two_mailboxes_stay_two(one: str, other: str) -> None:
    assert normalize_address(one) != normalize_address(other)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "@", "ann", "ann@", "@example.com", "ann@.", "ann@..", "ann@example..com", "ann@.com"),
        *("an n@example.com", "ann@exam\tple.com", "ann\u200b@example.com", "ann\x00@example.com", "a" * 250 + "@example.com"),
    ],
)
def test_what_cannot_be_an_address_is_empty(text: str) -> None:
    assert normalize_address(text) == ""


@given(st.text() | st.emails() | st.tuples(st.text(), st.text()).map("@".join))
def test_normalising_twice_changes_nothing(text: str) -> None:
    once = normalize_address(text)
    assert normalize_address(once) == once
    assert normalize_address(f" {text}\r\n") == once


def test_a_domain_without_an_ascii_form_stays_as_it_is() -> None:
    assert ascii_domain("Ex_Ä.example.") == "ex_ä.example"


def test_domain_of() -> None:
    assert domain_of("ann@mail.example.com") == "mail.example.com"
    assert domain_of("") == ""


@given(st.emails())
def test_redacted_form_hides_the_mailbox(address: str) -> None:
    local, _, domain = address.rpartition("@")
    assert redact(address) == f"{local[0]}…@….{domain.rpartition('.')[2]}"


def test_redacted_form_of_no_address() -> None:
    assert redact("") == "…"
    assert redact("somebody") == "…"


@pytest.mark.parametrize(("short", "long"), VECTORS)
def test_salesforce_ids_get_their_suffix(short: str, long: str) -> None:
    assert salesforce_id_18(short) == long
    assert salesforce_id_18(long) == long
    assert salesforce_id_18(f" {long[:15]}{long[15:].lower()} ") == long


@pytest.mark.parametrize(
    "text", ["", "001xx000003DGb", "001xx000003DGb2A", "001xx000003DGb2AAGX", "001xx000003DGb-", "００1xx000003DGb2"]
)
def test_what_is_no_salesforce_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="15 or 18 letters and digits"):
        salesforce_id_18(text)


def test_an_id_whose_case_was_lost_is_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        salesforce_id_18("001XX000003DGB2AAG")


@given(st.text("abcXYZ0189", min_size=15, max_size=15))
def test_ids_that_differ_by_case_stay_different(stem: str) -> None:
    assert (salesforce_id_18(stem).upper() == salesforce_id_18(stem.swapcase()).upper()) == (stem == stem.swapcase())


def test_new_ids_are_uuids_of_version_7() -> None:
    ids = [new_id() for _ in range(200)]
    assert len(set(ids)) == 200
    for text in ids:
        parsed = uuid.UUID(text)
        assert (str(parsed), parsed.version, parsed.variant) == (text, 7, uuid.RFC_4122)


def test_new_ids_sort_by_their_millisecond(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = [0.001, 1.0, 1_700_000_000.000, 1_700_000_000.001, 4_000_000_000.5]
    ids = []
    for moment in moments:
        monkeypatch.setattr("workbench.person.time.time", lambda moment=moment: moment)  # the clock itself is what is asked about
        ids.append(new_id())
    assert ids == sorted(ids)
    assert [int(text.replace("-", "")[:12], 16) for text in ids] == [int(moment * 1000) for moment in moments]


def test_new_ids_carry_the_present() -> None:
    before = int(time.time() * 1000)
    stamp = int(new_id().replace("-", "")[:12], 16)
    assert before <= stamp <= int(time.time() * 1000)


def test_a_person_prints_without_personal_data() -> None:
    ann = Person(person_id="p1", email="ann@example.com", email_as_given="Ann@example.com", version=1, first_name="Ann")
    assert repr(ann) == "Person(p1)"
