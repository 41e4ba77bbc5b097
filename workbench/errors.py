"""The error families: one sentence about what happened, one about what to do.

``str(error)`` is safe to log and to store: it carries ids, never addresses, names, reply bodies or local variables.
``error.advice`` speaks to the operator. Wrong data or a world that refuses raises one of these; a wrong order of calls is a
``RuntimeError``, never one of these.
"""

from __future__ import annotations

from workbench.said import kept


class WorkbenchError(Exception):
    """Something a person can cause or mend; ends a command with exit code 2.

    Attributes:
        advice: what the operator can do about it, one sentence.
    """

    default_advice = kept("Nothing was changed; correct it and run the same command again.")

    def __init__(self, sentence: str, advice: str | None = None) -> None:
        super().__init__(sentence)
        self.advice = advice or self.default_advice

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows in place of a traceback: both sentences (IPython asks for it)."""
        sentence = str(self)
        return [f"{sentence[:1].upper()}{sentence[1:]}{'' if sentence.endswith(('.', '!', '?')) else '.'}", self.advice]


class WorkspaceError(WorkbenchError):
    """No workspace, a second one, or one that can't be read."""

    default_advice = kept("Create one with `workbench init`, or name it with --workspace.")


class SettingsError(WorkbenchError):
    """workbench.toml, policy.toml or an environment variable does not say what it should."""


class InputError(WorkbenchError):
    """A file or value that was handed in can't be used: wrong columns, encoding, empty, unknown id."""


class NotAllowedError(WorkbenchError):
    """The operator at the keyboard may not do this."""

    default_advice = kept("Ask an administrator; `workbench operator list` names them.")


class BatchError(WorkbenchError):
    """A batch is not in the state that the request needs, or its plan does not fit its approval."""


class EvidenceError(WorkbenchError):
    """An evidence file is too large, empty, unreadable, missing, or no longer what its digest says."""


class StoreError(WorkbenchError):
    """The register's database can't be opened, is locked, full, or of another version."""


class TrailError(WorkbenchError):
    """An audit event does not have the form that its type prescribes, or the trail was tampered with."""


class ReportError(WorkbenchError):
    """A report's parameters don't fit its template, or its run failed."""
