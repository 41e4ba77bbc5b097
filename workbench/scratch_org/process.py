"""A scratch org as a child process: start it, talk to its control port, stop it."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

NOT_ITS_OWN = ("WORKBENCH_", "JUPYTER", "JPY_", "VOILA_", "QUERY_STRING", "PG")
"""How the variables begin in which whoever starts it may keep logins for other servers."""


class ScratchOrgError(RuntimeError):
    """The org didn't start, or its control port refused an order."""


class ScratchOrg:
    """A running scratch org; as a context manager it is stopped at the end.

    The child ends with this process, however that ends: it holds the reading end of a pipe and stops when that closes.
    """

    def __init__(self, process: "subprocess.Popen[str]", facts: dict[str, str]) -> None:
        self.process = process
        self.url = facts["url"]
        self.control_url = facts["control_url"]
        self.client_id = facts["client_id"]
        self.client_secret = facts["client_secret"]
        self.access_token = facts["access_token"]
        self.api_version = facts["api_version"]
        self.org_id = facts["org_id"]

    def control(self, path: str, payload: dict[str, Any] | None = None) -> dict[str, Any]:
        """POST ``payload`` to the control port, or GET without one; returns its reply.

        Raises:
            ScratchOrgError: the order was refused, with its sentence.
        """
        data = None if payload is None else json.dumps(payload).encode()
        request = urllib.request.Request(self.control_url + path, data, {"Content-Type": "application/json"})  # noqa: S310 - http on this machine
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as reply:
                found: dict[str, Any] = json.load(reply)
        except urllib.error.HTTPError as error:
            with error:
                raise ScratchOrgError(f"{path}: {json.load(error).get('error')}") from None
        return found

    def stop(self) -> None:
        """End the process; does nothing when it has ended."""
        if self.process.stdin and not self.process.stdin.closed:
            self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()

    def kill(self) -> None:
        """End the process at once, as a power cut would."""
        self.process.kill()
        self.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<ScratchOrg {self.url}>"


def start_scratch_org(
    *,
    people: int | None = None,
    seed: int = 0,
    data: Path | None = None,
    database: Path | None = None,
    clock: datetime | None = None,
    arguments: Sequence[str] = (),
) -> ScratchOrg:
    """Start ``python -m workbench.scratch_org`` and wait until it is ready.

    Raises:
        ScratchOrgError: it ended before it was ready; its own sentence is on stderr.
    """
    options = {"--people": people, "--seed": seed, "--data": data, "--database": database}
    given: list[str] = []
    for name, value in options.items():
        if value is not None:
            given += [name, str(value.resolve() if isinstance(value, Path) else value)]
    if clock is not None:
        given += ["--clock", clock.isoformat()]
    process = subprocess.Popen(  # noqa: S603 - our own module by our own interpreter
        [sys.executable, "-m", "workbench.scratch_org", "--until-stdin-closes", *given, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={name: value for name, value in os.environ.items() if not name.startswith(NOT_ITS_OWN)},
        cwd=Path(__file__).parents[2],
    )
    line = process.stdout.readline() if process.stdout else ""
    if not line:
        process.communicate()
        raise ScratchOrgError(f"The scratch org ended with code {process.returncode} before it was ready")
    return ScratchOrg(process, json.loads(line))
