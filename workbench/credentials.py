"""Credentials for the org: from the environment, else the operating system's keyring; never from a file of the workspace.

A scratch org leaves its own where its user finds them.
"""

from __future__ import annotations

import json
import os

from workbench.errors import SettingsError
from workbench.org import OrgIdentity
from workbench.salesforce import OrgCredentials, SalesforceOrg
from workbench.scratch_org import logins
from workbench.settings import KEYRING_SERVICE, OrgSettings


def credentials_for(org: OrgSettings) -> OrgCredentials:
    """What to log in with. Without any, the first request to Salesforce says what is missing.

    Raises:
        SettingsError: the keyring holds something that can't be read.
    """
    client_id, secret = os.environ.get("WORKBENCH_CLIENT_ID", ""), os.environ.get("WORKBENCH_CLIENT_SECRET", "")
    token = os.environ.get("WORKBENCH_ACCESS_TOKEN", "")
    if not (token or (client_id and secret)):
        client_id, secret = logins.find(org.url) if org.kind == "scratch" else _kept(org)
    return OrgCredentials(url=org.url, client_id=client_id, client_secret=secret, access_token=token, api_version=org.api_version)


def keep_credentials(org: OrgSettings, *, client_id: str, client_secret: str) -> OrgIdentity:
    """Try credentials, and keep them in the keyring when the org accepts them.

    Raises:
        OrgAuthenticationError: not accepted; nothing was kept.
        SettingsError: there is no keyring to keep them in.
    """
    credentials = OrgCredentials(url=org.url, client_id=client_id, client_secret=client_secret, api_version=org.api_version)
    with SalesforceOrg(credentials, opt_out_fields=org.opt_out_fields) as connection:
        identity = connection.identity()
    import keyring
    from keyring.errors import KeyringError

    try:
        keyring.set_password(KEYRING_SERVICE, org.url, json.dumps([client_id, client_secret]))
    except KeyringError:
        raise SettingsError(
            "this computer has no keyring to keep the credentials in",
            "Set WORKBENCH_CLIENT_ID and WORKBENCH_CLIENT_SECRET instead.",
        ) from None
    return identity


def _kept(org: OrgSettings) -> tuple[str, str]:
    import keyring
    from keyring.errors import KeyringError

    try:
        kept = keyring.get_password(KEYRING_SERVICE, org.url)
        client_id, secret = json.loads(kept) if kept else ("", "")
    except KeyringError:
        return "", ""  # no keyring on this machine: the environment is the only place
    except (ValueError, TypeError):
        raise SettingsError(
            "the keyring's entry for this org can't be read", "Log in again with `workbench org login`."
        ) from None
    return str(client_id), str(secret)
