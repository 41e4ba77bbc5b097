"""The policy file says what it means, and a mistake in it is named with its line."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from dataclasses import FrozenInstanceError, replace
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import SettingsError
from workbench.policy import DEFAULT_POLICY, Jurisdiction, Policy, load_policy, starting_policy


def load(text: str) -> Policy:
    return load_policy(text, name="policy.toml")


def complaint(text: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load(text)
    assert caught.value.advice
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_default_text_says_what_the_defaults_are() -> None:
    assert load(DEFAULT_POLICY) == Policy() == load("")
    assert load(DEFAULT_POLICY).digest == Policy().digest


def test_every_default_stands_in_the_text_below_its_source() -> None:
    assert set(tomllib.loads(DEFAULT_POLICY)) == set(Policy.__dataclass_fields__)
    for block in DEFAULT_POLICY.split("\n\n")[1:]:
        assert "# Source: " in block


def test_the_defaults_are_the_domain_s() -> None:
    policy = Policy()
    assert [code for code, rules in policy.jurisdictions.items() if rules.double_opt_in_required] == ["DE", "AT"]
    assert (policy.quiet_period_seconds, policy.plan_valid_hours, policy.write_cap) == (60, 24, 5000)
    assert (policy.sync_cap, policy.honour_within_business_days) == (1000, 10)
    assert len(policy.reasons) == 6


@pytest.mark.parametrize("controller", ["Example Company", 'Beispiel "AG" & Söhne', "back\\slash"])
def test_a_starting_policy_names_the_controller(controller: str) -> None:
    assert load(starting_policy(f" {controller} ")) == Policy(controller=controller)


def test_every_value_can_be_set() -> None:
    policy = load("""
        controller = " Example Company "
        purposes = ["newsletter", "offers"]
        refresh_interval_days = 365
        blocked_domains = [".Rival.example", "BÜCHER.example."]
        approval_by_second_person = true
        quiet_period_seconds = 120
        plan_valid_hours = 1
        write_cap = 10
        sync_cap = 20
        honour_within_business_days = 2
        unnamed_jurisdiction = "US"
        jurisdictions.FR.double_opt_in_required = true
        jurisdictions.AT.double_opt_in_required = false
        reasons = { asked = "The person asked." }
    """)
    assert policy == Policy(
        controller="Example Company",
        purposes=("newsletter", "offers"),
        refresh_interval_days=365,
        blocked_domains=("rival.example", "xn--bcher-kva.example"),
        approval_by_second_person=True,
        quiet_period_seconds=120,
        plan_valid_hours=1,
        write_cap=10,
        sync_cap=20,
        honour_within_business_days=2,
        unnamed_jurisdiction="US",
        jurisdictions={
            "DE": Jurisdiction(double_opt_in_required=True),
            "AT": Jurisdiction(),
            "FR": Jurisdiction(double_opt_in_required=True),
        },
        reasons={"asked": "The person asked."},
    )


MISTAKES = [
    ("\n\nwirte_cap = 1", "policy.toml, line 3: `wirte_cap` is not a key that the policy knows (did you mean `write_cap`?)."),
    ("colour = 1", "policy.toml, line 1: `colour` is not a key that the policy knows."),
    ("# all\nwrite_cap = '5'", "policy.toml, line 2: `write_cap` must be a whole number from 1 to 1000000."),
    ("write_cap = true", "policy.toml, line 1: `write_cap` must be a whole number from 1 to 1000000."),
    ("write_cap = 0", "policy.toml, line 1: `write_cap` must be a whole number from 1 to 1000000."),
    ("sync_cap = 1_000_001", "policy.toml, line 1: `sync_cap` must be a whole number from 1 to 1000000."),
    ("plan_valid_hours = 1.5", "policy.toml, line 1: `plan_valid_hours` must be a whole number from 1 to 168."),
    ("quiet_period_seconds = 0", "policy.toml, line 1: `quiet_period_seconds` must be a whole number from 1 to 86400."),
    ("refresh_interval_days = 9999", "policy.toml, line 1: `refresh_interval_days` must be a whole number from 1 to 3650."),
    (
        "honour_within_business_days = 11",
        "policy.toml, line 1: `honour_within_business_days` must be a whole number from 1 to 10.",
    ),
    ("approval_by_second_person = 1", "policy.toml, line 1: `approval_by_second_person` must be true or false."),
    ("controller = 5", "policy.toml, line 1: `controller` must be one line of text in quotation marks."),
    ('controller = """\na\nb"""', "policy.toml, line 1: `controller` must be one line of text in quotation marks."),
    ("purposes = []", "policy.toml, line 1: `purposes` must name at least one purpose."),
    (
        "sync_cap = 5\n\npurposes = [\n  'a',\n  7,\n]",
        "policy.toml, line 3: `purposes` must be a list of texts, none of them empty.",
    ),
    ("purposes = ['a', 'a ']", "policy.toml, line 1: `purposes` names the same entry twice."),
    (
        "blocked_domains = ['a@b.example']",
        "policy.toml, line 1: `blocked_domains` must list domains such as example.com, without @ or *.",
    ),
    (
        "unnamed_jurisdiction = 'EU'",
        'policy.toml, line 1: `unnamed_jurisdiction` must be a country code of two capital letters, such as "DE".',
    ),
    (
        "[jurisdictions.fr]",
        'policy.toml, line 1: `jurisdictions.fr` must be a country code of two capital letters, such as "DE".',
    ),
    ("jurisdictions = 1", "policy.toml, line 1: `jurisdictions` must be a table."),
    ("[jurisdictions]\nDE = true", "policy.toml, line 2: `jurisdictions.DE` must be a table."),
    (
        "# x = 1\r\n[jurisdictions.DE]\r\n\r\n# double_opt_in_required = 1\r\ndouble_opt_in_required = 1\r\n",
        "policy.toml, line 5: `jurisdictions.DE.double_opt_in_required` must be true or false.",
    ),
    (
        "[jurisdictions.DE]\ndouble_optin_required = true",
        "policy.toml, line 2: `jurisdictions.DE.double_optin_required` is not a key that the policy knows "
        "(did you mean `double_opt_in_required`?).",
    ),
    ("[reasons]", "policy.toml, line 1: `reasons` must name at least one reason."),
    ("[reasons]\nOops = 'x'", "policy.toml, line 2: `reasons.Oops` must be a code of small letters, digits and underscores."),
    ("[reasons]\na = 'x'\nb = ''", "policy.toml, line 3: `reasons.b` must be a sentence in quotation marks."),
]


@pytest.mark.parametrize(("text", "expected"), MISTAKES)
def test_a_mistake_is_named_with_its_line_and_key(text: str, expected: str) -> None:
    assert complaint(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("write_cap = 5\nsync_cap = = 5", "policy.toml, line 2: not valid TOML (invalid value)."),
        ("write_cap = 5\nwrite_cap = 6", "policy.toml, line 2: not valid TOML (cannot overwrite a value)."),
        ("purposes = " + "[" * 5000, "policy.toml is not valid TOML: a value is too long or nested too deep."),
        ("write_cap = " + "9" * 5000, "policy.toml is not valid TOML: a value is too long or nested too deep."),
        ("#" * 70_000, "policy.toml is longer than 65536 characters, too long for a policy."),
    ],
)
def test_what_is_not_toml_is_said_so(text: str, expected: str) -> None:
    assert complaint(text) == expected


def test_a_byte_order_mark_is_no_mistake() -> None:
    assert load("\ufeffwrite_cap = 7").write_cap == 7


LINES = st.sampled_from(DEFAULT_POLICY.splitlines())
VALUES = st.sampled_from(["1", "-1", "'x'", "[]", "[1]", "{}", "true", "1979-05-27", "nan", "", '"""', "{ DE = {} }"])


@given(st.lists(LINES | st.tuples(LINES, VALUES).map(lambda pair: f"{pair[0].partition('=')[0]}= {pair[1]}") | st.text()))
def test_any_text_loads_or_is_refused_in_a_sentence(lines: list[str]) -> None:
    try:
        load("\n".join(lines))
    except SettingsError as error:
        refused = str(error)
    else:
        return
    assert refused.startswith("policy.toml")
    assert refused.endswith(".")


def test_the_digest_covers_every_value_and_nothing_else() -> None:
    changed: list[dict[str, Any]] = [
        *({"controller": "x"}, {"purposes": ("x",)}, {"refresh_interval_days": 1}, {"blocked_domains": ("x.example",)}),
        *({"approval_by_second_person": True}, {"quiet_period_seconds": 1}, {"plan_valid_hours": 1}, {"write_cap": 1}),
        *({"sync_cap": 1}, {"honour_within_business_days": 1}, {"unnamed_jurisdiction": "US"}, {"reasons": {"x": "X."}}),
        {"jurisdictions": {"DE": Jurisdiction()}},
    ]
    assert {key for change in changed for key in change} == set(Policy.__dataclass_fields__)
    digests = {replace(Policy(), **change).digest for change in changed} | {Policy().digest}
    assert len(digests) == len(changed) + 1
    assert all(len(digest) == 64 for digest in digests)
    assert load("# a comment\nsync_cap = 1_000\nwrite_cap = 0x1388").digest == Policy().digest


def test_a_policy_does_not_change() -> None:
    policy = Policy()
    with pytest.raises(FrozenInstanceError):
        policy.write_cap = 1  # type: ignore[misc]  # the point of the test
    assert isinstance(policy.jurisdictions, MappingProxyType)
    assert isinstance(policy.reasons, MappingProxyType)
    assert isinstance(load(DEFAULT_POLICY).jurisdictions, MappingProxyType)
    assert isinstance(load(DEFAULT_POLICY).reasons, MappingProxyType)


@pytest.mark.parametrize(
    ("jurisdiction", "country"),
    [("DE", "DE"), (" de ", "DE"), ("DE-BY", "DE"), ("US-CA", "US"), ("", "DE"), ("Germany", "DE"), ("EU", "DE"), ("DEU", "DE")],
)
def test_the_country_of_a_jurisdiction(jurisdiction: str, country: str) -> None:
    assert Policy().country(jurisdiction) == country


def test_what_a_jurisdiction_requires() -> None:
    assert Policy().jurisdiction("AT").double_opt_in_required
    assert not Policy().jurisdiction("FR").double_opt_in_required
    assert not Policy(unnamed_jurisdiction="US").jurisdiction("").double_opt_in_required


def test_blocked_domains_take_their_subdomains_along() -> None:
    policy = Policy(blocked_domains=("rival.example",))
    assert policy.blocks("rival.example")
    assert policy.blocks("mail.rival.example")
    assert not policy.blocks("arrival.example")
    assert not policy.blocks("")


def test_loading_a_policy_loads_nothing_heavy() -> None:
    code = "import sys, workbench.policy; print(sorted({'pydantic', 'sqlalchemy', 'idna', 'json'} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
