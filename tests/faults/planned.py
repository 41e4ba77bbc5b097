"""The faults of the matrix: what an org may do to any request, by the name it has in the table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

ASKED_TO_WAIT = 7
SLOW = 2.0  # seconds; far above what a client of the matrix waits for the one answer that it is to give up


@dataclass(frozen=True)
class Planned:
    """One fault as the control port takes it; ``hook`` instead of a fault: when somebody else opts the victim out."""

    kind: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    hook: str = ""

    @property
    def slow(self) -> bool:
        """Whether the client has to lose its patience for the fault to show."""
        return self.kind == "slow"


def _error(status: int, code: str) -> Planned:
    return Planned("error", {"status": status, "code": code})


FAULTS: dict[str, Planned] = {
    "token expires": Planned("expire_token"),
    "503": Planned("503"),
    "503, Retry-After 7 s": Planned("503", {"retry_after": ASKED_TO_WAIT}),
    "503, Retry-After 1 h": Planned("503", {"retry_after": 3600}),
    "daily limit": Planned("403_daily"),
    "concurrent limit": Planned("403_concurrent"),
    "reset before": Planned("reset_before"),
    "reset after": Planned("reset_after"),
    "slow answer": Planned("slow", {"seconds": SLOW, "when": "after"}),
    "HTML, 503": Planned("html", {"status": 503}),
    "HTML, 200": Planned("html", {"status": 200}),
    "broken JSON": Planned("broken_json"),
    "wrong shape": Planned("wrong_shape"),
    "truncated CSV": Planned("truncated_csv"),
    "locator expired": Planned("locator_expiry"),
    "job failed": Planned("job_failed"),
    "page twice": Planned("duplicate_page"),
    "clock 5 min ahead": Planned("clock_skew", {"seconds": 300}),
    "rows locked": Planned("lock"),
    "400": _error(400, "MALFORMED_QUERY"),
    "403": _error(403, "INSUFFICIENT_ACCESS"),
    "404": _error(404, "NOT_FOUND"),
    "410": _error(410, "UNSUPPORTED_API_VERSION"),
    "414": _error(414, "URI_TOO_LONG"),
    "500": _error(500, "UNKNOWN_EXCEPTION"),
    "opt-out before": Planned(hook="before"),
    "opt-out after": Planned(hook="after"),
    "late commit": Planned(hook="before", options={"late": True}),
}
