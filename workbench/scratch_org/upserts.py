"""Records addressed by an external id: read, update or create. No field here is one but Id, which Salesforce takes too."""

from .messages import Call, OrgError, Reply
from .org import Org
from .record_collections import upsert as upsert_each
from .rows import delete, read, update


def read_one(org: Org, call: Call, name: str, field: str, value: str) -> Reply:
    """GET vX/sobjects/{O}/{field}/{value}."""
    org.kind(name)
    refuse_other_fields(field)
    return read(org, call, name, value)


def upsert_one(org: Org, call: Call, name: str, field: str, value: str) -> Reply:
    """PATCH vX/sobjects/{O}/{field}/{value}."""
    org.kind(name)
    refuse_other_fields(field)
    update(org, call, name, value)
    return Reply(200, {"id": value, "success": True, "errors": [], "created": False})


def delete_one(org: Org, call: Call, name: str, field: str, value: str) -> Reply:
    """DELETE vX/sobjects/{O}/{field}/{value}."""
    org.kind(name)
    refuse_other_fields(field)
    return delete(org, call, name, value)


def upsert_all(org: Org, call: Call, name: str, field: str) -> Reply:
    """PATCH vX/composite/sobjects/{O}/{field}: a record with an id is updated, one without is created."""
    org.kind(name)
    refuse_other_fields(field)
    return upsert_each(org, call)


def refuse_other_fields(field: str) -> None:
    """Only Id can be used.

    Raises:
        OrgError: 404 for a field that is no external id.
    """
    if field.lower() != "id":
        raise OrgError(404, "NOT_FOUND", f"Provided external ID field does not exist or is not accessible: {field}")
