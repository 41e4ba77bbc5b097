"""The objects of the org and their fields: what exists, of which type, who may write it.

Adding an object means adding one entry to ``OBJECTS``; tables, queries, rows and describe follow from it.
"""

from dataclasses import dataclass, replace

TEXT_TYPES = frozenset({"string", "email", "picklist", "textarea", "phone", "url"})
ID_TYPES = frozenset({"id", "reference"})


@dataclass(frozen=True)
class Field:
    """One field. ``type`` is Salesforce's name for it; ``refers_to`` and ``relationship`` only for references."""

    name: str
    label: str
    type: str = "string"
    length: int = 0
    createable: bool = True
    updateable: bool = True
    nillable: bool = True
    filterable: bool = True
    refers_to: str = ""
    relationship: str = ""
    tracked: bool = False
    fixed: bool = False

    @property
    def custom(self) -> bool:
        """Whether the field is one of the customer's own."""
        return self.name.endswith(("__c", "__pc"))


@dataclass(frozen=True)
class ObjectType:
    """One object: its key prefix, its fields in order, its history object if it keeps one."""

    name: str
    label: str
    prefix: str
    fields: tuple[Field, ...]
    history: str = ""
    parent: str = ""
    writable: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {f.name.lower(): f for f in self.fields})

    def field(self, name: str) -> Field | None:
        """The field of that name in any case, or None."""
        by_name: dict[str, Field] = self.__dict__["_by_name"]
        return by_name.get(name.lower())

    def has(self, name: str) -> bool:
        """Whether there is a field of that name."""
        return self.field(name) is not None

    def relation(self, name: str) -> Field | None:
        """The reference that is followed by ``name``, e.g. Owner -> OwnerId."""
        return next((f for f in self.fields if f.relationship.lower() == name.lower()), None) if name else None

    @property
    def required(self) -> tuple[str, ...]:
        """The fields a new record can't do without."""
        return tuple(f.name for f in self.fields if not f.nillable and f.createable and f.type in TEXT_TYPES)


def _fixed(field: Field) -> Field:
    return replace(field, createable=False, updateable=False)


def _reference(name: str, label: str, refers_to: str, relationship: str) -> Field:
    return Field(name, label, "reference", 18, refers_to=refers_to, relationship=relationship)


def _moment(name: str, label: str) -> Field:
    return _fixed(Field(name, label, "datetime", nillable=False))


def _flag(name: str, label: str, *, tracked: bool = False) -> Field:
    return Field(name, label, "boolean", nillable=False, tracked=tracked)


_ID = replace(_fixed(Field("Id", "Record ID", "id", 18, nillable=False)), fixed=True)
_CREATED = (
    _moment("CreatedDate", "Created Date"),
    _fixed(_reference("CreatedById", "Created By ID", "User", "CreatedBy")),
)
_STAMPS = (
    *_CREATED,
    _moment("LastModifiedDate", "Last Modified Date"),
    _fixed(_reference("LastModifiedById", "Last Modified By ID", "User", "LastModifiedBy")),
    _moment("SystemModstamp", "System Modstamp"),
)
_OWNED = (
    _fixed(_flag("IsDeleted", "Deleted")),
    _reference("OwnerId", "Owner ID", "User", "Owner"),
    *_STAMPS,
)
_BOUNCES = (
    _fixed(Field("EmailBouncedReason", "Email Bounced Reason", length=255)),
    _fixed(Field("EmailBouncedDate", "Email Bounced Date", "datetime")),
)


def _person(label: str) -> tuple[Field, ...]:
    return (
        _ID,
        Field("LastName", "Last Name", length=80, nillable=False),
        Field("FirstName", "First Name", length=40),
        replace(_fixed(Field("Name", "Full Name", length=121, nillable=False)), fixed=True),
        Field("Title", "Title", length=128),
        Field("Email", "Email", "email", 80),
        _flag("HasOptedOutOfEmail", "Email Opt Out", tracked=True),
        _flag("Sales_Opt_Out__c", "Sales Opt Out", tracked=True),
        Field("Resubscription__c", "Resubscription", length=80),
        *_BOUNCES,
        _fixed(Field("MasterRecordId", "Master Record ID", "reference", 18, refers_to=label, relationship="MasterRecord")),
        _reference("IndividualId", "Individual ID", "Individual", "Individual"),
    )


def _history(name: str, parent: str) -> ObjectType:
    fields = (
        _ID,
        _flag("IsDeleted", "Deleted"),
        _reference(f"{parent}Id", f"{parent} ID", parent, parent),
        *_CREATED,
        Field("Field", "Changed Field", "picklist", 255),
        Field("DataType", "Datatype", "picklist", 40),
        Field("OldValue", "Old Value", "anyType", filterable=False),
        Field("NewValue", "New Value", "anyType", filterable=False),
    )
    return ObjectType(name, f"{parent} History", "017", tuple(_fixed(f) for f in fields), parent=parent, writable=False)


_LEAD = ObjectType(
    "Lead",
    "Lead",
    "00Q",
    (
        *_person("Lead"),
        Field("Company", "Company", length=255, nillable=False),
        _fixed(_flag("IsConverted", "Converted")),
        _fixed(Field("ConvertedDate", "Converted Date", "date")),
        _fixed(_reference("ConvertedContactId", "Converted Contact ID", "Contact", "ConvertedContact")),
        *_OWNED,
    ),
    history="LeadHistory",
)
_CONTACT = ObjectType(
    "Contact",
    "Contact",
    "003",
    (
        *_person("Contact"),
        _reference("AccountId", "Account ID", "Account", "Account"),
        _fixed(_flag("IsPersonAccount", "Is Person Account")),
        *_OWNED,
    ),
    history="ContactHistory",
)
_ACCOUNT = ObjectType(
    "Account",
    "Account",
    "001",
    (
        _ID,
        replace(Field("Name", "Account Name", length=255, nillable=False), fixed=True),
        _fixed(_flag("IsPersonAccount", "Is Person Account")),
        _fixed(_reference("PersonContactId", "Person Contact ID", "Contact", "PersonContact")),
        Field("LastName", "Last Name", length=80),
        Field("FirstName", "First Name", length=40),
        Field("PersonEmail", "Email", "email", 80),
        _flag("PersonHasOptedOutOfEmail", "Email Opt Out"),
        _flag("Sales_Opt_Out__pc", "Sales Opt Out"),
        Field("Resubscription__pc", "Resubscription", length=80),
        _fixed(Field("MasterRecordId", "Master Record ID", "reference", 18, refers_to="Account", relationship="MasterRecord")),
        *_OWNED,
    ),
)
_USER = ObjectType(
    "User",
    "User",
    "005",
    tuple(
        _fixed(f)
        for f in (
            _ID,
            Field("Username", "Username", length=80, nillable=False),
            replace(Field("Name", "Full Name", length=121, nillable=False), fixed=True),
            Field("Email", "Email", "email", 128),
            _flag("IsActive", "Active"),
            *_STAMPS,
        )
    ),
    writable=False,
)
_ORGANIZATION = ObjectType(
    "Organization",
    "Organization",
    "00D",
    tuple(
        _fixed(f)
        for f in (
            _ID,
            replace(Field("Name", "Name", length=80, nillable=False), fixed=True),
            Field("OrganizationType", "Edition", "picklist", 40),
            Field("InstanceName", "Instance Name", length=5),
            _flag("IsSandbox", "Is Sandbox"),
            *_STAMPS,
        )
    ),
    writable=False,
)
_INDIVIDUAL = ObjectType(
    "Individual",
    "Individual",
    "0PK",
    (
        _ID,
        Field("LastName", "Last Name", length=80, nillable=False),
        Field("FirstName", "First Name", length=40),
        replace(_fixed(Field("Name", "Name", length=121, nillable=False)), fixed=True),
        _flag("HasOptedOutTracking", "Don't Track"),
        _flag("HasOptedOutProfiling", "Don't Profile"),
        _flag("HasOptedOutProcessing", "Don't Process"),
        _flag("HasOptedOutSolicit", "Don't Market"),
        _flag("ShouldForget", "Forget this Individual"),
        _fixed(Field("MasterRecordId", "Master Record ID", "reference", 18, refers_to="Individual", relationship="MasterRecord")),
        *_OWNED,
    ),
)
_CONSENT = ObjectType(
    "ContactPointTypeConsent",
    "Contact Point Type Consent",
    "0ZX",
    (
        _ID,
        replace(Field("Name", "Name", length=255, nillable=False), fixed=True),
        replace(_reference("PartyId", "Party ID", "Individual", "Party"), updateable=False),
        Field("ContactPointType", "Contact Point Type", "picklist", 40, nillable=False),
        Field("PrivacyConsentStatus", "Privacy Consent Status", "picklist", 40, nillable=False),
        Field("DataUsePurposeId", "Data Use Purpose ID", "reference", 18),
        Field("EffectiveFrom", "Effective From", "datetime"),
        Field("EffectiveTo", "Effective To", "datetime"),
        Field("CaptureDate", "Capture Date", "datetime"),
        Field("CaptureSource", "Capture Source", length=255),
        Field("CaptureContactPointType", "Capture Contact Point Type", "picklist", 40),
        *_OWNED,
    ),
)
_CHECKPOINT = ObjectType(
    "Trail_Checkpoint__c",
    "Trail Checkpoint",
    "a00",
    (_ID, Field("Note__c", "Note", "textarea", 32768, filterable=False), *_OWNED),
)
"""A customer's own object, in which the trail's checkpoints can be kept."""

OBJECTS: dict[str, ObjectType] = {
    o.name.lower(): o
    for o in (
        _LEAD,
        _CONTACT,
        _ACCOUNT,
        _history("LeadHistory", "Lead"),
        _history("ContactHistory", "Contact"),
        _USER,
        _ORGANIZATION,
        _INDIVIDUAL,
        _CONSENT,
        _CHECKPOINT,
    )
}


class Permissions:
    """Field-level security of the user the API works as: what is hidden or read-only beyond the object's own rules."""

    def __init__(self) -> None:
        self._rules: dict[tuple[str, str], tuple[bool, bool]] = {}

    def set(self, kind: ObjectType, field: Field, *, readable: bool, updateable: bool) -> None:
        """Allow or forbid one field; a field that can't be read can't be written either."""
        self._rules[kind.name, field.name] = (readable, readable and updateable)

    def readable(self, kind: ObjectType, field: Field) -> bool:
        """Whether the API shows the field; ids and names are always shown."""
        return field.fixed or self._rules.get((kind.name, field.name), (True, True))[0]

    def writable(self, kind: ObjectType, field: Field) -> bool:
        """Whether field-level security lets the API write the field; the field itself may still be read-only."""
        return self._rules.get((kind.name, field.name), (True, True))[1]

    def rules(self) -> list[tuple[str, str, bool, bool]]:
        """All rules, to be kept across a restart."""
        return [(o, f, r, u) for (o, f), (r, u) in self._rules.items()]
