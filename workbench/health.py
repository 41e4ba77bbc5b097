"""How things stand, in sentences: what an operator should know before touching anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from workbench import schedules
from workbench.audit import Audit
from workbench.desk import Desk
from workbench.errors import WorkbenchError
from workbench.said import said, said_of
from workbench.salesforce import CheckLine, SalesforceOrg, check_org
from workbench.settings import Settings
from workbench.store import batches, mismatches, operators, records, reports, restores, review

Level = Literal["ok", "warn", "bad"]
SNAPSHOT_OLD = timedelta(hours=26)
NIGHTLY = timedelta(hours=26)


@dataclass(frozen=True)
class HealthLine:
    """One check: ``ok`` is fine, ``warn`` wants a look, ``bad`` keeps something from working."""

    level: Level
    sentence: str

    @property
    def ok(self) -> bool:
        """Whether nothing needs to be done."""
        return self.level == "ok"


@dataclass(frozen=True, kw_only=True)
class Banner:
    """Which org, which register, who is at the keyboard as what, and what is paused or broken."""

    org_name: str
    org_kind: str
    register: str
    operator: str
    roles: tuple[str, ...]
    warnings: tuple[str, ...]


def banner(settings: Settings, desk: Desk) -> Banner:
    """The banner; asks the register only, so that it can be shown while Salesforce is away."""
    with desk.store.read() as tx:
        roles = tuple(sorted(operators.roles(tx, desk.operator.name)))
        warnings = tuple(line.sentence for line in _register_lines(desk) if not line.ok)
    return Banner(
        org_name=settings.org.url.removeprefix("https://").removeprefix("http://") or said("no org yet"),
        org_kind=settings.org.kind,
        register=settings.name,
        operator=desk.operator.name,
        roles=roles,
        warnings=warnings,
    )


def health(desk: Desk, connect: Callable[[], SalesforceOrg]) -> tuple[HealthLine, ...]:
    """All checks: Salesforce, register, trail. Never raises: what can't be checked is a line of its own."""
    return (*org_lines(desk, connect), *_register_lines(desk), trail_line(desk))


def org_lines(desk: Desk, connect: Callable[[], SalesforceOrg]) -> tuple[HealthLine, ...]:
    """Whether Salesforce can be reached and lets us do the work."""
    try:
        org = connect()
        desk.refuse_another(org)
        return tuple(HealthLine(_level(line), line.sentence) for line in check_org(org, now=desk.clock))
    except WorkbenchError as error:
        text = str(error).rstrip(".")
        return (HealthLine("bad", f"{text[:1].upper()}{text[1:]}. {error.advice}"),)


def _level(line: CheckLine) -> Level:
    if line.ok:
        return "ok"
    return "bad" if line.blocking else "warn"


def trail_line(desk: Desk) -> HealthLine:
    """Whether the trail verifies."""
    try:
        verdict = Audit(desk).verify()
    except WorkbenchError as error:
        return HealthLine("bad", said("The trail can't be verified: {error}.", error=str(error)))
    if verdict.ok:
        return HealthLine("ok", said("The audit trail is intact: {events} events.", events=verdict.events))
    return HealthLine("bad", said("The audit trail is not intact: {problem}.", problem=verdict.problems[0]))


def _register_lines(desk: Desk) -> tuple[HealthLine, ...]:
    return tuple(_lines(desk))


def _lines(desk: Desk) -> Iterator[HealthLine]:
    now = desk.clock()
    with desk.store.read() as tx:
        snapshot, everything = records.last_snapshot(tx), batches.everything(tx)
        counts = mismatches.counts(tx, now=now, limit=desk.policy.honour_within_business_days)
        restored = restores.pending(tx)
    relapses = sum(c.open for c in counts if c.kind == "relapse")
    late = sum(c.over_limit for c in counts)
    if restored:
        yield HealthLine(
            "bad",
            said(
                "This register was restored: what was received after {moment} UTC has to be entered again, "
                "then an administrator confirms it.",
                moment=f"{restored.made_at:%Y-%m-%d %H:%M}",
            ),
        )
    if snapshot is None:
        yield HealthLine("warn", said("Salesforce has not been read yet; refresh from Salesforce first."))
    elif now - snapshot.finished_at > SNAPSHOT_OLD:
        days = (now - snapshot.finished_at).days
        old = said_of(
            "What is known of Salesforce is {number} day old; refresh it.",
            "What is known of Salesforce is {number} days old; refresh it.",
            days,
        )
        yield HealthLine("warn", old)
    else:
        yield HealthLine("ok", said("Salesforce was last read at {moment} UTC.", moment=f"{snapshot.finished_at:%Y-%m-%d %H:%M}"))
    stuck = [b for b in everything if b.state in ("paused", "running")]
    if stuck:
        yield HealthLine(
            "warn",
            said_of(
                "{number} batch is paused or cut off; `workbench batch resume` goes on.",
                "{number} batches are paused or cut off; `workbench batch resume` goes on.",
                len(stuck),
            ),
        )
    waiting = [b for b in everything if b.state == "proposed"]
    if waiting:
        yield HealthLine(
            "warn", said_of("{number} batch waits for an approval.", "{number} batches wait for an approval.", len(waiting))
        )
    if relapses:
        yield HealthLine(
            "warn",
            said_of(
                "{number} resubscribed person is opted out again; see the mismatches.",
                "{number} resubscribed people are opted out again; see the mismatches.",
                relapses,
            ),
        )
    if late:
        yield HealthLine(
            "warn",
            said_of(
                "{number} mismatch stands open for more than {days} business days.",
                "{number} mismatches stand open for more than {days} business days.",
                late,
                days=desk.policy.honour_within_business_days,
            ),
        )
    yield from _missed_reports(desk)
    if not desk.policy.controller:
        yield HealthLine("bad", said("policy.toml names no controller, so nobody is eligible."))


def _missed_reports(desk: Desk) -> Iterator[HealthLine]:
    """Scheduled reports that failed or were never begun."""
    try:
        agreed = schedules.read(desk.folder)
    except WorkbenchError as error:
        yield HealthLine("warn", f"Scheduled reports are not watched: {error}. {error.advice}")
        return
    if not agreed:
        return
    with desk.store.read() as tx:
        issued = [(row.name, row.issued_at) for row in reports.issued(tx)]
    failed = sorted((desk.folder / "issued" / "failed").glob("*.ipynb"))
    for one in schedules.missed(agreed, issued, failed, now=desk.clock().astimezone()):
        name, due = one.schedule.name, f"{one.due:%Y-%m-%d %H:%M}"
        if one.failed:
            yield HealthLine(
                "warn",
                said(
                    "The report {report} that was due on {due} failed; issued/failed/{page} says where. Run it again.",
                    report=name,
                    due=due,
                    page=one.failed,
                ),
            )
        else:
            yield HealthLine(
                "warn",
                said(
                    "The report {report} was due on {due} and was not issued; see why the computer did not run it, and run it by hand.",
                    report=name,
                    due=due,
                ),
            )


def numbers(desk: Desk) -> dict[str, int]:
    """The figures of the day: people, unsubscribed, org records' mismatches, open batches, people resubscribed."""
    now = desk.clock()
    with desk.store.read() as tx:
        everything = batches.everything(tx)
        return {
            "people": review.count(tx, {}),
            "unsubscribed": review.count(tx, {"unsubscribed": True}),
            "mismatches": sum(c.open for c in mismatches.counts(tx, now=now, limit=desk.policy.honour_within_business_days)),
            "open_batches": sum(b.state in ("proposed", "approved", "running", "paused") for b in everything),
            "resubscribed": batches.count_resubscribed(tx),
        }
