"""Where each field of a consent stands in a record: one table for plain JSON, one for JSON-LD.

Plain JSON follows the sections of ISO/IEC TS 27560:2023 (header, processing, parties, event). JSON-LD uses the terms of W3C DPV 2 as
its guide to 27560 maps them (https://w3id.org/dpv/guides/consent-27560); what DPV has no term for stands in a namespace of our own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Path = tuple[str, ...]

JSON_PLACES: dict[str, Path] = {
    "schema_version": ("header", "schema_version"),
    "consent_id": ("header", "record_id"),
    "person_id": ("header", "pii_principal_id"),
    "email": ("header", "pii_principal_address"),
    "recorded_at": ("header", "recorded_at"),
    "recorded_by": ("header", "recorded_by"),
    "notice_text": ("processing", "privacy_notice"),
    "notice_version": ("processing", "privacy_notice_version"),
    "language": ("processing", "language"),
    "purpose": ("processing", "purpose"),
    "authorization_type": ("processing", "lawful_basis"),
    "channel": ("processing", "channel"),
    "method": ("processing", "collection_method"),
    "collection_point": ("processing", "collection_point"),
    "jurisdiction": ("processing", "jurisdiction"),
    "retain_until": ("processing", "retention_until"),
    "controller": ("parties", "pii_controller"),
    "recipients": ("parties", "recipient_third_parties"),
    "given_to": ("parties", "given_to"),
    "transfer_notice_at": ("parties", "transfer_notice_at"),
    "state": ("event", "state"),
    "consent_type": ("event", "consent_type"),
    "given_at": ("event", "event_time"),
    "given_at_precision": ("event", "event_time_precision"),
    "expressed_by": ("event", "expressed_by"),
    "double_opt_in_at": ("event", "confirmed_at"),
    "valid_until": ("event", "valid_until"),
    "withdrawn_at": ("event", "withdrawn_at"),
    "withdrawal_method": ("event", "withdrawal_method"),
    "pre_ticked": ("event", "pre_ticked"),
    "solicited_by_email": ("event", "solicited_by_email"),
    "recording_kept": ("event", "recording_kept"),
    "error_proven": ("event", "error_proven"),
    "evidence": ("evidence",),
}

OURS = "urn:compliance-workbench:consent#"
CONTEXT = {
    "dpv": "https://w3id.org/dpv#",
    "dct": "http://purl.org/dc/terms/",
    "wb": OURS,
}

LD_PLACES: dict[str, Path] = {
    "schema_version": ("wb:schemaVersion",),
    "consent_id": ("dct:identifier",),
    "person_id": ("dpv:hasDataSubject", "dct:identifier"),
    "email": ("dpv:hasDataSubject", "dpv:hasContact"),
    "recorded_at": ("dct:created",),
    "recorded_by": ("dct:creator",),
    "notice_text": ("dpv:hasNotice", "dct:description"),
    "notice_version": ("dpv:hasNotice", "dct:hasVersion"),
    "language": ("dpv:hasNotice", "dct:language"),
    "purpose": ("dpv:hasPurpose", "dct:title"),
    "authorization_type": ("dpv:hasLegalBasis", "@id"),
    "consent_type": ("wb:consentType", "@id"),
    "channel": ("wb:channel",),
    "method": ("dpv:hasIndicationMethod",),
    "collection_point": ("dpv:hasDataSource", "dct:title"),
    "jurisdiction": ("dpv:hasJurisdiction", "dct:title"),
    "retain_until": ("dpv:hasStorageCondition", "dct:valid"),
    "controller": ("dpv:hasDataController", "dpv:hasName"),
    "recipients": ("dpv:hasRecipient",),
    "given_to": ("wb:givenTo",),
    "transfer_notice_at": ("wb:transferNoticeAt",),
    "state": ("dpv:hasConsentStatus", "@id"),
    "given_at": ("dpv:isIndicatedAtTime",),
    "given_at_precision": ("wb:givenAtPrecision",),
    "expressed_by": ("dpv:isIndicatedBy", "@id"),
    "double_opt_in_at": ("wb:confirmedAt",),
    "valid_until": ("dpv:hasDuration", "dct:valid"),
    "withdrawn_at": ("wb:withdrawnAt",),
    "withdrawal_method": ("dpv:hasConsentControl", "dct:description"),
    "pre_ticked": ("wb:preTicked",),
    "solicited_by_email": ("wb:solicitedByEmail",),
    "recording_kept": ("wb:recordingKept",),
    "error_proven": ("wb:errorProven",),
    "evidence": ("wb:evidence",),
}

LD_KINDS: dict[Path, str] = {
    (): "dpv:ConsentRecord",
    ("dpv:hasDataSubject",): "dpv:DataSubject",
    ("dpv:hasNotice",): "dpv:ConsentNotice",
    ("dpv:hasPurpose",): "dpv:Purpose",
    ("dpv:hasDataSource",): "dpv:DataSource",
    ("dpv:hasJurisdiction",): "dpv:Jurisdiction",
    ("dpv:hasStorageCondition",): "dpv:StorageDeletion",
    ("dpv:hasDataController",): "dpv:DataController",
    ("dpv:hasDuration",): "dpv:UntilTimeDuration",
    ("dpv:hasConsentControl",): "dpv:WithdrawConsent",
}
"""What kind of thing each node is."""

LD_WORDS: dict[str, dict[str, str]] = {
    "authorization_type": {
        "consent": "dpv:Consent",
        "legitimate_interest": "dpv:LegitimateInterest",
        "performance_of_a_contract": "dpv:ContractPerformance",
        "legal_obligation": "dpv:LegalObligation",
        "vital_interests": "dpv:VitalInterest",
        "public_interest": "dpv:PublicInterest",
        "other": "dpv:LegalBasis",
    },
    "consent_type": {
        "explicitly_expressed": "dpv:ExplicitlyExpressedConsent",
        "expressed": "dpv:ExpressedConsent",
        "implied": "dpv:ImpliedConsent",
    },
    "state": {
        "given": "dpv:ConsentGiven",
        "renewed": "dpv:RenewedConsentGiven",
        "withdrawn": "dpv:ConsentWithdrawn",
        "refused": "dpv:ConsentRefused",
        "expired": "dpv:ConsentExpired",
        "invalidated": "dpv:ConsentInvalidated",
    },
    "expressed_by": {"person": "dpv:DataSubject", "representative": "wb:Representative"},
}
"""DPV's terms for our words, by field."""


def spread(values: Mapping[str, Any], places: Mapping[str, Path]) -> dict[str, Any]:
    """Values by field as a nested record."""
    record: dict[str, Any] = {}
    for name, path in places.items():
        node = record
        for step in path[:-1]:
            node = node.setdefault(step, {})
        node[path[-1]] = values[name]
    return record


def gathered(record: Any, places: Mapping[str, Path]) -> dict[str, Any]:
    """Values by field from a nested record.

    Raises:
        KeyError: a field is missing, or something stands where a section should; its argument names the field.
    """
    values: dict[str, Any] = {}
    for name, path in places.items():
        node = record
        for step in path:
            if not isinstance(node, dict) or step not in node:
                raise KeyError(name)
            node = node[step]
        values[name] = node
    return values
