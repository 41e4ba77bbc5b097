"""The words of a SOQL query, with their places for error messages."""

import re
from dataclasses import dataclass

from ..messages import OrgError

_WORD = re.compile(
    r"""(?P<space>\s+)
      | (?P<string>'(?:[^'\\]|\\.)*')
      | (?P<datetime>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d))
      | (?P<date>\d{4}-\d\d-\d\d(?![\dT]))
      | (?P<number>[+-]?\d+(?:\.\d+)?(?![\w.-]))
      | (?P<name>[A-Za-z]\w*(?:\.[A-Za-z]\w*)*)
      | (?P<sign><=|>=|!=|<>|[=<>(),:])""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "'": "'", '"': '"', "\\": "\\"}


@dataclass(frozen=True)
class Word:
    """One word: its kind, its text as written, where it starts (0-based)."""

    kind: str
    text: str
    at: int

    def is_(self, *texts: str) -> bool:
        """Whether it is one of these keywords or signs."""
        return self.kind in ("name", "sign") and self.text.upper() in texts


def words(soql: str) -> list[Word]:
    """All words and a final ``end``.

    Raises:
        OrgError: MALFORMED_QUERY at a character no word starts with.
    """
    found: list[Word] = []
    at = 0
    while at < len(soql):
        match = _WORD.match(soql, at)
        if match is None:
            raise malformed(soql, at, f"unexpected char: '{soql[at]}'")
        kind = match.lastgroup or ""
        if kind != "space":
            found.append(Word(kind, match.group(), at))
        at = match.end()
    return [*found, Word("end", "<EOF>", len(soql))]


def unquoted(soql: str, word: Word, *, pattern: bool = False) -> str:
    """The text of a string literal; in a LIKE pattern an escaped ``_`` or ``%`` keeps its backslash."""
    pieces: list[str] = []
    body = word.text[1:-1]
    at = 0
    while at < len(body):
        if body[at] != "\\":
            pieces.append(body[at])
            at += 1
            continue
        piece, length = _escape(body[at:], pattern=pattern)
        if not length:
            raise malformed(soql, word.at + 1 + at, f"Invalid string literal: illegal escape '{body[at : at + 2]}'")
        pieces.append(piece)
        at += length
    return _whole(soql, word, "".join(pieces))


def _whole(soql: str, word: Word, text: str) -> str:
    """The text with pairs of surrogates joined; half a pair is no character, and a NUL would end a LIKE pattern."""
    try:
        whole = text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeDecodeError as error:
        raise malformed(soql, word.at, "Invalid string literal: half of a surrogate pair") from error
    if "\0" in whole:
        raise malformed(soql, word.at, "Invalid string literal: illegal character U+0000")
    return whole


def _escape(text: str, *, pattern: bool) -> tuple[str, int]:
    mark = text[1].lower()
    if mark in "_%":
        return (text[:2], 2) if pattern else ("", 0)
    if mark == "u" and re.match(r"[0-9A-Fa-f]{4}", text[2:6]):
        return chr(int(text[2:6], 16)), 6
    if mark == "\\" and pattern:
        return "\\\\", 2
    return (_ESCAPES[mark], 2) if mark in _ESCAPES else ("", 0)


def malformed(soql: str, at: int, message: str) -> OrgError:
    """MALFORMED_QUERY with the place, as Salesforce shows it."""
    return OrgError(400, "MALFORMED_QUERY", placed(soql, at, message))


def placed(soql: str, at: int, message: str) -> str:
    """A message below the piece of the query it is about, with row and column (1-based)."""
    row = soql.count("\n", 0, at) + 1
    column = at - (soql.rfind("\n", 0, at) + 1) + 1
    start = max(0, at - 30)
    excerpt = soql[start : at + 30].replace("\n", " ")
    return f"\n{excerpt}\n{' ' * (at - start)}^\nERROR at Row:{row}:Column:{column}\n{message}"
