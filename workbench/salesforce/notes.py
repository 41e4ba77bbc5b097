"""Texts kept in the org as records of a custom object, inserted only: where the trail's checkpoints can be kept.

Nothing here changes or deletes a record. An insert whose answer was lost may have been made; made again, there are two equal records,
and a checkpoint held twice proves what it proves once.
Source: "Create a Record", "QueryAll" in the REST API Developer Guide.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from workbench.org import OrgPermissionError, OrgUnreachableError
from workbench.person import salesforce_id_18
from workbench.salesforce.connection import Connection
from workbench.salesforce.reading import query_pages
from workbench.salesforce.replies import Reply, Request, error_of, fault_of, unreadable

CUSTOM = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,60}__c")
_ADVICE = "Give the integration user create and read access to checkpoint_object and checkpoint_field (workbench.toml)."
_AGAIN = "Run the same command again: a checkpoint that is kept twice does no harm."


def insert_text(connection: Connection, object: str, field: str, *, text: str) -> str:
    """Insert one record whose ``field`` holds the text; its id (18 characters).

    Raises:
        OrgError: no record was made, or (`OrgUnreachableError`) the answer was lost and one may have been.
        ValueError: not the names of a custom object and field.
    """
    _custom(object, field)
    what = "keeping a checkpoint"
    request = Request(what=what, method="POST", path=f"sobjects/{object}", body={field: text})
    try:
        return _id_of(connection.tell(request), what)
    except OrgPermissionError as error:
        raise OrgPermissionError(str(error), _ADVICE) from None


def read_texts(connection: Connection, object: str, field: str) -> Iterator[str]:
    """The texts of every record of the object, deleted ones too while they are in the recycle bin; empty ones left out.

    Raises:
        OrgError: they could not be read.
        ValueError: not the names of a custom object and field.
    """
    _custom(object, field)
    query = f"SELECT Id,{field} FROM {object}"  # noqa: S608 SOQL; the names were checked
    for page in query_pages(connection, query, lambda record: str(record[field] or ""), what="reading kept checkpoints"):
        yield from filter(None, page)


def _custom(*names: str) -> None:
    if not all(CUSTOM.fullmatch(name) for name in names):
        raise ValueError("a custom object and a custom field are named by their API names")


def _id_of(reply: Reply, what: str) -> str:
    fault = fault_of(reply.status, reply.body, readable=reply.readable)
    if fault is not None:
        error = error_of(fault, what)
        raise type(error)(str(error), _AGAIN if isinstance(error, OrgUnreachableError) else error.advice)
    try:
        return salesforce_id_18(str(reply.body["id"]))
    except (LookupError, TypeError, ValueError):
        pass
    raise unreadable(what)  # outside of the clause above: the cause may quote the answer
