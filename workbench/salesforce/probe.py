"""Does the org honour conditions inside a composite request, and does it track the opt-out's history?

Tried on a lead of our own, or on a record that the operator names. The lead has no address, is made for this and deleted at the end.
A named record must be opted out: its opt-out is written again as it is, under a condition that does not hold and under one that does,
so that whatever the org makes of it, it stays opted out. Without a condition that holds, a clear could overwrite an opt-out
that somebody else set meanwhile: so this is asked on the first day with a real org, and only when the operator says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from workbench.org import ConditionalClear, OrgError, OrgRefusedError, OrgRow
from workbench.person import salesforce_id_18
from workbench.salesforce.check import CheckLine
from workbench.salesforce.org import SalesforceOrg
from workbench.salesforce.person_accounts import accounts_of, written_fields, written_to
from workbench.salesforce.replies import Reply, Request, error_of, fault_of, unreadable
from workbench.salesforce.writes import clear_answers, conditional_patch

NAME = "Compliance Workbench Probe"
EARLIER = timedelta(hours=1)


def probe_org(org: SalesforceOrg) -> tuple[CheckLine, ...]:
    """Make a lead, clear it under a stale and under a current condition, look at its history, delete it. Never raises an `OrgError`."""
    try:
        record_id = _created(org)
    except OrgError as error:
        sentence = f"The probe could make no lead: {error} The user needs create and delete on Lead for it; look for a lead named {NAME}."
        return (CheckLine(ok=False, sentence=sentence),)
    try:
        lines = tuple(_tried(org, record_id))
    except OrgError as error:
        lines = (CheckLine(ok=False, sentence=f"The probe of lead {record_id} broke off: {error} {error.advice}"),)
    return lines + tuple(_deleted(org, record_id))


def probe_record(org: SalesforceOrg, record_id: str) -> tuple[CheckLine, ...]:
    """Write a named record's opt-out again, as it is, under a stale and under a current condition. Never raises an `OrgError`.

    The record must be opted out in every opt-out field; nothing else of it is written, and only its date of modification moves.
    """
    try:
        return tuple(_tried_on(org, record_id))
    except OrgError as error:
        return (CheckLine(ok=False, sentence=f"The probe of the named record broke off: {error} {error.advice}"),)


def _tried_on(org: SalesforceOrg, record_id: str) -> Iterator[CheckLine]:
    rows = org.read(record_ids=[record_id], addresses=[], history=False).rows
    if not rows or not all(rows[0].opt_outs.values()) or rows[0].is_deleted or rows[0].is_converted:
        raise OrgRefusedError(
            "it is not there, deleted, converted, or not opted out in every opt-out field; nothing was written.",
            "Name a lead, contact or person account that is opted out.",
        )
    name = f"{rows[0].object} {rows[0].record_id}"
    stale = _opted_out_again(org, rows[0], EARLIER)
    if stale != "conflict":
        yield CheckLine(
            ok=False,
            sentence=f"A change of {name} under a stale condition was answered with {stale} inside a composite request: resubscribe"
            " nobody in this org. The record is opted out as before.",
        )
        return
    yield CheckLine(ok=True, sentence=f"A change of {name} under a stale condition is refused inside a composite request.")
    current = _opted_out_again(org, _row(org, rows[0].record_id), timedelta())
    yield CheckLine(
        ok=current == "done",
        sentence=f"{name} can be written under a condition that holds; it is opted out as before."
        if current == "done"
        else f"A change of {name} under a condition that holds was not made ({current}); it is opted out as before.",
    )


def _opted_out_again(org: SalesforceOrg, row: OrgRow, earlier: timedelta) -> str:
    """The outcome of writing true over true, on the condition that the row was not modified since its stamp, less ``earlier``."""
    kind, record_id = written_to(row.object, row.record_id, accounts_of([row]))
    address = f"/services/data/v{org.credentials.api_version}/sobjects/{kind}/{record_id}"
    values = dict.fromkeys(written_fields(kind, org.opt_out_fields), True)
    part = conditional_patch("row0", address, row.system_modstamp - earlier, values)
    body = {"allOrNone": False, "compositeRequest": [part]}
    asked = ConditionalClear(record_id=row.record_id, object=row.object, fields=(), unmodified_since=row.system_modstamp)
    request = Request(what="opting a record out again", method="POST", path="composite", body=body)
    return clear_answers([asked], org.connection.tell(request))[0].outcome


def _created(org: SalesforceOrg) -> str:
    body = {"LastName": NAME, "Company": NAME, **dict.fromkeys(org.opt_out_fields, True)}
    request = Request(what="making a lead to try on", method="POST", path="sobjects/Lead", body=body)
    reply = _fine(org.connection.tell(request), request)
    try:
        return salesforce_id_18(str(reply.body["id"]))
    except (LookupError, TypeError, ValueError):
        pass
    raise unreadable(request.what)  # outside of the clause above: the cause may quote the answer


def _fine(reply: Reply, request: Request) -> Reply:
    fault = fault_of(reply.status, reply.body, readable=reply.readable)
    if fault is not None:
        raise error_of(fault, request.what)
    return reply


def _tried(org: SalesforceOrg, record_id: str) -> Iterator[CheckLine]:
    before = _row(org, record_id)
    stale = _outcome(org, before, EARLIER)
    after = _row(org, record_id)
    if stale == "conflict" and all(after.opt_outs.values()):
        yield CheckLine(ok=True, sentence="A change under a stale condition is refused inside a composite request.")
    else:
        found = "was cleared all the same" if not all(after.opt_outs.values()) else f"was answered with {stale}"
        yield CheckLine(
            ok=False,
            sentence=f"A change under a stale condition {found} inside a composite request: resubscribe nobody in this org, an opt-out"
            " could be overwritten.",
        )
        return
    current = _outcome(org, after, timedelta())
    if current == "done" and not _row(org, record_id).opted_out:
        yield CheckLine(ok=True, sentence="A change under a condition that holds is made.")
        yield from _tracked(org, record_id)
    else:
        yield CheckLine(
            ok=False, sentence=f"A change under a condition that holds was not made ({current}): nobody can be resubscribed."
        )


def _row(org: SalesforceOrg, record_id: str) -> OrgRow:
    rows = org.read(record_ids=[record_id], addresses=[], history=False).rows
    if rows:
        return rows[0]
    raise OrgError(f"Record {record_id} can't be read although it was there.", "Check what the user may see.")


def _outcome(org: SalesforceOrg, row: OrgRow, earlier: timedelta) -> str:
    write = ConditionalClear(
        record_id=row.record_id, object="Lead", fields=org.opt_out_fields, unmodified_since=row.system_modstamp - earlier
    )
    (answer,) = org.clear([write])
    return answer.outcome


def _tracked(org: SalesforceOrg, record_id: str) -> Iterator[CheckLine]:
    seen = {change.field for change in org.read(record_ids=[record_id], addresses=[], history=True).history}
    for name in org.opt_out_fields:
        if name in seen:
            yield CheckLine(ok=True, sentence=f"Field history of Lead.{name} is tracked.")
        else:
            yield CheckLine(
                ok=False,
                sentence=f"Field history of Lead.{name} is not tracked: turn it on in Setup, for Contact too, or every batch stops.",
            )


def _deleted(org: SalesforceOrg, record_id: str) -> Iterator[CheckLine]:
    request = Request(what="deleting the lead that was tried on", method="DELETE", path=f"sobjects/Lead/{record_id}")
    try:
        _fine(org.connection.tell(request), request)
    except OrgError as error:
        yield CheckLine(
            ok=False, sentence=f"Lead {record_id} was made for the probe and could not be deleted; do it by hand. {error}"
        )
    else:
        yield CheckLine(ok=True, sentence=f"Lead {record_id}, made for the probe, is deleted again.")
