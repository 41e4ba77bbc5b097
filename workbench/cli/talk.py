"""What the command line says on stderr: sentences, progress, errors. Never an address: what looks like one is masked."""

from __future__ import annotations

import re
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workbench.errors import WorkbenchError
    from workbench.worker import Progress

ADDRESS = re.compile(r"[^\s<>()\"',;:=]+@[^\s<>()\"',;]+")
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
SECONDS_BETWEEN_LINES = 5.0


def say(text: str) -> None:
    """One piece of talk on stderr."""
    masked = ADDRESS.sub("(address)", text)
    sys.stderr.write(CONTROLS.sub("\ufffd", masked) + "\n")
    sys.stderr.flush()


def sentence(text: str) -> str:
    """A text with a capital at its start, unless it starts with a name such as policy.toml, and a full stop at its end."""
    text = text.strip()
    is_name = any(sign in text.partition(" ")[0].rstrip(":,") for sign in "._")
    return (text if is_name else text[:1].upper() + text[1:]) + ("" if text.endswith((".", "!", "?")) else ".")


def say_error(error: WorkbenchError) -> None:
    """What could not be done, and what to do about it."""
    say(f"workbench: {sentence(str(error))}\n  {sentence(error.advice)}")


def say_defect(error: BaseException, *, batch: bool) -> None:
    """An error that nobody foresaw: its kind and place, nothing of what it says, which may be a person's data."""
    resume = "; the batch can be continued with `workbench batch resume`" if batch else ""
    say(
        f"workbench: This is a defect: {type(error).__name__} in {_place(error)}.\n"
        f"  Run the same command with --debug to see more, and report it{resume}."
    )


def _place(error: BaseException) -> str:
    """Module and line of the innermost frame that is ours."""
    found = "the command line"
    step = error.__traceback__
    while step is not None:
        module = step.tb_frame.f_globals.get("__name__", "")
        if module.startswith("workbench."):
            found = f"{module}, line {step.tb_lineno}"
        step = step.tb_next
    return found


class ProgressLine:
    """Progress on stderr: one line that is rewritten on a terminal, else a line now and then."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._last = 0.0
        self._said = ""
        self._open = False

    def __call__(self, progress: Progress) -> None:
        """Show how far the work is."""
        finished = progress.done >= progress.total
        if not self._due(finished=finished):
            return
        text = f"{progress.done}/{progress.total} {progress.sentence}"
        if text == self._said:
            return
        self._said = text
        if self._terminal:
            sys.stderr.write(f"\r\x1b[K{CONTROLS.sub('', ADDRESS.sub('(address)', text))}")
            self._open = True
            sys.stderr.flush()
        else:
            say(text)

    def end(self) -> None:
        """Close the line, so that what follows starts on its own."""
        if self._open:
            sys.stderr.write("\n")
            self._open = False

    def _due(self, *, finished: bool) -> bool:
        now = time.monotonic()
        wait = 0.1 if self._terminal else SECONDS_BETWEEN_LINES
        if not finished and self._last and now - self._last < wait:
            return False
        self._last = now
        return True
