"""Can this workspace work with this org? The answer in sentences, one a question: what `workbench org check` prints.

Nothing is written. What only a write can tell (are conditions honoured, is the field's history tracked) is `probe`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from workbench.org import OBJECTS, FieldAccess, OrgError
from workbench.said import said, said_of
from workbench.salesforce.org import SalesforceOrg
from workbench.salesforce.person_accounts import ACCOUNT, MARK
from workbench.salesforce.replies import Reply, Request, date_of
from workbench.salesforce.soap import LEGACY
from workbench.salesforce.soql import SHORTEST_MARKER, quoted

Describe = Callable[[str], dict[str, Any]]
ENOUGH_LEFT = 0.2  # of the org's daily calls: below it other integrations of the org may starve
MOST_SECONDS_APART = 60
NOBODY = "nobody@example.com"  # whom the Consent API is asked about


@dataclass(frozen=True, kw_only=True)
class CheckLine:
    """One finding about an org; ``ok`` False is something to look at, and ``blocking`` to mend before people are resubscribed."""

    ok: bool
    sentence: str
    blocking: bool = True


def utc_now() -> datetime:
    """The computer's own time."""
    return datetime.now(UTC)


def check_org(org: SalesforceOrg, *, now: Callable[[], datetime] = utc_now) -> tuple[CheckLine, ...]:
    """Which org this is, and whether version, access, history, calls and clock allow the work. Never raises an `OrgError`."""
    describe = cache(org.describe)
    questions: tuple[Callable[[], Iterator[CheckLine]], ...] = (
        lambda: _version(org),
        lambda: _objects(describe),
        lambda: _fields(org),
        lambda: _person_accounts(org, describe),
        lambda: _history(org),
        lambda: _calls_left(org),
        lambda: _clock(org, now),
        lambda: _consent_api(org),
    )
    first = _answered(lambda: _identity(org))
    if not all(line.ok or not line.blocking for line in first):
        return first  # without a login the other questions would all be answered alike
    return first + tuple(line for question in questions for line in _answered(question))


def _answered(question: Callable[[], Iterator[CheckLine]]) -> tuple[CheckLine, ...]:
    try:
        return tuple(question())
    except OrgError as error:
        return (CheckLine(ok=False, sentence=f"{error} {error.advice}"),)


def _identity(org: SalesforceOrg) -> Iterator[CheckLine]:
    who = org.identity()
    yield CheckLine(
        ok=True,
        sentence=said(
            "Connected to {org} ({id}, {kind}) as user {user}.", org=who.name, id=who.org_id, kind=who.kind, user=who.user_id
        ),
    )
    if org.credentials.password:
        yield CheckLine(ok=False, sentence=LEGACY, blocking=False)


def _version(org: SalesforceOrg) -> Iterator[CheckLine]:
    request = Request(what="asking for API versions", path="/services/data")
    versions = org.connection.ask(request, lambda reply: [str(entry["version"]) for entry in reply.body])
    ours = org.credentials.api_version
    if ours in versions:
        yield CheckLine(ok=True, sentence=said("The org speaks API version {version}.", version=ours))
    else:
        newest = max(versions, key=float, default="none")
        yield CheckLine(
            ok=False,
            sentence=said("The org does not speak API version {version}; its newest is {newest}.", version=ours, newest=newest),
        )


def _objects(describe: Describe) -> Iterator[CheckLine]:
    for kind in OBJECTS:
        described = describe(kind)
        if described["queryable"] is False:
            yield CheckLine(ok=False, sentence=said("{kind} can't be read: give the user read access to the object.", kind=kind))
        elif described["updateable"] is False:
            yield CheckLine(ok=True, sentence=said("{kind} can be read, not edited.", kind=kind))
        else:
            yield CheckLine(ok=True, sentence=said("{kind} can be read and edited.", kind=kind))


def _fields(org: SalesforceOrg) -> Iterator[CheckLine]:
    """The opt-out fields one by one; of a user who may edit none of them, that it only reads is said once."""
    access = org.access()
    opt_outs = [one for one in access if not one.marker]
    only_reads = all(one.readable and not one.updateable for one in opt_outs)
    for one in opt_outs:
        yield _field(one, only_reads=only_reads)
    if only_reads:
        sentence = said("These credentials only read: fit for analysts' workspaces; batches, undo and the sync need others.")
        yield CheckLine(ok=False, sentence=sentence, blocking=False)
    elif all(one.updateable for one in opt_outs):
        yield CheckLine(
            ok=True, sentence=said("These credentials may clear and set opt-outs: keep them where batches and the sync are run.")
        )
    yield from _marker([one for one in access if one.marker], only_reads=only_reads)


def _field(access: FieldAccess, *, only_reads: bool) -> CheckLine:
    name = f"{access.object}.{access.field}"
    if access.readable and access.updateable:
        return CheckLine(ok=True, sentence=said("{name} can be read and written.", name=name))
    if access.readable and only_reads:
        return CheckLine(ok=True, sentence=said("{name} can be read.", name=name))
    if access.readable:
        return CheckLine(
            ok=False, sentence=said("{name} can be read but not written: give the user edit access to the field.", name=name)
        )
    return CheckLine(
        ok=False,
        sentence=said("{name} is hidden, does not exist or is no checkbox: give the user access to the field.", name=name),
    )


def _marker(markers: Sequence[FieldAccess], *, only_reads: bool) -> Iterator[CheckLine]:
    for one in markers:
        name = f"{one.object}.{one.field}"
        if one.updateable or (one.readable and only_reads):
            yield CheckLine(ok=True, sentence=said("{name} can mark our changes.", name=name))
        elif one.readable:
            yield CheckLine(
                ok=False,
                sentence=said(
                    "{name} can't be written, and so marks nothing: give the user edit access to the field.", name=name
                ),
            )
        else:
            yield CheckLine(
                ok=False,
                sentence=said(
                    "{name} is hidden, does not exist or is no text field of at least {least} characters: nobody can be"
                    " resubscribed while workbench.toml names it as marker_field.",
                    name=name,
                    least=SHORTEST_MARKER,
                ),
            )


def _person_accounts(org: SalesforceOrg, describe: Describe) -> Iterator[CheckLine]:
    shown = {field["name"] for field in describe("Contact")["fields"]}
    if MARK not in shown:
        yield CheckLine(
            ok=True, sentence=said("The org has no person accounts, or this user may not see which contacts are theirs.")
        )
        return
    query = f"SELECT COUNT() FROM Contact WHERE {MARK} = true"  # noqa: S608 SOQL; a name of ours
    request = Request(what="counting person accounts", path="query/", params={"q": query})
    count = org.connection.ask(request, lambda reply: int(reply.body["totalSize"]))
    if not count:
        yield CheckLine(ok=True, sentence=said("The org has no person accounts."))
    elif "AccountId" in shown:
        yield CheckLine(
            ok=True,
            sentence=said_of(
                "The org has {number} person account: read as its contact, written through {account}.",
                "The org has {number} person accounts: read as their contacts, written through {account}.",
                count,
                account=ACCOUNT,
            ),
        )
    else:
        yield CheckLine(
            ok=False,
            sentence=said_of(
                "The org has {number} person account that can't be written: Contact.AccountId is hidden from this user.",
                "The org has {number} person accounts that can't be written: Contact.AccountId is hidden from this user.",
                count,
            ),
        )


def _history(org: SalesforceOrg) -> Iterator[CheckLine]:
    """What history shows of each opt-out field; whether a field is tracked can't be asked for sure, only seen."""
    for kind in OBJECTS:
        for name in org.opt_out_fields:
            query = f"SELECT Id FROM {kind}History WHERE Field IN {quoted([name])} LIMIT 1"  # noqa: S608 SOQL; names checked before
            request = Request(what=f"reading {kind}History", path="query/", params={"q": query})
            try:
                found = org.connection.ask(request, _any_record)
            except OrgError as error:
                yield CheckLine(
                    ok=False,
                    sentence=said(
                        "{kind}History can't be read: who opted out, and when, stays unknown. {error}",
                        kind=kind,
                        error=str(error),
                    ),
                )
                break
            yield CheckLine(ok=found, sentence=_tracked(kind, name, found=found), blocking=False)


def _tracked(kind: str, name: str, *, found: bool) -> str:
    if found:
        return said("{kind}History can be read and has changes of {name}.", kind=kind, name=name)
    return said(
        "{kind}History can be read, but is empty of {name}: field history tracking may be off (`org check --probe` finds out).",
        kind=kind,
        name=name,
    )


def _any_record(reply: Reply) -> bool:
    return len(reply.body["records"]) > 0


def _calls_left(org: SalesforceOrg) -> Iterator[CheckLine]:
    usage = org.usage()
    left = max(0, usage.allowed - usage.used)
    enough = left >= ENOUGH_LEFT * usage.allowed
    if enough:
        sentence = said("{left} of {allowed} API calls are left today.", left=left, allowed=usage.allowed)
    else:
        sentence = said(
            "{left} of {allowed} API calls are left today: less than a fifth, other integrations of the org may starve.",
            left=left,
            allowed=usage.allowed,
        )
    yield CheckLine(ok=enough, sentence=sentence, blocking=False)


def _clock(org: SalesforceOrg, now: Callable[[], datetime]) -> Iterator[CheckLine]:
    server = org.connection.ask(Request(what="asking for the time", path=""), date_of)
    apart = round((now() - server).total_seconds())
    if apart > 0:
        sentence = said("This computer's clock is {seconds} s ahead of the org's.", seconds=abs(apart))
    else:
        sentence = said("This computer's clock is {seconds} s behind the org's.", seconds=abs(apart))
    close = abs(apart) <= MOST_SECONDS_APART
    yield CheckLine(
        ok=close,
        sentence=sentence
        if close
        else said("{sentence} Set it: waiting times and evidence times depend on it.", sentence=sentence),
    )


def _consent_api(org: SalesforceOrg) -> Iterator[CheckLine]:
    """Only told: nothing here depends on the Consent API, but a person who looks into a case may."""
    request = Request(what="asking the Consent API", path="consent/action/email", params={"ids": NOBODY})
    try:
        org.connection.ask(request, lambda reply: reply.body[NOBODY])
        sentence = said("The Consent API answers this user.")
    except OrgError as error:
        sentence = said("The Consent API does not answer this user, which is no hindrance. {error}", error=str(error))
    yield CheckLine(ok=True, sentence=sentence)
