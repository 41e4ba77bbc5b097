"""Credentials for the org: from the environment, else the operating system's keyring; never from a file of the workspace.

A scratch org leaves its own where its user finds them.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from typing import Any

from workbench.environment import ORG_KEY_FILE, ORG_LOGIN
from workbench.errors import InputError, SettingsError
from workbench.org import OrgIdentity, OrgUnreachableError
from workbench.salesforce import OrgCredentials, Route, SalesforceOrg
from workbench.salesforce.transport import origin_of
from workbench.scratch_org import logins
from workbench.settings import KEYRING_SERVICE, OrgSettings

ACCESS_TOKEN = re.compile(r"00D[A-Za-z0-9]{9,15}![!-~]+")


def credentials_for(org: OrgSettings) -> OrgCredentials:
    """What to log in with. Without any, the first request to Salesforce says what is missing.

    Of several kinds in the environment the first counts: token, private key, client id and secret, user name and password. The last
    is legacy, and is never kept anywhere.

    Raises:
        SettingsError: the keyring holds something that can't be read, or a private key is named without client and user.
        OrgUnreachableError: no scratch org of this computer runs at the workspace's address.
    """
    env = {name: os.environ.get(f"WORKBENCH_{name}", "") for name in ORG_LOGIN}
    key_file = os.environ.get(ORG_KEY_FILE, "")
    given = OrgCredentials(
        url=org.url,
        client_id=env["CLIENT_ID"],
        client_secret=env["CLIENT_SECRET"],
        access_token=env["ACCESS_TOKEN"],
        username=env["USERNAME"],
        key_file=key_file,
        api_version=org.api_version,
    )
    if key_file and not (given.client_id and given.username):
        raise SettingsError(
            f"{ORG_KEY_FILE} names a private key, but not who logs in with it",
            "Set WORKBENCH_CLIENT_ID and WORKBENCH_USERNAME, too.",
        )
    if given.access_token or key_file or (given.client_id and given.client_secret):
        return given if key_file else replace(given, username="")
    if env["PASSWORD"] and given.username:
        return replace(given, client_id="", client_secret="", password=env["PASSWORD"], security_token=env["SECURITY_TOKEN"])
    kept = _of_scratch_org(org.url) if org.kind == "scratch" else _kept(org)
    return replace(given, **{"client_id": "", "client_secret": "", "username": "", **kept})


def _of_scratch_org(url: str) -> dict[str, str]:
    client_id, client_secret = logins.find(url)
    if not client_id:
        raise OrgUnreachableError(
            f"No scratch org is running at {url}.",
            "Start one with `workbench scratch-org serve`, and see `url` in workbench.toml.",
        )
    return {"client_id": client_id, "client_secret": client_secret}


def route_of(org: OrgSettings) -> Route:
    """How the org is reached from this network."""
    return Route(proxy=org.proxy, ca_file=org.ca_file)


def keep_credentials(org: OrgSettings, *, client_id: str, client_secret: str) -> OrgIdentity:
    """Try credentials, and keep them in the keyring when the org accepts them.

    Raises:
        OrgAuthenticationError: not accepted; nothing was kept.
        SettingsError: there is no keyring to keep them in.
    """
    credentials = OrgCredentials(url=org.url, client_id=client_id, client_secret=client_secret, api_version=org.api_version)
    return _tried_and_kept(
        org, credentials, [client_id, client_secret], instead="WORKBENCH_CLIENT_ID and WORKBENCH_CLIENT_SECRET"
    )


def keep_token(org: OrgSettings, text: str) -> OrgIdentity:
    """Try an access token as ``sf org display --json`` prints it (or the bare token), and keep it in the keyring until it expires.

    Raises:
        InputError: there is no token in it, or it is another org's; it is not quoted.
        OrgAuthenticationError: not accepted; nothing was kept.
        SettingsError: there is no keyring to keep it in.
    """
    token = _token_in(org, text)
    credentials = OrgCredentials(url=org.url, access_token=token, api_version=org.api_version)
    return _tried_and_kept(org, credentials, {"access_token": token}, instead="WORKBENCH_ACCESS_TOKEN")


def _token_in(org: OrgSettings, text: str) -> str:
    """The token of what the Salesforce CLI printed. Source: `sf org display --json`, Salesforce CLI Command Reference."""
    try:
        said: Any = json.loads(text)
    except ValueError:
        said = text.strip()
    result = said.get("result") if isinstance(said, dict) else {"accessToken": said}
    result = result if isinstance(result, dict) else {}
    token, instance = str(result.get("accessToken", "")), result.get("instanceUrl")
    if not ACCESS_TOKEN.fullmatch(token):
        raise InputError(
            "there is no access token in what was handed in",
            "Run `sf org display --json --target-org NAME | workbench org login --token`; newer versions of sf hide the token there"
            " and print it with `sf org auth show-access-token --json`.",
        )
    if isinstance(instance, str) and origin_of(instance) != origin_of(org.url):
        raise InputError("the token belongs to another org than this workspace", "Name the right org with --target-org.")
    return token


def _tried_and_kept(org: OrgSettings, credentials: OrgCredentials, value: object, *, instead: str) -> OrgIdentity:
    with SalesforceOrg(credentials, opt_out_fields=org.opt_out_fields, route=route_of(org)) as connection:
        identity = connection.identity()
    import keyring
    from keyring.errors import KeyringError

    try:
        keyring.set_password(KEYRING_SERVICE, org.url, json.dumps(value))
    except KeyringError:
        raise SettingsError("this computer has no keyring to keep the credentials in", f"Set {instead} instead.") from None
    return identity


def _kept(org: OrgSettings) -> dict[str, str]:
    import keyring
    from keyring.errors import KeyringError

    try:
        kept = keyring.get_password(KEYRING_SERVICE, org.url)
        found = json.loads(kept) if kept else {}
        if isinstance(found, dict):
            return {"access_token": str(found["access_token"])} if found else {}
        client_id, secret = found
    except KeyringError:
        return {}  # no keyring on this machine: the environment is the only place
    except (LookupError, ValueError, TypeError):
        raise SettingsError(
            "the keyring's entry for this org can't be read", "Log in again with `workbench org login`."
        ) from None
    return {"client_id": str(client_id), "client_secret": str(secret)}
