"""Does the org honour conditions inside a composite request, and does it track the opt-out's history? Tried on a lead of our own.

The lead has no address, is made for this and deleted at the end. Without a condition that holds, a clear could overwrite an opt-out
that somebody else set meanwhile: so this is asked on the first day with a real org, and only when the operator says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from workbench.org import ConditionalClear, OrgError, OrgRow
from workbench.person import salesforce_id_18
from workbench.salesforce.check import CheckLine
from workbench.salesforce.org import SalesforceOrg
from workbench.salesforce.replies import Reply, Request, error_of, fault_of

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


def _created(org: SalesforceOrg) -> str:
    body = {"LastName": NAME, "Company": NAME, **dict.fromkeys(org.opt_out_fields, True)}
    request = Request(what="making a lead to try on", method="POST", path="sobjects/Lead", body=body)
    return salesforce_id_18(str(_fine(org.connection.tell(request), request).body["id"]))


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
    raise OrgError(f"Lead {record_id} can't be read although it was just made.", "Check what the user may see of Lead.")


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
