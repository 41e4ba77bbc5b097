"""Faults and hooks that are planned through the control port: what goes wrong, at which request.

A matcher is a request number, or ``METHOD path-regex`` (``*`` for any method), optionally with text that has to occur in
the query or the body, and ``nth`` to hit a later match. Paths are matched without their query.

A lottery hits some of its matches by chance, the same ones for the same seed and sequence of requests.
"""

import hashlib
import re
from dataclasses import dataclass, field
from typing import Any

from .messages import Call

KINDS = frozenset(
    {
        "expire_token", "503", "403_daily", "403_concurrent", "reset_before", "reset_after",
        "slow", "html", "lock", "error",
        "truncated_csv", "duplicate_page", "locator_expiry", "job_failed", "clock_skew", "broken_json", "wrong_shape",
    }
)  # fmt: skip


@dataclass
class Matcher:
    """Which requests something is meant for; counts the matches it has seen."""

    on: str | int
    nth: int = 1
    times: int = 1
    contains: str = ""
    inside: bool = False
    seen: int = 0

    def hits(self, call: Call, *, inside: bool = False) -> bool:
        """Whether this request is one of those meant; call once a request."""
        if inside != self.inside or not self._fits(call):
            return False
        self.seen += 1
        return self.nth <= self.seen and (not self.times or self.seen < self.nth + self.times)

    def _fits(self, call: Call) -> bool:
        on = str(self.on)
        if on.isdigit():
            return call.number == int(on)
        method, _, pattern = on.partition(" ")
        if method not in ("*", call.method):
            return False
        text = f"{call.params.get('q', '')} {call.body.decode(errors='replace')}" if self.contains else ""
        return bool(re.search(pattern, call.path)) and self.contains in text


@dataclass
class Fault:
    """One planned fault; ``options`` are those of its kind (seconds, status, code, message, ids, when)."""

    kind: str
    matcher: Matcher
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def after(self) -> bool:
        """Whether the request is carried out before the fault shows."""
        return self.kind == "reset_after" or self.options.get("when") == "after"


@dataclass
class Lottery:
    """Faults by chance: each match draws from the seed and its own number, nothing else."""

    matcher: Matcher
    seed: str
    rate: float
    kinds: tuple[str, ...]
    options: dict[str, dict[str, Any]] = field(default_factory=dict)
    drawn: int = 0

    def draw(self, call: Call) -> Fault | None:
        """The fault of this request, if it is hit; call once a request."""
        if not self.matcher.hits(call):
            return None
        digest = hashlib.sha256(f"{self.seed}:{self.matcher.seen}".encode()).digest()
        if int.from_bytes(digest[:8], "big") >= self.rate * 2**64:
            return None
        self.drawn += 1
        kind = self.kinds[int.from_bytes(digest[8:16], "big") % len(self.kinds)]
        return Fault(kind, self.matcher, dict(self.options.get(kind, {})))


@dataclass
class Hook:
    """Something done on the org exactly before or after a matched request."""

    matcher: Matcher
    after: bool
    actions: list[dict[str, Any]]


@dataclass
class Faults:
    """All faults, lotteries and hooks planned now."""

    plan: list[Fault] = field(default_factory=list)
    hooks: list[Hook] = field(default_factory=list)
    lotteries: list[Lottery] = field(default_factory=list)

    def add(self, entries: list[dict[str, Any]]) -> None:
        """Plan faults; an entry with a ``rate`` is a lottery.

        Raises:
            ValueError: an entry has no ``on`` or an unknown kind.
        """
        for entry in entries:
            options = dict(entry)
            if "rate" in options:
                self.add_lottery(options)
                continue
            kind = _kind(options.pop("kind", ""))
            matcher = _matcher(options.pop("on", None), options)
            self.plan.append(Fault(kind, matcher, _options(options)))

    def add_lottery(self, entry: dict[str, Any]) -> None:
        """{"seed", "rate", "kinds", "on"?, "times"?, "contains"?, "options"?: {kind: {...}}}; every data request by default.

        Raises:
            ValueError: no kinds or an unknown one, or a rate outside 0 to 1.
        """
        options = {"times": 0, **entry}
        kinds = tuple(_kind(k) for k in options.pop("kinds", ()))
        rate = float(options.pop("rate"))
        if not kinds or not 0 <= rate <= 1:
            raise ValueError("A lottery needs 'kinds' and a 'rate' from 0 to 1")
        matcher = _matcher(options.pop("on", "* ^/services/data/"), options)
        by_kind = {_kind(kind): _options(dict(o)) for kind, o in options.get("options", {}).items()}
        self.lotteries.append(Lottery(matcher, str(options.get("seed", 0)), rate, kinds, by_kind))

    def add_hook(self, entry: dict[str, Any]) -> None:
        """Plan a hook.

        Raises:
            ValueError: not exactly one of ``before`` and ``after``, or nothing to do.
        """
        if ("before" in entry) == ("after" in entry) or not entry.get("do"):
            raise ValueError("A hook needs 'before' or 'after', and 'do'")
        actions = entry["do"] if isinstance(entry["do"], list) else [entry["do"]]
        if not all(isinstance(a, dict) and all(isinstance(order, dict) for order in a.values()) for a in actions):
            raise ValueError("'do' has to be {action: order} or a list of such")
        on = entry["after"] if "after" in entry else entry["before"]
        self.hooks.append(Hook(_matcher(on, dict(entry)), "after" in entry, actions))

    def clear(self) -> None:
        """Forget every fault, lottery and hook."""
        self.plan.clear()
        self.lotteries.clear()
        self.hooks.clear()

    def due(self, call: Call) -> list[Fault]:
        """The faults of this request."""
        drawn = [lottery.draw(call) for lottery in self.lotteries]
        return [f for f in self.plan if f.matcher.hits(call)] + [f for f in drawn if f is not None]

    def hooks_due(self, call: Call, *, inside: bool = False) -> list[Hook]:
        """The hooks of this request; ``inside`` for a composite's subrequest."""
        return [h for h in self.hooks if h.matcher.hits(call, inside=inside)]


def _kind(name: Any) -> str:
    if name not in KINDS:
        raise ValueError(f"Unknown fault kind {name!r}; known: {', '.join(sorted(KINDS))}")
    return str(name)


_BOUNDS = {
    "seconds": (-(10**8), 10**8),
    "status": (200, 599),  # a gateway sends its HTML page with a 200, too
    "retry_after": (0, 10**6),
    "keep": (0, 1),
    "rows": (-1, 10**9),
}


def _options(given: dict[str, Any]) -> dict[str, Any]:
    """The options of a fault, checked when it is planned and not only when it strikes.

    Raises:
        ValueError: a number that is none or out of bounds, ids that are no list.
    """
    for name, (low, high) in _BOUNDS.items():
        value = given.get(name, low)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise ValueError(f"{name} has to be a number from {low} to {high}")
    if not isinstance(given.get("ids", []), list):
        raise ValueError("ids has to be a list")  # noqa: TRY004 - wrong data, not a wrong call
    return given


def _matcher(on: Any, options: dict[str, Any]) -> Matcher:
    if isinstance(on, dict):
        options.update({k: v for k, v in on.items() if k != "on"})
        on = on.get("on")
    if not isinstance(on, str | int) or not on:
        raise ValueError("A matcher needs 'on': a request number or 'METHOD path-regex'")
    if isinstance(on, str) and not on.isdigit():
        try:
            re.compile(on.partition(" ")[2])
        except re.error as error:
            raise ValueError(f"No regular expression: {error}") from error
    return Matcher(
        on,
        int(options.pop("nth", 1)),
        int(options.pop("times", 1)),
        str(options.pop("contains", "")),
        bool(options.pop("inside", False)),
    )
