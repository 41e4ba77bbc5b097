"""The Consent API: may a person be e-mailed, tracked, profiled? Read only, from several records, the strictest wins.

Source: "Consent" in the REST API Developer Guide. Answers are the texts "true" and "false". For e-mail the opt-out flag
of leads and contacts and the contact point type consents of their individual count; other records of the same individual
only with the same address; converted leads never; and without any record the answer is "false".
"""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .clock import instant, stamp
from .ids import long_id
from .messages import Call, OrgError, Reply
from .org import Org

MOST_IDS = 150
_FLAGS = {
    "process": "HasOptedOutProcessing",
    "profile": "HasOptedOutProfiling",
    "solicit": "HasOptedOutSolicit",
    "track": "HasOptedOutTracking",
}
_ACTIONS = ("email", *_FLAGS)
_EXPLICIT = "requireExplicitConsent"


def action(org: Org, call: Call, action: str) -> Reply:
    """GET vX/consent/action/{action}?ids=[&verbose=true][&aggregatedConsent=true][&datetime=][&policy=]."""
    return _answer(org, call, [action])


def multiaction(org: Org, call: Call) -> Reply:
    """GET vX/consent/multiaction?actions=&ids=, with the same options."""
    return _answer(org, call, _listed(call, "actions"))


@dataclass(frozen=True)
class _Evidence:
    """One value that was consulted, and whether it stands in the way or expressly allows."""

    explanation: dict[str, str]
    against: bool
    explicit: bool = False


def _answer(org: Org, call: Call, actions: list[str]) -> Reply:
    for name in actions:
        if name not in _ACTIONS:
            raise OrgError(400, "INVALID_INPUT", f"Unknown action {name}; known here: {', '.join(_ACTIONS)}")
    ids = _listed(call, "ids")
    if len(ids) > MOST_IDS:
        raise OrgError(400, "EXCEEDED_MAX_SIZE_REQUEST", f"At most {MOST_IDS} ids can be asked about")
    policy = call.params.get("policy", "")
    if policy not in ("", _EXPLICIT):
        raise OrgError(400, "INVALID_INPUT", f"The policy can be {_EXPLICIT} only")
    at = _moment(org, call)
    people = {given: [_evidence(org, name, given, at) for name in actions] for given in ids}
    if call.params.get("aggregatedConsent", "").lower() == "true":
        every = [[e for found in column for e in found] for column in zip(*people.values(), strict=True)]
        # Somebody without any record is a "false" of his own: it may not vanish among the others.
        people = {"aggregatedConsent": [[] if any(not f[n] for f in people.values()) else e for n, e in enumerate(every)]}
    verbose = call.params.get("verbose", "").lower() == "true"
    return Reply(body={k: _result(actions, v, policy=policy, verbose=verbose) for k, v in people.items()})


def _result(actions: list[str], found: list[list[_Evidence]], *, policy: str, verbose: bool) -> dict[str, Any]:
    proceed: dict[str, str] = {}
    for name, evidence in zip(actions, found, strict=True):
        allowed = bool(evidence) and not any(e.against for e in evidence)
        if policy == _EXPLICIT and name == "email":
            allowed = allowed and any(e.explicit for e in evidence)
        proceed |= {name: str(allowed).lower(), f"{name}Result": "Success"}
    result: dict[str, Any] = {"result": "Success", "proceed": proceed}
    if verbose:
        unique = {tuple(e.explanation.items()): e.explanation for evidence in found for e in evidence}
        result["explanation"] = list(unique.values())
    return result


def _evidence(org: Org, action: str, given: str, at: datetime) -> list[_Evidence]:
    address, records, individuals = _related(org, given)
    if action in _FLAGS:
        return _individual_flags(org, individuals, _FLAGS[action])
    own = {str(r["Id"]): r for r in records}
    if address:
        for individual in individuals:
            linked = _people(org, '"IndividualId" = ? AND "Email" = ?', individual, address)
            own |= {str(r["Id"]): r for r in linked}
    return [_opt_out(r) for r in own.values()] + _type_consents(org, individuals, at)


def _related(org: Org, given: str) -> tuple[str, list[sqlite3.Row], list[str]]:
    """The address, the persons and the individuals that an address or a record id leads to."""
    if "@" in given:
        records = _people(org, '"Email" = ?', given)
        return given, records, _individuals(records)
    record_id = long_id(given)
    if record_id is None:
        raise OrgError(400, "MALFORMED_ID", f"Neither a record id nor an address: {given}")
    if record_id.startswith("0PK"):
        found = org.tables.db.execute('SELECT "Id" FROM "Individual" WHERE "Id" = ? AND "IsDeleted" = 0', (record_id,))
        return "", _people(org, '"IndividualId" = ?', record_id), [r[0] for r in found]
    if record_id.startswith("001"):
        account = org.tables.db.execute('SELECT "PersonContactId" FROM "Account" WHERE "Id" = ?', (record_id,)).fetchone()
        record_id = str(account[0]) if account and account[0] else record_id
    records = _people(org, '"Id" = ?', record_id)
    return str(records[0]["Email"] or "") if records else "", records, _individuals(records)


def _people(org: Org, condition: str, *values: str) -> list[sqlite3.Row]:
    """Leads and contacts that count: neither deleted nor converted."""
    found: list[sqlite3.Row] = []
    for name, more in (("Lead", ' AND "IsConverted" = 0'), ("Contact", "")):
        columns = f'SELECT \'{name}\' AS "object", "Id", "Email", "IndividualId", "HasOptedOutOfEmail"'
        sql = f'{columns} FROM "{name}" WHERE {condition} AND "IsDeleted" = 0{more} ORDER BY "Id"'
        found += org.tables.db.execute(sql, values)
    return found


def _individuals(records: Iterable[sqlite3.Row]) -> list[str]:
    return list(dict.fromkeys(str(r["IndividualId"]) for r in records if r["IndividualId"]))


def _opt_out(row: sqlite3.Row) -> _Evidence:
    out = bool(row["HasOptedOutOfEmail"])
    explanation = {"objectConsulted": row["object"], "field": "HasOptedOutOfEmail", "recordId": row["Id"]}
    return _Evidence(explanation | {"value": str(out).lower()}, against=out)


def _type_consents(org: Org, individuals: list[str], at: datetime) -> list[_Evidence]:
    """The consents for e-mail that are in effect at that time."""
    found: list[_Evidence] = []
    for individual in individuals:
        rows = org.tables.db.execute(
            'SELECT * FROM "ContactPointTypeConsent" WHERE "PartyId" = ? AND "ContactPointType" = \'Email\' AND "IsDeleted" = 0'
            ' AND ("EffectiveFrom" IS NULL OR "EffectiveFrom" <= ?) AND ("EffectiveTo" IS NULL OR "EffectiveTo" > ?)'
            ' ORDER BY "Id"',
            (individual, stamp(at), stamp(at)),
        )
        for row in rows:
            status = str(row["PrivacyConsentStatus"])
            against = status.lower() == "optout"
            explanation = {"objectConsulted": "ContactPointTypeConsent", "status": status, "recordId": row["Id"]}
            if row["DataUsePurposeId"]:
                explanation["purpose"] = row["DataUsePurposeId"]
            explicit = status.lower() == "optin"
            found.append(_Evidence(explanation | {"value": str(not against).lower()}, against, explicit))
    return found


def _individual_flags(org: Org, individuals: list[str], field: str) -> list[_Evidence]:
    found: list[_Evidence] = []
    for individual in individuals:
        sql = f'SELECT "{field}" FROM "Individual" WHERE "Id" = ? AND "IsDeleted" = 0'  # noqa: S608 - one of _FLAGS
        row = org.tables.db.execute(sql, (individual,)).fetchone()
        if row is not None:
            explanation = {"objectConsulted": "Individual", "field": field, "recordId": individual}
            found.append(_Evidence(explanation | {"value": str(bool(row[0])).lower()}, against=bool(row[0])))
    return found


def _moment(org: Org, call: Call) -> datetime:
    text = call.params.get("datetime", "")
    try:
        return instant(text.replace(" ", "+")) if text else org.clock.now()
    except ValueError as error:
        raise OrgError(400, "INVALID_INPUT", "datetime has to be a date with a time and a zone") from error


def _listed(call: Call, name: str) -> list[str]:
    found = list(dict.fromkeys(t.strip() for t in call.params.get(name, "").split(",") if t.strip()))
    if not found:
        raise OrgError(400, "MISSING_ARGUMENT", f"The parameter {name} is required")
    return found
