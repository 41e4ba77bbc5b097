"""What the API says about an object and its fields: Describe, Describe Global, sObject Basic Information."""

from typing import Any

from .describe import ID_TYPES, OBJECTS, TEXT_TYPES, Field, ObjectType, Permissions

_SOAP_TYPES = {"id": "tns:ID", "reference": "tns:ID", "boolean": "xsd:boolean", "datetime": "xsd:dateTime", "date": "xsd:date"}
_MERGEABLE = ("Lead", "Contact", "Account", "Individual")
_NEVER = (
    *("activateable", "compactLayoutable", "customSetting", "deepCloneable", "deprecatedAndHidden", "feedEnabled", "hasSubtypes"),
    *("isInterface", "isSubtype", "layoutable", "mruEnabled", "searchLayoutable"),
)
_FIELD_NEVER = (
    *("aiPredictionField", "autoNumber", "calculated", "cascadeDelete", "dependentPicklist", "deprecatedAndHidden"),
    *("displayLocationInDecimal", "encrypted", "externalId", "formulaTreatNullNumberAsZero", "highScaleNumber", "htmlFormatted"),
    *("namePointing", "polymorphicForeignKey", "queryByDistance", "restrictedDelete", "restrictedPicklist", "unique"),
    *("writeRequiresMasterRead",),
)
_FIELD_EMPTY = (
    *("calculatedFormula", "compoundFieldName", "controllerName", "defaultValueFormula", "extraTypeInfo", "filteredLookupInfo"),
    *("inlineHelpText", "mask", "maskType", "referenceTargetField", "relationshipOrder"),
)


def described(kind: ObjectType, permissions: Permissions, base: str) -> dict[str, Any]:
    """The describe result; hidden fields are absent from it."""
    shown = [f for f in kind.fields if permissions.readable(kind, f)]
    return {
        **summary(kind, base),
        "actionOverrides": [],
        "childRelationships": _children(kind, permissions),
        "fields": [_described_field(kind, f, permissions) for f in shown],
        "listviewable": None,
        "lookupLayoutable": None,
        "namedLayoutInfos": [],
        "networkScopeFieldName": None,
        "recordTypeInfos": [],
        "sobjectDescribeOption": "FULL",
        "supportedScopes": [{"label": f"All {kind.label}s", "name": "everything"}],
    }


def described_all(base: str) -> dict[str, Any]:
    """The list of objects (Describe Global)."""
    return {"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": [summary(k, base) for k in OBJECTS.values()]}


def summary(kind: ObjectType, base: str) -> dict[str, Any]:
    """What Describe Global says of one object."""
    path = f"{base}/sobjects/{kind.name}"
    urls = {"rowTemplate": f"{path}/{{ID}}", "describe": f"{path}/describe", "sobject": path}
    return dict.fromkeys(_NEVER, False) | {
        "associateEntityType": "History" if kind.parent else None,
        "associateParentEntity": kind.parent or None,
        "createable": kind.writable,
        "custom": kind.name.endswith("__c"),
        "deletable": kind.writable,
        "keyPrefix": kind.prefix,
        "label": kind.label,
        "labelPlural": f"{kind.label}s",
        "mergeable": kind.name in _MERGEABLE,
        "name": kind.name,
        "queryable": True,
        "replicateable": not kind.parent,
        "retrieveable": True,
        "searchable": kind.writable,
        "triggerable": kind.writable,
        "undeletable": kind.writable,
        "updateable": kind.writable,
        "urls": urls,
    }


def _children(kind: ObjectType, permissions: Permissions) -> list[dict[str, Any]]:
    """The fields of other objects that refer to this one."""
    return [
        {
            "cascadeDelete": other.parent == kind.name,
            "childSObject": other.name,
            "deprecatedAndHidden": False,
            "field": field.name,
            "junctionIdListNames": [],
            "junctionReferenceTo": [],
            "relationshipName": "Histories" if other.parent == kind.name else None,
            "restrictedDelete": False,
        }
        for other in OBJECTS.values()
        for field in other.fields
        if field.refers_to == kind.name and permissions.readable(other, field)
    ]


def _described_field(kind: ObjectType, field: Field, permissions: Permissions) -> dict[str, Any]:
    writable = permissions.writable(kind, field)
    length = field.length if field.type not in ("boolean", "datetime", "date") else 0
    return (
        dict.fromkeys(_FIELD_NEVER, False)
        | dict.fromkeys(_FIELD_EMPTY)
        | {
            "aggregatable": field.filterable and field.type != "boolean",
            "byteLength": length * (1 if field.type in ID_TYPES else 3),
            "caseSensitive": False,
            "createable": field.createable and writable,
            "custom": field.custom,
            "defaultValue": False if field.type == "boolean" else None,
            "defaultedOnCreate": field.type == "boolean" or not field.createable,
            "digits": 0,
            "filterable": field.filterable,
            "groupable": field.filterable and field.type != "datetime",
            "idLookup": field.type in ("id", "email"),
            "label": field.label,
            "length": length,
            "name": field.name,
            "nameField": field.name == "Name",
            "nillable": field.nillable,
            "permissionable": not field.fixed and field.name not in kind.required and (field.createable or field.updateable),
            "picklistValues": [],
            "precision": 0,
            "referenceTo": [field.refers_to] if field.refers_to else [],
            "relationshipName": field.relationship or None,
            "scale": 0,
            "searchPrefilterable": field.type == "reference",
            "soapType": _SOAP_TYPES.get(field.type, "xsd:anyType" if field.type == "anyType" else "xsd:string"),
            "sortable": field.filterable,
            "type": field.type,
            "updateable": field.updateable and writable,
        }
    )


def column_metadata(kind: ObjectType, paths: list[tuple[tuple[str, ...], Field]]) -> dict[str, Any]:
    """What a query with ``columns=true`` says of its columns: nested along the relationships."""
    metadata: list[dict[str, Any]] = []
    for path, field in paths:
        level = metadata
        for step in path[:-1]:
            parent = next((c for c in level if c["columnName"] == step), None)
            if parent is None:
                parent = _column(step, None)
                level.append(parent)
            level = parent["joinColumns"]
        level.append(_column(path[-1], field))
    return {
        "columnMetadata": metadata,
        "entityName": kind.name,
        "groupBy": False,
        "idSelected": any(path == ("Id",) for path, _ in paths),
        "keyPrefix": kind.prefix,
    }


def _column(name: str, field: Field | None) -> dict[str, Any]:
    kind = field.type if field else ""
    apex = {"id": "Id", "reference": "Id", "boolean": "Boolean", "datetime": "Datetime", "date": "Date"}
    return {
        "aggregate": False,
        "apexType": (apex.get(kind, "String") if field else None),
        "booleanType": kind == "boolean",
        "columnName": name,
        "custom": field.custom if field else False,
        "displayName": name,
        "foreignKeyName": (field.relationship or None) if field else None,
        "insertable": field.createable if field else False,
        "joinColumns": [],
        "numberType": False,
        "textType": kind in TEXT_TYPES or kind in ID_TYPES,
        "updatable": field.updateable if field else False,
    }
