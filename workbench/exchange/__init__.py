"""Consents as files for other systems, and back: JSON by ISO/IEC TS 27560, JSON-LD on W3C DPV 2 terms. Bytes in, consents out.

What comes in may be anything: it is read without floats, repeated keys and broken Unicode, held against the JSON schema that is
shipped beside this module, and accepted only if writing it again gives the same. Sentences name places, never values.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache
from importlib import resources
from typing import Any, Literal, NoReturn

from workbench.consent import Consent
from workbench.errors import InputError
from workbench.exchange.places import CONTEXT, JSON_PLACES, LD_KINDS, LD_PLACES, LD_WORDS, gathered, spread
from workbench.store.consents import from_document, to_document

Form = Literal["json", "jsonld"]
FORMAT, VERSION, STANDARD = "compliance-workbench consent records", 1, "ISO/IEC TS 27560:2023"
SCHEMA = "consent-records.schema.json"
LARGEST_BYTES = 100 * 1024 * 1024
ASK_AGAIN = "Ask for the file again, written by `workbench consent export`; nothing was taken in."


def written(consents: Iterable[Consent], form: Form) -> str:
    """Consents as the text of one file."""
    documents = [to_document(consent) for consent in consents]
    if form == "json":
        value: dict[str, Any] = {"format": FORMAT, "version": VERSION, "standard": STANDARD}
        value["records"] = [spread(document, JSON_PLACES) for document in documents]
    else:
        value = {"@context": CONTEXT, "@graph": [_to_ld(document) for document in documents]}
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def read(content: bytes) -> tuple[Consent, ...]:
    """The consents of a file that `written` wrote, in either form.

    Raises:
        InputError: it is no such file; the sentence says where it is not.
    """
    value = _parsed(content)
    if isinstance(value, dict) and "@graph" in value:
        documents = _from_graph(value)
        value = {
            "format": FORMAT,
            "version": VERSION,
            "standard": STANDARD,
            "records": [spread(d, JSON_PLACES) for d in documents],
        }
    _conform(value)
    return tuple(_consent(number, record) for number, record in enumerate(value["records"], start=1))


def schema() -> dict[str, Any]:
    """The JSON schema (2020-12) of the plain form."""
    text = resources.files("workbench.exchange").joinpath(SCHEMA).read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def _parsed(content: bytes) -> Any:
    if len(content) > LARGEST_BYTES:
        raise InputError(f"the file has more than {LARGEST_BYTES // 1024 // 1024} MB", "Split it.")
    try:
        text = content.decode("utf-8-sig")
        value = json.loads(text, object_pairs_hook=_object, parse_float=_no_float, parse_constant=_no_float)
        json.dumps(value, ensure_ascii=False).encode()  # lone surrogates are no text
    except (ValueError, RecursionError):
        raise InputError("the file is not JSON as consents are exchanged", ASK_AGAIN) from None
    return value


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key is repeated")
    return value


def _no_float(_text: str) -> NoReturn:
    raise ValueError("not an integer")


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(schema())


def _conform(value: Any) -> None:
    try:
        error = next(_validator().iter_errors(value), None)
    except RecursionError:
        raise InputError("the file is nested too deeply", ASK_AGAIN) from None
    if error is None:
        return
    steps = [str(step + 1) if isinstance(step, int) else str(step) for step in error.absolute_path]
    where = " ".join(steps) if steps else "its beginning"
    raise InputError(f"the file is no export of consents: at {where} it breaks the rule `{error.validator}`", ASK_AGAIN)


def _consent(number: int, record: dict[str, Any]) -> Consent:
    try:
        consent: Consent | None = from_document(gathered(record, JSON_PLACES))
        same = consent is not None and spread(to_document(consent), JSON_PLACES) == record
    except (ValueError, KeyError, TypeError, OverflowError):
        consent, same = None, False
    if consent is None or not same:
        raise InputError(f"record {number} of the file has a time or value that can't be read", ASK_AGAIN)
    return consent


def _to_ld(document: dict[str, Any]) -> dict[str, Any]:
    words = {name: known[document[name]] for name, known in LD_WORDS.items()}
    recipients = [{"@type": "dpv:Recipient", "dpv:hasName": name} for name in document["recipients"]]
    node = spread(document | words | {"recipients": recipients}, LD_PLACES)
    for path, kind in LD_KINDS.items():
        target = node
        for step in path:
            target = target[step]
        target["@type"] = kind
    return node | {"@id": f"urn:compliance-workbench:consent:{document['consent_id']}", "dct:conformsTo": STANDARD}


def _from_graph(value: dict[str, Any]) -> list[dict[str, Any]]:
    if value.keys() != {"@context", "@graph"} or value["@context"] != CONTEXT or not isinstance(value["@graph"], list):
        raise InputError("the file is JSON-LD, but not with the terms that this version reads", ASK_AGAIN)
    return [_from_ld(number, node) for number, node in enumerate(value["@graph"], start=1)]


def _from_ld(number: int, node: Any) -> dict[str, Any]:
    try:
        document = gathered(node, LD_PLACES)
        for name, known in LD_WORDS.items():
            document[name] = {term: word for word, term in known.items()}[document[name]]
        document["recipients"] = [recipient["dpv:hasName"] for recipient in document["recipients"]]
        understood = _to_ld(document) == node
    except (KeyError, TypeError, AttributeError):
        document, understood = {}, False
    if not understood:
        raise InputError(f"record {number} of the file does not have the terms that this version reads", ASK_AGAIN)
    return document


def moments(consent: Consent) -> tuple[datetime, ...]:
    """The times that can't lie ahead: when the person acted, and when that was recorded."""
    return tuple(at for at in (consent.counts_from, consent.recorded_at, consent.withdrawn_at) if at is not None)
