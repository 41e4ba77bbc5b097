"""Can this workspace work with this org? The answer in sentences, one a question: what `workbench org check` prints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from workbench.org import OBJECTS, OrgError
from workbench.salesforce.org import SalesforceOrg
from workbench.salesforce.replies import Reply, Request, date_of
from workbench.salesforce.soap import LEGACY

ENOUGH_LEFT = 0.2  # of the org's daily calls: below it other integrations of the org may starve
MOST_SECONDS_APART = 60


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
    """Which org this is, and whether version, field access, history, calls and clock allow the work. Never raises an `OrgError`."""
    questions: tuple[Callable[[], Iterator[CheckLine]], ...] = (
        lambda: _version(org),
        lambda: _fields(org),
        lambda: _history(org),
        lambda: _calls_left(org),
        lambda: _clock(org, now),
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
    yield CheckLine(ok=True, sentence=f"Connected to {who.name} ({who.org_id}, {who.kind}) as user {who.user_id}.")
    if org.credentials.password:
        yield CheckLine(ok=False, sentence=LEGACY, blocking=False)


def _version(org: SalesforceOrg) -> Iterator[CheckLine]:
    request = Request(what="asking for API versions", path="/services/data")
    versions = org.connection.ask(request, lambda reply: [str(entry["version"]) for entry in reply.body])
    ours = org.credentials.api_version
    if ours in versions:
        yield CheckLine(ok=True, sentence=f"The org speaks API version {ours}.")
    else:
        newest = max(versions, key=float, default="none")
        yield CheckLine(ok=False, sentence=f"The org does not speak API version {ours}; its newest is {newest}.")


def _fields(org: SalesforceOrg) -> Iterator[CheckLine]:
    for access in org.access():
        name = f"{access.object}.{access.field}"
        if access.readable and access.updateable:
            yield CheckLine(ok=True, sentence=f"{name} can be read and written.")
        elif access.readable:
            yield CheckLine(ok=False, sentence=f"{name} can be read but not written: give the user edit access to the field.")
        else:
            yield CheckLine(
                ok=False, sentence=f"{name} is hidden, does not exist or is no checkbox: give the user access to the field."
            )


def _history(org: SalesforceOrg) -> Iterator[CheckLine]:
    for kind in OBJECTS:
        query = f"SELECT Id FROM {kind}History LIMIT 1"  # noqa: S608 SOQL; a name of ours
        request = Request(what=f"reading {kind}History", path="query/", params={"q": query})
        try:
            found = org.connection.ask(request, _any_record)
        except OrgError as error:
            yield CheckLine(ok=False, sentence=f"{kind}History can't be read: who opted out, and when, stays unknown. {error}")
            continue
        note = "." if found else ", but is empty: field history tracking may be off."
        yield CheckLine(ok=found, sentence=f"{kind}History can be read{note}", blocking=False)


def _any_record(reply: Reply) -> bool:
    return len(reply.body["records"]) > 0


def _calls_left(org: SalesforceOrg) -> Iterator[CheckLine]:
    usage = org.usage()
    left = max(0, usage.allowed - usage.used)
    enough = left >= ENOUGH_LEFT * usage.allowed
    note = "." if enough else ": less than a fifth, other integrations of the org may starve."
    yield CheckLine(ok=enough, sentence=f"{left} of {usage.allowed} API calls are left today{note}", blocking=False)


def _clock(org: SalesforceOrg, now: Callable[[], datetime]) -> Iterator[CheckLine]:
    server = org.connection.ask(Request(what="asking for the time", path=""), date_of)
    apart = round((now() - server).total_seconds())
    sentence = f"This computer's clock is {abs(apart)} s {'ahead of' if apart > 0 else 'behind'} the org's."
    close = abs(apart) <= MOST_SECONDS_APART
    yield CheckLine(
        ok=close, sentence=sentence if close else f"{sentence} Set it: waiting times and evidence times depend on it."
    )
