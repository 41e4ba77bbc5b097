"""Person accounts: one person whom Salesforce keeps as two records, an account and a hidden contact with the same values.

Decision: a person account is *read* as its contact and *written* through its account. The contact stands among all other contacts in
every query, has the address, the opt-out fields under their usual names, stamps and ContactHistory; so all rules see one kind of
record less. Changes are documented for the account only (the contact's own are refused, INSUFFICIENT_ACCESS_OR_READONLY), where the
fields are called ``PersonHasOptedOutOfEmail`` and ``Name__pc``. Both records' stamps move together, so a condition on the contact's
stamp holds for the account; should the account's be later in some org, the change is refused, not made.

Whoever has the account's id (001...) is found by it: a reading answers with the contact, which names its account. The account of a
company is nobody's. Should an org keep the field history elsewhere than with the contact, our own change is missing from it and
the batch pauses.
Sources: "Change Events for Person Accounts" (stamps), "Person Account Record Types" (PersonContactId), CumulusCI's bulk data tasks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from workbench.org import OrgRow

ACCOUNT = "Account"
ACCOUNT_PREFIX = "001"
MARK = "IsPersonAccount"


def account_field(name: str) -> str:
    """What a contact's field is called on a person account: ``Person...``, or ``...__pc`` for a custom one."""
    return f"{name.removesuffix('__c')}__pc" if name.endswith("__c") else f"Person{name}"


def written_to(object: str, record_id: str, accounts: Mapping[str, str]) -> tuple[str, str]:
    """Object and id of the record through which a row is changed: its own, or the account of a person account's contact."""
    account = accounts.get(record_id, "") if object == "Contact" else ""
    return (ACCOUNT, account) if account else (object, record_id)


def written_fields(object: str, fields: Iterable[str]) -> tuple[str, ...]:
    """The names of opt-out fields on the object through which they are written."""
    return tuple(account_field(name) if object == ACCOUNT else name for name in fields)


def accounts_of(rows: Iterable[OrgRow]) -> dict[str, str]:
    """By contact id, the account through which it is written: "" for a contact of its own."""
    return {row.record_id: row.person_account or "" for row in rows if row.object == "Contact"}
