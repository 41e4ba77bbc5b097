"""Which workspace, which org, who is at the keyboard, what time it is: read once, then frozen.

A workspace is a folder with ``workbench.toml`` (no secrets), ``policy.toml``, the register and its evidence. Credentials come
from the environment or the operating system's keyring; a scratch org's are public and need neither.
"""

from __future__ import annotations

import getpass
import os
import re
import ssl
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from workbench.errors import SettingsError, WorkspaceError
from workbench.org import OPT_OUT_FIELD
from workbench.policy import Policy, load_policy, starting_policy

FILE = "workbench.toml"
POLICY_FILE = "policy.toml"
KEYRING_SERVICE = "compliance-workbench"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
MarkerName = Annotated[str, Field(pattern=r"^$|^[A-Za-z][A-Za-z0-9_]{0,60}__c$")]
FieldName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,60}$")]

NEW_SETTINGS = """\
# A compliance workbench's workspace. No secrets in this file: credentials come from `workbench org login` (the operating
# system's keyring) or from WORKBENCH_CLIENT_ID and WORKBENCH_CLIENT_SECRET.

[workspace]
name = "{name}"

[org]
# scratch: a local test org (workbench scratch-org serve); sandbox; production
kind = "{kind}"
url = "{url}"
opt_out_fields = [{fields}]
"""
REGISTER_SETTINGS = """
[register]
# the database that holds the register; its password comes from PGPASSWORD or ~/.pgpass
database = "{database}"
"""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class OrgSettings(_Part):
    """Which Salesforce org the workspace is bound to. ``url`` is the My Domain address, or a scratch org's on this machine."""

    kind: Literal["scratch", "sandbox", "production"]
    url: str
    opt_out_fields: list[FieldName] = Field(default=[OPT_OUT_FIELD], min_length=1)
    marker_field: MarkerName = ""  # a custom text field of Lead and Contact that is set to the intent's id with every clear
    checkpoint_object: MarkerName = ""  # a custom object whose records keep the trail's checkpoints, with
    checkpoint_field: MarkerName = ""  # its custom long text field (1,000 characters or more)
    api_version: Annotated[str, Field(pattern=r"^\d{2,3}\.0$")] = "64.0"
    proxy: str = ""  # of the company's network, such as http://proxy.example.com:3128
    ca_file: str = ""  # the authorities (PEM) of a network that looks into TLS, instead of the public ones
    daily_share: Annotated[float, Field(gt=0, le=1)] = 0.8  # of the org's daily API calls; above it nothing new is begun
    full_reading_days: Annotated[int, Field(ge=1, le=365)] = 7  # after so many days a pull reads everything, not only changes

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        parts = urlsplit(url)
        if url and (parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query):
            raise ValueError("must be an address such as https://yourcompany.my.salesforce.com")
        return url.rstrip("/")

    @field_validator("proxy")
    @classmethod
    def _is_a_proxy(cls, proxy: str) -> str:
        parts = urlsplit(proxy)
        if parts.username or parts.password:
            raise ValueError("must be without user and password: no secrets in this file")
        if proxy and (parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query):
            raise ValueError("must be an address such as http://proxy.example.com:3128")
        return proxy.rstrip("/")

    @field_validator("ca_file")
    @classmethod
    def _holds_certificates(cls, name: str) -> str:
        if name and not Path(name).is_absolute():
            raise ValueError("must be the full path of a file")
        try:
            if name:
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=name)
        except OSError:  # SSLError is one, too
            raise ValueError("names no file with certificates in PEM form that can be read") from None
        return name

    @field_validator("marker_field")
    @classmethod
    def _marks_nothing_else(cls, name: str, info: ValidationInfo) -> str:
        if name and name in info.data.get("opt_out_fields", ()):
            raise ValueError("must not be one of the opt-out fields")
        return name

    @model_validator(mode="after")
    def _checkpoints_have_a_place(self) -> OrgSettings:
        if bool(self.checkpoint_object) != bool(self.checkpoint_field):
            raise ValueError("checkpoint_object and checkpoint_field are named both, or neither")
        return self

    @model_validator(mode="after")
    def _kind_fits_address(self) -> OrgSettings:
        parts = urlsplit(self.url)
        local = parts.hostname in LOOPBACK
        if self.url and self.kind == "scratch" and not local:
            raise ValueError("a scratch org lives on 127.0.0.1 only")
        if (
            self.url
            and self.kind != "scratch"
            and (local or parts.scheme != "https" or not _salesforce_host(parts.hostname or ""))
        ):
            raise ValueError("a real org has an https address that ends in .salesforce.com")
        return self


class WorkspaceSettings(_Part):
    """What the workspace is called, and what its panels speak; the name is also the origin of its trail."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,80}$")]
    language: Literal["en", "de"] = "en"  # of the panels only; trail, reports and commands are English


class RegisterSettings(_Part):
    """Where the register lives; empty for ``register.db`` in the workspace."""

    database: str = ""


class EvidenceSettings(_Part):
    """How large an evidence file may be, in bytes."""

    largest_bytes: Annotated[int, Field(gt=0, le=1024**4)] = 50 * 1024 * 1024


class _File(_Part):
    workspace: WorkspaceSettings
    org: OrgSettings
    register_: RegisterSettings = Field(default=RegisterSettings(), alias="register")
    evidence: EvidenceSettings = EvidenceSettings()


@dataclass(frozen=True, kw_only=True)
class Operator:
    """Who is at the keyboard and how we know: ``os-user`` or ``jupyterhub``."""

    name: str
    auth: str


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One workspace's settings, read and checked."""

    folder: Path
    name: str
    org: OrgSettings
    policy: Policy
    database: str
    fixed_now: datetime | None
    largest_evidence: int = 50 * 1024 * 1024  # bytes
    language: str = "en"

    @property
    def evidence_folder(self) -> Path:
        """Where evidence files are kept under their digests."""
        return self.folder / "evidence"

    @property
    def issued_folder(self) -> Path:
        """Where issued reports are kept."""
        return self.folder / "issued"

    @property
    def clock(self) -> Callable[[], datetime]:
        """What time it is, UTC-aware; a fixed moment only where WORKBENCH_CLOCK says so on a scratch org."""
        fixed = self.fixed_now
        return (lambda: fixed) if fixed is not None else (lambda: datetime.now(UTC))


def _salesforce_host(host: str) -> bool:
    return re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)*\.salesforce\.com", host) is not None


def find_workspace(named: str | Path | None = None) -> Path:
    """The workspace's folder: the one named, else WORKBENCH_HOME, else the nearest one from here upwards.

    Raises:
        WorkspaceError: there is none.
    """
    if named or os.environ.get("WORKBENCH_HOME"):
        folder = Path(named or os.environ["WORKBENCH_HOME"]).resolve()
        if not (folder / FILE).is_file():
            raise WorkspaceError(f"the folder named as workspace holds no {FILE}")
        return folder
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / FILE).is_file():
            return folder
    raise WorkspaceError("there is no workspace here or in any folder above")


def read_settings(folder: Path) -> Settings:
    """Read and check a workspace's files.

    Raises:
        SettingsError: a file is missing, not TOML, or says something that it may not; the sentence names file and key.
    """
    file = _parsed(folder / FILE)
    policy_path = folder / POLICY_FILE
    policy = load_policy(_text(policy_path), name=POLICY_FILE) if policy_path.exists() else Policy()
    return Settings(
        folder=folder,
        name=file.workspace.name,
        org=file.org,
        policy=policy,
        database=file.register_.database or in_file(folder / "register.db"),
        fixed_now=_fixed_now(file.org.kind),
        largest_evidence=file.evidence.largest_bytes,
        language=file.workspace.language,
    )


def in_file(register: Path) -> str:
    """The address of a register that is kept in a file, whatever its folders are called: a ? would begin options there, a % an escape."""
    return f"sqlite:///{quote(register.as_posix(), safe='/:')}"


def named_after(folder: Path) -> str:
    """What a workspace is called when nobody says: after its folder, as far as a trail's origin may be spelt so."""
    spelt = re.sub(r"[^A-Za-z0-9._-]+", "-", folder.name).strip("._-")
    return spelt[:80] or "register"


def write_new(
    folder: Path,
    *,
    name: str,
    kind: str,
    url: str,
    controller: str,
    opt_out_fields: Sequence[str] = (OPT_OUT_FIELD,),
    database: str = "",
) -> None:
    """Write the files of a new workspace; folders are private to the operator. Without ``database`` the register is a file in it.

    Raises:
        WorkspaceError: the folder already is one, or can't be written.
        SettingsError: a value that a workspace's files can't have; nothing was written.
    """
    if (folder / FILE).exists():
        raise WorkspaceError("this folder already is a workspace", "Use it as it is, or name another folder.")
    fields = ", ".join(f'"{field}"' for field in opt_out_fields)
    text, policy = NEW_SETTINGS.format(name=name, kind=kind, url=url, fields=fields), starting_policy(controller)
    text += REGISTER_SETTINGS.format(database=database) if database else ""
    _checked(text, FILE)
    load_policy(policy, name=POLICY_FILE)
    try:
        for part in (folder, folder / "evidence", folder / "issued", folder / "notebooks"):
            part.mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / POLICY_FILE).write_text(policy, encoding="utf-8")
        (folder / FILE).write_text(text, encoding="utf-8")
    except OSError as error:
        raise WorkspaceError(
            f"the workspace can't be written ({error.strerror})", "Check the folder and its permissions."
        ) from None


def with_register(folder: Path, database: str) -> tuple[str, str]:
    """What ``workbench.toml`` says, and what it will say with the register in this database.

    Raises:
        SettingsError: the file names a database already.
    """
    before = _text(folder / FILE)
    if _checked(before, FILE).register_.database:
        raise SettingsError("workbench.toml names a database already", "Change `database` under [register] by hand.")
    after = re.sub(r"(?m)^\[register\]\s*\n", "", before).rstrip("\n") + "\n" + REGISTER_SETTINGS.format(database=database)
    _checked(after, FILE)
    return before, after


def rewrite(folder: Path, text: str) -> None:
    """Put another text into ``workbench.toml``, all of it or nothing."""
    beside = folder / f"{FILE}.new"
    beside.write_text(text, encoding="utf-8")
    beside.replace(folder / FILE)


def point_at(folder: Path, url: str) -> None:
    """Let a scratch workspace speak to a scratch org that listens elsewhere now.

    Raises:
        SettingsError: the workspace is bound to a real org.
    """
    if _parsed(folder / FILE).org.kind != "scratch":
        raise SettingsError("this workspace is bound to a real org", "Change [org] in workbench.toml by hand if that is meant.")
    text = re.sub(r'(?m)^url = ".*"$', f'url = "{url}"', _text(folder / FILE), count=1)
    rewrite(folder, text)


def whoami() -> Operator:
    """The operator: JupyterHub's user under a hub, else the operating system's user. Never a parameter."""
    hub = os.environ.get("JUPYTERHUB_USER") if os.environ.get("JUPYTERHUB_SERVICE_PREFIX") else None
    return Operator(name=hub, auth="jupyterhub") if hub else Operator(name=_os_user(), auth="os-user")


def _os_user() -> str:
    try:
        import pwd

        return pwd.getpwuid(os.getuid()).pw_name  # not getpass: that believes environment variables
    except (ImportError, KeyError):
        return getpass.getuser()


def _parsed(path: Path) -> _File:
    return _checked(_text(path), path.name)


def _checked(text: str, name: str) -> _File:
    try:
        return _File.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{name} is not valid TOML: {error}") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SettingsError(f"{name}: {where}: {first['msg']}") from None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise WorkspaceError(f"the workspace has no {path.name}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path.name} is not UTF-8 text") from None
    except OSError as error:
        raise WorkspaceError(f"{path.name} can't be read ({error.strerror})", "Check the file's permissions.") from None


def _fixed_now(kind: str) -> datetime | None:
    text = os.environ.get("WORKBENCH_CLOCK")
    if not text:
        return None
    if kind != "scratch":
        raise SettingsError(
            "WORKBENCH_CLOCK is set, but only a scratch org's workspace may have a fixed clock", "Unset WORKBENCH_CLOCK."
        )
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise SettingsError("WORKBENCH_CLOCK is not a moment such as 2026-11-02T09:00:00+00:00") from None
    if moment.tzinfo is None:
        raise SettingsError("WORKBENCH_CLOCK has no time zone", "Write it as 2026-11-02T09:00:00+00:00.")
    return moment.astimezone(UTC)
