"""Individuals, contact point type consents and the Consent API over real HTTP."""

import pytest


@pytest.fixture
def individual(api):
    def make(**values):
        return api("POST", "sobjects/Individual", json={"LastName": "Consenting", **values}).json()["id"]

    return make


@pytest.fixture
def consent(api):
    def make(party, status="OptOut", **values):
        body = {"Name": "E-mail", "PartyId": party, "ContactPointType": "Email", "PrivacyConsentStatus": status, **values}
        return api("POST", "sobjects/ContactPointTypeConsent", json=body).json()["id"]

    return make


def asked(api, *ids, path="consent/action/email", **params):
    reply = api("GET", path, params={"ids": ",".join(ids), **params})
    assert reply.status_code == 200, reply.text
    return reply.json()


def email(api, *ids, **params):
    """The answers for e-mail, by what was asked."""
    return {k: v["proceed"]["email"] for k, v in asked(api, *ids, **params).items()}


def test_the_shape_with_texts_for_booleans(api, lead):
    out, free = lead(HasOptedOutOfEmail=True), lead()
    found = asked(api, out, free)
    assert found[out] == {"result": "Success", "proceed": {"email": "false", "emailResult": "Success"}}
    assert found[free]["proceed"]["email"] == "true"


def test_by_address_the_strictest_record_wins_and_nobody_is_false(api, lead):
    lead(Email="both@example.com")
    assert email(api, "BOTH@example.com", "nobody@example.com") == {"BOTH@example.com": "true", "nobody@example.com": "false"}
    api("POST", "sobjects/Contact", json={"LastName": "Both", "Email": "both@example.com", "HasOptedOutOfEmail": True})
    assert email(api, "both@example.com") == {"both@example.com": "false"}


def test_another_record_of_the_individual_counts_with_the_same_address_only(api, lead, individual):
    party = individual()
    here = lead(Email="same@example.com", IndividualId=party)
    other = lead(Email="other@example.com", IndividualId=party, HasOptedOutOfEmail=True)
    assert email(api, here) == {here: "true"}
    api("PATCH", f"sobjects/Lead/{other}", json={"Email": "same@example.com"})
    assert email(api, here) == {here: "false"}


def test_converted_leads_are_ignored(org, api, lead):
    record_id = lead(Email="was.lead@example.com", HasOptedOutOfEmail=True)
    contact = org.control("/convert", {"id": record_id})["contact"]
    org.control("/write", {"object": "Contact", "id": contact, "values": {"HasOptedOutOfEmail": False}})
    assert email(api, record_id, "was.lead@example.com") == {record_id: "false", "was.lead@example.com": "true"}


def test_a_type_consent_vetoes_while_it_is_in_effect(api, lead, individual, consent):
    party = individual()
    record_id = lead(IndividualId=party)
    dates = {"EffectiveFrom": "2026-11-01T00:00:00Z", "EffectiveTo": "2026-11-03T00:00:00Z"}
    consent_id = consent(party, **dates)
    assert email(api, record_id) == {record_id: "false"}
    for at, answer in (
        ("2026-10-31T23:59:59Z", "true"),
        ("2026-11-02T00:00:00+01:00", "false"),
        ("2026-11-03T00:00:00Z", "true"),
    ):
        assert email(api, record_id, datetime=at) == {record_id: answer}, at
    (row,) = api.query(f"SELECT Id, Party.Name, EffectiveTo FROM ContactPointTypeConsent WHERE PartyId = '{party}'")
    assert (row["Id"], row["Party"]["Name"]) == (consent_id, "Consenting")
    assert api("DELETE", f"sobjects/ContactPointTypeConsent/{consent_id}").status_code == 204
    assert email(api, record_id) == {record_id: "true"}


def test_clearing_the_flag_leaves_the_consent(api, lead, individual, consent):
    party = individual()
    record_id = lead(IndividualId=party, HasOptedOutOfEmail=True)
    consent(party)
    api("PATCH", f"sobjects/Lead/{record_id}", json={"HasOptedOutOfEmail": False})
    assert email(api, record_id) == {record_id: "false"}


def test_explicit_consent(api, lead, individual, consent):
    party = individual()
    record_id = lead(IndividualId=party)
    policy = {"policy": "requireExplicitConsent"}
    assert email(api, record_id, **policy) == {record_id: "false"}
    consent(party, "OptIn")
    assert email(api, record_id, **policy) == {record_id: "true"}


def test_verbose_names_what_was_consulted(api, lead, individual, consent):
    party = individual()
    record_id = lead(IndividualId=party)
    consent_id = consent(party)
    assert asked(api, record_id, verbose="true")[record_id]["explanation"] == [
        {"objectConsulted": "Lead", "field": "HasOptedOutOfEmail", "recordId": record_id, "value": "false"},
        {"objectConsulted": "ContactPointTypeConsent", "status": "OptOut", "recordId": consent_id, "value": "false"},
    ]


def test_several_actions_and_all_ids_as_one(api, lead, individual):
    party = individual(HasOptedOutTracking=True)
    record_id = lead(IndividualId=party)
    found = asked(api, record_id, party, path="consent/multiaction", actions="email,track")
    expected = {"email": "true", "emailResult": "Success", "track": "false", "trackResult": "Success"}
    assert [found[i]["proceed"] for i in (record_id, party)] == [expected, expected]
    for ids, answer in (((record_id,), "true"), ((record_id, "nobody@example.com"), "false")):
        (one,) = asked(api, *ids, aggregatedConsent="true").values()
        assert one["proceed"]["email"] == answer


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("consent/action/email", "MISSING_ARGUMENT"),
        ("consent/action/email?ids=nonsense", "MALFORMED_ID"),
        ("consent/action/dance?ids=a@example.com", "INVALID_INPUT"),
        ("consent/multiaction?ids=a@example.com", "MISSING_ARGUMENT"),
        ("consent/action/email?ids=a@example.com&datetime=today", "INVALID_INPUT"),
        ("consent/action/email?ids=a@example.com&policy=x", "INVALID_INPUT"),
    ],
)
def test_refusals(api, path, code):
    reply = api("GET", path)
    assert (reply.status_code, reply.json()[0]["errorCode"]) == (400, code)


def test_the_party_of_a_consent_is_an_individual_and_stays(api, lead, individual, consent):
    body = {"Name": "x", "PartyId": lead(), "ContactPointType": "Email", "PrivacyConsentStatus": "OptIn"}
    assert api("POST", "sobjects/ContactPointTypeConsent", json=body).json()[0]["errorCode"] == "MALFORMED_ID"
    consent_id = consent(individual())
    reply = api("PATCH", f"sobjects/ContactPointTypeConsent/{consent_id}", json={"PartyId": individual()})
    assert reply.json()[0]["errorCode"] == "INVALID_FIELD_FOR_INSERT_UPDATE"
