"""Long work off the kernel's thread: one worker, one queue, so that the kernel stays free and Pause can be pressed.

The worker thread never touches a widget: it puts what happens into the queue, and the kernel's own thread takes it out.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from workbench.panels.language import _


class Progress(Protocol):
    """How far some work is, as the Workbench tells it."""

    done: int
    total: int
    sentence: str


@dataclass(frozen=True)
class Ended:
    """The last thing in the queue: a result, or what was raised."""

    result: Any = None
    error: Exception | None = None


Task = Callable[[Callable[[Any], None]], Any]
"""Work that is handed a function to tell its progress to."""


class Work:
    """Runs one task at a time; ``on_progress`` and ``on_end`` are called on the thread that started it, or that waits."""

    def __init__(self, *, on_progress: Callable[[Any], None], on_end: Callable[[Ended], None]) -> None:
        """Nothing runs yet."""
        self._on_progress, self._on_end = on_progress, on_end
        self._told: queue.Queue[Any] = queue.Queue()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.started = 0.0

    @property
    def running(self) -> bool:
        """Whether a task has not been seen to end."""
        return self._thread is not None

    def start(self, task: Task) -> None:
        """Start a task in its own thread.

        Raises:
            RuntimeError: one is running already.
        """
        if self.running:
            raise RuntimeError("one task at a time")
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            self._loop = None  # no kernel: whoever started it waits
        self.started = time.monotonic()
        # Not a daemon: closing the kernel lets a batch reach its next safe point instead of cutting it off.
        self._thread = threading.Thread(target=self._do, args=(task,), name="workbench-panel")
        self._thread.start()

    def _do(self, task: Task) -> None:
        try:
            ended = Ended(result=task(self._tell))
        except Exception as error:  # noqa: BLE001 - every end has to reach the screen
            ended = Ended(error=error)
        self._tell(ended)

    def _tell(self, what: Any) -> None:
        self._told.put(what)
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.drain)

    def drain(self) -> None:
        """Hand on what the worker has told so far; of several progresses only the last."""
        progress, ended = None, None
        while not self._told.empty():
            told = self._told.get()
            progress, ended = (progress, told) if isinstance(told, Ended) else (told, ended)
        if progress is not None:
            self._on_progress(progress)
        if ended is not None:
            self._thread = None
            self._on_end(ended)

    def wait(self, timeout: float = 600) -> None:
        """Stay until the task has ended and everything was handed on: for scripts and tests, a kernel does not need it.

        Raises:
            TimeoutError: it has not ended in ``timeout`` seconds.
        """
        thread = self._thread
        if thread is not None:
            thread.join(timeout)
            if thread.is_alive():
                raise TimeoutError("the work has not ended")
        self.drain()


def time_left(done: int, total: int, seconds: float) -> str:
    """How long the rest will take at the pace so far, in words; nothing while that can't be told."""
    if not 0 < done < total or seconds < 1:
        return ""
    left = seconds / done * (total - done)
    return (
        _("about {seconds} s left", seconds=round(left)) if left < 90 else _("about {minutes} min left", minutes=round(left / 60))
    )
