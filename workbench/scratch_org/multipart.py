"""A job and its rows in one request: the parts of a multipart/form-data body, by name."""

from email.message import Message

from .messages import Call, OrgError

LONGEST_CONTENT = 100_000  # characters; "Create a Job" (multipart) in the Bulk API 2.0 Developer Guide


def is_multipart(call: Call) -> bool:
    """Whether the body says that it has parts."""
    return call.headers.get("content-type", "").partition(";")[0].strip().lower() == "multipart/form-data"


def parts(call: Call) -> dict[str, bytes]:
    """The parts of the body by their names.

    Raises:
        OrgError: 400 when the body isn't what its content type says.
    """
    boundary = _header("Content-Type", call.headers["content-type"]).get_param("boundary")
    if not isinstance(boundary, str) or not boundary.isascii():
        raise _malformed()
    found: dict[str, bytes] = {}
    for piece in (b"\r\n" + call.body).split(b"\r\n--" + boundary.encode())[1:]:
        if piece.startswith(b"--"):
            return found
        head, empty_line, content = piece.partition(b"\r\n\r\n")
        lines = [line.partition(":") for line in head.decode("latin-1").split("\r\n")]
        disposition = next((value for name, _, value in lines if name.strip().lower() == "content-disposition"), "")
        name = _header("Content-Disposition", disposition.strip()).get_param("name", header="Content-Disposition")
        if not empty_line or not isinstance(name, str):
            break
        found[name] = content
    raise _malformed()


def _header(name: str, value: str) -> Message:
    message = Message()
    message[name] = value
    return message


def _malformed() -> OrgError:
    return OrgError(400, "MALFORMED_BODY", "The parts of the multipart body can't be read")
