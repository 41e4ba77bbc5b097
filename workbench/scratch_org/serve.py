"""The process: one org, two ports, one JSON line when it is ready."""

import asyncio
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from . import logins
from .loading import load, read_lines
from .org import API_VERSION, Org
from .people import generate_people
from .web import ApiDoor, ControlDoor, Transports

_LOG = logging.getLogger("scratch_org")
_TURN = 0.0005  # seconds: requests must not wait long for the thread of a query job


@dataclass(frozen=True)
class Options:
    """What an org is started with. Ports of 0 are chosen by the system; ``clock`` is aware."""

    port: int = 0
    control_port: int = 0
    data: Path | None = None
    people: int = 0
    seed: int = 0
    database: Path | None = None
    clock: datetime | None = None
    user: str = "Workbench Integration"
    until_stdin_closes: bool = False


def prepared(options: Options) -> Org:
    """The org with its records; a database that was filled before isn't filled again.

    Raises:
        ValueError, OSError: the data can't be loaded.
    """
    org = Org(database=options.database, clock=options.clock, user=options.user)
    if org.tables.setting("filled") is None:
        if options.people:
            load(org, generate_people(options.people, options.seed, org.clock.now()))
        if options.data:
            load(org, read_lines(options.data))
        org.tables.create_indexes()
        org.tables.keep("filled", "yes")
    org.move_clock()
    return org


def serve(options: Options, *, ready: Callable[[dict[str, str]], None] | None = None) -> None:
    """Serve an org until it is stopped by the control port, SIGINT or SIGTERM.

    ``ready`` gets the start-up facts (url, control_url, client_id, client_secret, access_token, api_version, org_id);
    by default they are printed on stdout as one JSON line.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="scratch org: %(message)s")
    org = prepared(options)
    sys.setswitchinterval(_TURN)
    api, control = _bound(options.port), _bound(options.control_port)
    org.address = _address(api)
    facts = {
        "url": org.address,
        "control_url": _address(control),
        "client_id": org.client_id,
        "client_secret": org.client_secret,
        "access_token": org.new_token(),
        "api_version": API_VERSION,
        "org_id": org.org_id,
    }
    login = logins.keep(facts)
    try:
        asyncio.run(_serve(org, (api, control), lambda: (ready or _print)(facts), options))
    finally:
        if login:
            login.unlink(missing_ok=True)


async def _serve(org: Org, sockets: tuple[socket.socket, socket.socket], ready: Callable[[], None], options: Options) -> None:
    transports: Transports = {}
    stopped = asyncio.Event()
    doors = (ApiDoor(org, transports), ControlDoor(org, stopped.set))
    servers = [_Server(_config(door, transports)) for door in doors]
    running = [asyncio.create_task(s.serve(sockets=[sock])) for s, sock in zip(servers, sockets, strict=True)]
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    if options.until_stdin_closes:
        loop.add_reader(sys.stdin.fileno(), _read_stdin, stopped)
    while not all(s.started for s in servers):
        await asyncio.sleep(0.005)
    ready()
    await stopped.wait()
    for server in servers:
        server.should_exit = True
    await asyncio.gather(*running)
    org.close()


def _read_stdin(stopped: asyncio.Event) -> None:
    """The starting process holds the other end: when it is gone, for whatever reason, this one ends too."""
    if not os.read(sys.stdin.fileno(), 4096):
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        stopped.set()


class _Server(uvicorn.Server):
    """A server without signal handling of its own, since there are two in this process."""

    def capture_signals(self) -> Any:
        from contextlib import nullcontext

        return nullcontext()


def _config(app: Any, transports: Transports) -> uvicorn.Config:
    class Protocol(H11Protocol):
        """Remembers its connection, so that it can be reset."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
            super().connection_made(transport)
            self.peer = transport.get_extra_info("peername")
            transports[self.peer] = transport

        def connection_lost(self, exc: Exception | None) -> None:
            transports.pop(self.peer, None)
            super().connection_lost(exc)

    return uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=2,
        timeout_keep_alive=75,
    )


def _bound(port: int) -> socket.socket:
    # The protocol is named so that asyncio switches off Nagle's delay on accepted connections.
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", port))
    return sock


def _address(sock: socket.socket) -> str:
    return f"http://127.0.0.1:{sock.getsockname()[1]}"


def _print(facts: dict[str, str]) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()
