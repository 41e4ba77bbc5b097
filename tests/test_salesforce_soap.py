"""The legacy login by user name and password: against a scratch org's SOAP login, and its answers as values."""

from __future__ import annotations

import json
import threading
import traceback
from collections.abc import Iterator

import pytest

from workbench.cli.app import run
from workbench.credentials import credentials_for
from workbench.org import OrgAuthenticationError, OrgError, OrgNotAllowedError, OrgUnreachableError
from workbench.salesforce import OrgCredentials, Patience, SalesforceOrg, check_org, soap
from workbench.salesforce.replies import NO_ANSWER, Reply
from workbench.scratch_org.process import ScratchOrg, start_scratch_org
from workbench.settings import OrgSettings

PASSWORD, TOKEN = "pass<&>w\u00f6rd-canary", "token-canary"
QUICK = Patience(sleep=lambda _: None)


@pytest.fixture(scope="module")
def running() -> Iterator[ScratchOrg]:
    with start_scratch_org(people=3) as scratch:
        yield scratch


@pytest.fixture
def scratch(running: ScratchOrg) -> Iterator[ScratchOrg]:
    yield running
    running.control("/faults", {"clear": True})


@pytest.fixture
def credentials(scratch: ScratchOrg) -> OrgCredentials:
    username = scratch.control("/credentials", {"password": PASSWORD + TOKEN})["username"]
    return OrgCredentials(url=scratch.url, username=username, password=PASSWORD, security_token=TOKEN)


def logins(scratch: ScratchOrg) -> int:
    return sum("/services/Soap/u/" in r["path"] for r in scratch.control("/requests")["requests"])


def test_it_logs_in_and_says_that_this_way_ends(scratch: ScratchOrg, credentials: OrgCredentials) -> None:
    with SalesforceOrg(credentials, patience=QUICK) as org:
        assert org.identity().user_id == scratch.control("/state")["user"]
        warnings = [line for line in check_org(org) if not line.ok and "Summer '27" in line.sentence]
    assert [line.blocking for line in warnings] == [False]
    assert "canary" not in repr(credentials)


def test_a_version_without_the_login_logs_in_by_the_newest_that_has_it() -> None:
    assert (soap.path("62.0"), soap.path("64.0"), soap.path("65.0"), soap.path("101.0")) == (
        "/services/Soap/u/62.0",
        "/services/Soap/u/64.0",
        "/services/Soap/u/64.0",
        "/services/Soap/u/64.0",
    )


def test_an_expired_session_is_renewed_once_for_many_threads(scratch: ScratchOrg, credentials: OrgCredentials) -> None:
    with SalesforceOrg(credentials, patience=QUICK) as org:
        org.count("Lead")
        before = logins(scratch)
        scratch.control("/tokens", {"expire": True})
        threads = [threading.Thread(target=org.count, args=("Lead",)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert logins(scratch) - before == 1


def test_a_wrong_password_is_tried_once_and_shows_nothing(scratch: ScratchOrg, credentials: OrgCredentials) -> None:
    wrong = OrgCredentials(url=scratch.url, username=credentials.username, password="wrong-canary")
    before = logins(scratch)
    with SalesforceOrg(wrong, patience=QUICK) as org, pytest.raises(OrgAuthenticationError) as caught:
        org.count("Lead")
    assert str(caught.value) == "Salesforce did not accept the user name, password and security token (500 INVALID_LOGIN)."
    assert "lock the user out" in caught.value.advice
    assert logins(scratch) - before == 1
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value.__context__)
    assert "canary" not in shown
    assert credentials.username not in shown


def test_an_answer_that_breaks_off_shows_nothing(scratch: ScratchOrg, credentials: OrgCredentials) -> None:
    scratch.control("/faults", {"plan": [{"kind": "reset_before", "on": "POST /services/Soap", "times": 9}]})
    with SalesforceOrg(credentials, patience=QUICK) as org, pytest.raises(OrgUnreachableError) as caught:
        org.count("Lead")
    assert caught.value.__context__ is None
    assert "canary" not in "".join(traceback.format_exception(caught.value))


def answer(**elements: str) -> Reply:
    return Reply(status=200, body="".join(f"<{name}>{value}</{name}>" for name, value in elements.items()))


def test_what_an_answer_says() -> None:
    given = answer(
        sessionId="00Dxx!AQ&amp;", serverUrl="https://acme.my.salesforce.com/services/Soap/u/64.0/00D", userId="005xx0000012345"
    )
    assert soap.logged_in(given) == ("00Dxx!AQ&", "https://acme.my.salesforce.com", "005xx0000012345")
    assert soap.logged_in(answer(sessionId="x", serverUrl="https://acme.my.salesforce.com/s", userId="canary"))[2] == ""


@pytest.mark.parametrize(
    ("reply", "kind", "sentence"),
    [
        (NO_ANSWER, OrgUnreachableError, "no usable answer"),
        (Reply(status=200, body="<html>canary</html>"), OrgError, "no usable answer"),
        (Reply(status=503, body="<html>canary</html>"), OrgUnreachableError, "no usable answer"),
        (
            Reply(status=500, body="<sf:exceptionCode>INVALID_OPERATION</sf:exceptionCode>canary"),
            OrgAuthenticationError,
            "no login by",
        ),
        (
            Reply(status=500, body="<sf:exceptionCode>SERVER_UNAVAILABLE</sf:exceptionCode>canary"),
            OrgUnreachableError,
            "no usable",
        ),
        (Reply(status=500, body="<sf:exceptionCode>canary!</sf:exceptionCode>"), OrgUnreachableError, "no usable answer"),
    ],
)
def test_answers_without_a_session(reply: Reply, kind: type[OrgError], sentence: str) -> None:
    with pytest.raises(kind, match=sentence) as caught:
        soap.logged_in(reply)
    assert "canary" not in f"{caught.value}{caught.value.advice}"


def test_a_session_elsewhere_is_not_used(scratch: ScratchOrg, credentials: OrgCredentials) -> None:
    body = "<sessionId>x</sessionId><serverUrl>https://acme.my.salesforce.com/services/Soap</serverUrl>"
    assert soap.logged_in(Reply(status=200, body=body))[1] == "https://acme.my.salesforce.com"
    from workbench.salesforce.transport import Timeouts, bind_instance, bound_session

    session = bound_session(scratch.url, timeouts=Timeouts())
    with pytest.raises(OrgNotAllowedError, match="elsewhere"):
        bind_instance(session, login_url=scratch.url, instance_url="https://acme.my.salesforce.com", timeouts=Timeouts())


def test_the_environment_is_the_only_place(monkeypatch: pytest.MonkeyPatch) -> None:
    org = OrgSettings(kind="production", url="https://acme.my.salesforce.com")
    monkeypatch.setenv("WORKBENCH_USERNAME", "robot@example.com")
    monkeypatch.setenv("WORKBENCH_PASSWORD", PASSWORD)
    found = credentials_for(org)
    assert (found.username, found.password, found.security_token) == ("robot@example.com", PASSWORD, "")
    monkeypatch.setenv("WORKBENCH_SECURITY_TOKEN", TOKEN)
    assert credentials_for(org).security_token == TOKEN
    monkeypatch.setenv("WORKBENCH_CLIENT_ID", "id")
    monkeypatch.setenv("WORKBENCH_CLIENT_SECRET", "secret")
    found = credentials_for(org)  # a better way goes first
    assert (found.client_id, found.username, found.password) == ("id", "", "")


def test_every_command_that_logged_in_so_says_it(
    world, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = world()
    made.wb.close()
    username = made.org.control("/credentials", {"password": PASSWORD})["username"]
    monkeypatch.setenv("WORKBENCH_USERNAME", username)
    monkeypatch.setenv("WORKBENCH_PASSWORD", PASSWORD)
    assert run(["--workspace", str(made.folder), "org", "pull"]) == 0
    assert "Summer '27" in capsys.readouterr().err
    assert run(["--workspace", str(made.folder), "org", "check", "--format", "json"]) == 0
    shown = capsys.readouterr()
    assert any(line["level"] == "warn" and "Summer '27" in line["finding"] for line in json.loads(shown.out))
    assert "canary" not in shown.out + shown.err
    assert run(["--workspace", str(made.folder), "people"]) == 0
    assert "Summer '27" not in capsys.readouterr().err
