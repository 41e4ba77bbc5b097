"""The environment variables that hold secrets, and an environment for processes that have no business with them."""

from __future__ import annotations

from collections.abc import Mapping

ORG_LOGIN = ("CLIENT_ID", "CLIENT_SECRET", "ACCESS_TOKEN", "USERNAME", "PASSWORD", "SECURITY_TOKEN")
"""What one logs in to Salesforce with, each after ``WORKBENCH_``."""
ORG_KEY_FILE = "WORKBENCH_JWT_KEY_FILE"

_ORG = {*(f"WORKBENCH_{name}" for name in ORG_LOGIN), ORG_KEY_FILE}
_REGISTER = {"PGPASSWORD"}  # libpq's own, which psycopg reads
_NOTEBOOKS = {"JUPYTER_TOKEN", "JUPYTER_GATEWAY_AUTH_TOKEN", "JUPYTERHUB_API_TOKEN", "JPY_API_TOKEN"}
_NOTEBOOKS |= {"QUERY_STRING", "VOILA_REQUEST_URL"}  # the address of a page as it was asked for, with a token in it at times


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """For a process that needs to log in nowhere: a browser that prints, a scheduler of the computer."""
    return {name: value for name, value in environment.items() if name not in _ORG | _REGISTER | _NOTEBOOKS}


def with_the_register_only(environment: Mapping[str, str]) -> dict[str, str]:
    """For a process that reads the register, and has no business with Salesforce or with the server of the notebooks."""
    return {name: value for name, value in environment.items() if name not in _ORG | _NOTEBOOKS}
