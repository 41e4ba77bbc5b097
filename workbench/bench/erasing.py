"""Erasing people on request, and what was left for later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from workbench.bench.opened import Opened
from workbench.errors import NotAllowedError

if TYPE_CHECKING:
    from workbench.erasure import Erasure


class Erasing(Opened):
    """The Workbench's part about the right to erasure."""

    def erase(self, people: str | Sequence[str], *, dry_run: bool = False) -> Erasure:
        """Erase the people whom these addresses or ids name; all or none. For administrators.

        Raises:
            NotAllowedError: the operator is no administrator.
            InputError: nobody is named so, or somebody can't be erased now; the sentence says why.
        """
        from workbench.erasure import erase

        return erase(self._desk, [people] if isinstance(people, str) else list(people), dry_run=dry_run)

    def erase_due(self) -> tuple[str, ...]:
        """Delete evidence of erased people whose time is over; returns the files' digests. For administrators.

        Raises:
            NotAllowedError: the operator is no administrator.
            StoreError: another process has the register open, so that what was deleted may still stand in its log.
        """
        from workbench.erasure import finish

        if "admin" not in self.roles:
            raise NotAllowedError("only an administrator erases people")
        return finish(self._desk)
