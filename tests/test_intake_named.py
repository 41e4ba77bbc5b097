"""Whom a file names: by id or address, in its order, and nobody is guessed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from invented_register import Invented, new_store

from workbench.errors import InputError
from workbench.intake import people_in_file
from workbench.store import schema as s
from workbench.store.database import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Ann, Bob and two people who share an address; Bob is number 77 in Sales Connect."""
    made = new_store(tmp_path)
    with made.write() as tx:
        register = Invented(tx)
        for name in ("ann", "bob"):
            register.person(f"{name}@example.com", person_id=name)
        for number in (1, 2):
            register.person("both@example.com", person_id=f"both-{number}")
        tx.execute(sa.update(s.person).where(s.person.c.person_id == "bob").values(external_id="77"))
    yield made
    made.close()


def named(store: Store, folder: Path, text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    file = folder / "people.csv"
    file.write_text(text, encoding="utf-8")
    found = people_in_file(store, file)
    return found.person_ids, found.unmatched


def test_addresses_in_any_spelling_in_the_file_s_order(store: Store, tmp_path: Path) -> None:
    assert named(store, tmp_path, "Email\nBOB@Example.com\n ann@example.com \n") == (("bob", "ann"), ())


def test_our_ids_and_sales_connect_s(store: Store, tmp_path: Path) -> None:
    assert named(store, tmp_path, "Person ID,Email ID\n77,\nann,\n") == (("bob", "ann"), ())


def test_an_id_goes_before_an_address(store: Store, tmp_path: Path) -> None:
    assert named(store, tmp_path, "Person ID,Email ID\n77,ann@example.com\n") == (("bob",), ())


def test_who_is_named_twice_is_there_once(store: Store, tmp_path: Path) -> None:
    assert named(store, tmp_path, "Email\nann@example.com\nbob@example.com\nANN@example.com\n") == (("ann", "bob"), ())


def test_nobody_is_guessed_and_every_line_is_told(store: Store, tmp_path: Path) -> None:
    ids, unmatched = named(store, tmp_path, "Email\nann@example.com\nboth@example.com\ndan@example.com\n\n")
    assert ids == ("ann",)
    assert unmatched == ("Line 3: 2 people share this address.", "Line 4: the register has nobody of this address or id.")


def test_a_file_that_names_nobody_is_one_sentence(store: Store, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^the file names nobody whom the register has$"):
        named(store, tmp_path, "Email\ndan@example.com\n")


@pytest.mark.parametrize("text", ["", "Email\n", "Colour\nred\n"])
def test_a_file_without_rows_or_columns_is_one_sentence(store: Store, tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError) as caught:
        named(store, tmp_path, text)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text_are_one_sentence(store: Store, tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_bytes(b"Email\nann@example.com\xff\n")
    with pytest.raises(InputError):
        people_in_file(store, tmp_path / "people.csv")
    with pytest.raises(InputError):
        people_in_file(store, tmp_path / "nowhere.csv")
