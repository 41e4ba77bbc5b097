"""The other logins over real HTTP, with simple-salesforce as the independent client and cryptography as the signer."""

import time
from collections.abc import Iterator

import jwt
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import SalesforceAuthenticationFailed

from workbench.scratch_org import ScratchOrg, ScratchOrgError, start_scratch_org

from .conftest import ToHttp

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
PASSWORD = "correct horse & <battery>"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


def private(key) -> str:
    none = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, none).decode()


@pytest.fixture(scope="module")
def fresh() -> Iterator[ScratchOrg]:
    with start_scratch_org() as org:
        yield org


@pytest.fixture
def username(fresh: ScratchOrg) -> str:
    order = {"user": "Ida Åkesson", "password": PASSWORD, "public_key": pem(KEY)}
    return str(fresh.control("/credentials", order)["username"])


def login(org: ScratchOrg, **more) -> Salesforce:
    session = requests.Session()
    session.mount("https://", ToHttp(org.url))
    return Salesforce(**{"session": session, "version": "64.0", **more})


def asked(org: ScratchOrg, **form):
    reply = requests.post(f"{org.url}/services/oauth2/token", form, timeout=10)
    return reply.status_code, reply.json()


def assertion(org: ScratchOrg, username: str, key=KEY, algorithm="RS256", **more) -> str:
    claims = {"iss": org.client_id, "sub": username, "aud": "https://login.salesforce.com", "exp": int(time.time()) + 180}
    return jwt.encode(claims | more, key, algorithm=algorithm)


def whoami(org: ScratchOrg, token: str) -> str:
    headers = {"Authorization": f"Bearer {token}"}
    return requests.get(f"{org.url}/services/oauth2/userinfo", headers=headers, timeout=10).json()["preferred_username"]


def test_nothing_works_before_an_administrator_allows_it():
    with start_scratch_org() as org:
        mine = {"client_id": org.client_id, "client_secret": org.client_secret}
        assert asked(org, grant_type="password", username="x", password="", **mine)[1]["error"] == "unsupported_grant_type"
        status, body = asked(org, grant_type=GRANT, assertion=assertion(org, "workbench.integration@scratch.example.com"))
        assert (status, body["error"]) == (400, "invalid_grant")


def test_a_signed_assertion(fresh, username):
    status, body = asked(fresh, grant_type=GRANT, assertion=assertion(fresh, username))
    assert status == 200
    assert (body["token_type"], body["instance_url"]) == ("Bearer", fresh.url)
    assert whoami(fresh, body["access_token"]) == username


def test_simple_salesforce_signs(fresh, username):
    found = login(fresh, username=username, consumer_key=fresh.client_id, privatekey=private(KEY))
    assert found.query("SELECT COUNT() FROM Organization")["totalSize"] == 1


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"key": OTHER}, "invalid assertion"),
        ({"key": "shared secret of thirty-two bytes", "algorithm": "HS256"}, "invalid assertion"),
        ({"key": None, "algorithm": "none"}, "invalid assertion"),
        ({"exp": "soon"}, "invalid assertion"),
        ({"exp": int(time.time()) - 1}, "expired authorization code"),
        ({"iss": "somebody else"}, "client identifier invalid"),
        ({"aud": "https://login.example.com"}, "audience is invalid"),
        ({"sub": "nobody@example.com"}, "user hasn't approved this consumer"),
    ],
)
def test_a_wrong_assertion_is_an_invalid_grant(fresh, username, change, sentence):
    kept = {k: v for k, v in change.items() if k not in ("key", "algorithm", "exp")}
    made = {"key": change.get("key", KEY), "algorithm": change.get("algorithm", "RS256")}
    if isinstance(change.get("exp"), int):
        kept["exp"] = change["exp"]
    text = assertion(fresh, username, **made, **kept)
    if change.get("exp") == "soon":
        text = f"{text[:-4]}AAAA"
    assert asked(fresh, grant_type=GRANT, assertion=text) == (400, {"error": "invalid_grant", "error_description": sentence})


@pytest.mark.parametrize("text", ["", "a.b.c", "only one part", "e30.e30.e30", "W10.W10.W10"])
def test_what_is_no_assertion(fresh, username, text):
    assert asked(fresh, grant_type=GRANT, assertion=text)[1]["error_description"] == "invalid assertion"


@pytest.mark.parametrize(
    "key", ["nonsense", pem(ec.generate_private_key(ec.SECP256R1())), pem(KEY)[:80] + "\n-----END PUBLIC KEY-----"]
)
def test_a_wrong_key_is_refused(fresh, key):
    with pytest.raises(ScratchOrgError, match="public_key"):
        fresh.control("/credentials", {"public_key": key})


def test_username_and_password(fresh, username):
    mine = {"client_id": fresh.client_id, "client_secret": fresh.client_secret, "grant_type": "password", "username": username}
    status, body = asked(fresh, password=PASSWORD, **mine)
    assert status == 200
    assert whoami(fresh, body["access_token"]) == username
    assert asked(fresh, password="wrong", **mine)[1]["error"] == "invalid_grant"
    assert asked(fresh, password=PASSWORD, **{**mine, "client_secret": "x"})[1]["error"] == "invalid_client"


def test_soap_login(fresh, username):
    found = login(fresh, username=username, password=PASSWORD, security_token="", version="59.0")
    assert found.query("SELECT COUNT() FROM Organization")["totalSize"] == 1
    found = login(fresh, username=username, password=PASSWORD, organizationId=fresh.org_id, version="64.0")
    assert found.sf_instance == fresh.url.removeprefix("http://")


@pytest.mark.parametrize(
    ("password", "version", "code"), [("wrong", "64.0", "INVALID_LOGIN"), (PASSWORD, "65.0", "INVALID_OPERATION")]
)
def test_soap_refusals(fresh, username, password, version, code):
    with pytest.raises(SalesforceAuthenticationFailed) as caught:
        login(fresh, username=username, password=password, security_token="", version=version)
    assert caught.value.code == code


@pytest.mark.parametrize("body", ["", "<a/>", "<!DOCTYPE a><login/>"])
def test_soap_that_is_no_login(fresh, body):
    reply = requests.post(f"{fresh.url}/services/Soap/u/60.0", body, headers={"Content-Type": "text/xml"}, timeout=10)
    assert reply.status_code == 500
    assert "<faultcode>sf:INVALID_OPERATION</faultcode>" in reply.text


def test_soap_logout_ends_the_session(fresh):
    token = fresh.control("/tokens", {"user": "Olga Admin"})["access_token"]
    body = f'<e:Envelope xmlns:e="e"><e:Header><sessionId>{token}</sessionId></e:Header><e:Body><logout/></e:Body></e:Envelope>'
    replies = [requests.post(f"{fresh.url}/services/Soap/u/{v}", body, timeout=10) for v in ("59.0", "65.0")]
    assert "<logoutResponse/>" in replies[0].text
    assert "<faultcode>sf:INVALID_SESSION_ID</faultcode>" in replies[1].text


def test_what_the_org_offers(fresh, username):
    assert {v["version"] for v in requests.get(f"{fresh.url}/services/data/", timeout=10).json()} >= {"59.0", "64.0"}
    names = [s["name"] for s in login(fresh, instance_url=fresh.url, session_id=fresh.access_token).describe()["sobjects"]]
    assert {"Lead", "Contact", "Account", "User", "Organization"} <= set(names)
