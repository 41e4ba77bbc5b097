"""`opt_out_fields` of workbench.toml is changed while a workspace is in use: no field's opt-out is overlooked, none is cleared unasked."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from conftest import World, lead_id, org_line
from test_worker import approved, states

from workbench.bench import Workbench
from workbench.errors import BatchError
from workbench.resubscription import State
from workbench.salesforce import SalesforceOrg
from workbench.store import people

Worlds = Callable[..., World]
A, B = "HasOptedOutOfEmail", "Sales_Opt_Out__c"


def fields(w: World, *names: str) -> None:
    """Write the fields into workbench.toml and open the workspace anew."""
    toml = w.folder / "workbench.toml"
    text = re.sub(r"opt_out_fields = \[.*\]", f"opt_out_fields = {json.dumps(names)}", toml.read_text("utf-8"))
    toml.write_text(text, encoding="utf-8")
    w.wb.close()
    w.wb = Workbench.open(w.folder)


def flags(w: World) -> dict[str, bool]:
    with SalesforceOrg(w.wb.org.credentials, opt_out_fields=(A, B)) as org:
        return org.read(record_ids=[lead_id(1)], addresses=[], history=False).rows[0].opt_outs


@pytest.fixture
def anna(world: Worlds) -> tuple[World, str]:
    """Opted out by both fields, with a sound consent."""
    line = json.loads(org_line("Lead", lead_id(1), "anna@example.com", opted_out=True, Sales_Opt_Out__c=True))
    line["history"].append({**line["history"][0], "field": B})
    w = world(json.dumps(line))
    person = w.person("anna@example.com")
    w.consent(person)
    return w, person


def test_a_field_that_was_added_is_read_of_every_record(world: Worlds) -> None:
    w = world(org_line("Lead", lead_id(1), "anna@example.com", opted_out=False, Sales_Opt_Out__c=True))
    person = w.person("anna@example.com", unsubscribed=False)
    w.wb.sync()
    assert w.wb.pull().kind == "delta"
    fields(w, A, B)
    w.wb.sync()
    with w.wb.store.read() as tx:
        assert people.unsubscribes(tx, [person])[person]
    assert flags(w) == {A: True, B: True}
    assert w.wb.pull().kind == "delta", "once is enough"
    fields(w, A)
    assert w.wb.pull().kind == "full"


@pytest.mark.parametrize(("before", "after"), [((A,), (A, B)), ((A, B), (A,))])
def test_an_approval_holds_for_the_fields_it_named(anna: Any, before: tuple[str, ...], after: tuple[str, ...]) -> None:
    w, person = anna
    fields(w, *before)
    batch = approved(w, person)
    fields(w, *after)
    outcome = w.wb.run(batch)
    assert (outcome.done, outcome.refused) == (0, 1)
    with w.wb.store.read() as tx:
        from workbench.store import batches

        assert [f["code"] for i in batches.intents(tx, batch) for f in i.refusals] == ["fields_changed_since_plan"]
    assert flags(w) == {A: True, B: True}


@pytest.mark.parametrize("applied", [False, True])
def test_who_is_on_the_way_ends_with_the_fields_of_the_beginning(anna: Any, applied: bool) -> None:
    w, person = anna
    fields(w, A, B)
    batch = approved(w, person)
    original = w.wb.org.clear

    def clear(writes: Any) -> Any:
        if applied:
            original(writes)
        raise KeyboardInterrupt

    w.wb.org.clear = clear  # type: ignore[method-assign]  # the real call or none, and the end of the process
    with pytest.raises(KeyboardInterrupt):
        w.wb.run(batch)
    fields(w, A)
    for _ in range(2):
        with pytest.raises(BatchError, match=f"on the way to be cleared of {B}") as refused:
            w.wb.run(batch)
        assert "Put it back in workbench.toml" in refused.value.advice
    assert states(w, batch) == {person: State.SENT}
    fields(w, A, B)
    assert w.wb.run(batch).done == 1
    assert flags(w) == {A: False, B: False}
