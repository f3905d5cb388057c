"""Images as the files of a `multipart/form-data` body."""

import logging
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from service.errors import ServiceError
from service.protocol.parts import Part, check_count

logging.getLogger("python_multipart.multipart").setLevel(logging.CRITICAL)
"""It warns of what it refuses, and the answer says so; a client could fill the log with it."""

_ACCEPTED = "one or more image files as multipart/form-data are accepted"


def read_multipart(content_type: str, body: bytes, max_images: int) -> list[Part]:
    """Take images out of a form, in their order; see `read_files`."""
    return read_files(content_type, body, max_images, "images", _ACCEPTED)


def read_files(
    content_type: str, body: bytes, max_files: int, what: str, accepted: str
) -> list[Part]:
    """Take the files out of a form, in their order.

    Parameters
    ----------
    what, accepted
        What a refusal calls the files, and says is accepted.

    Raises
    ------
    ServiceError (400)
        If the body is not the form that its content type announces, goes on after its end, or
        holds no file.
    TooLargeError
        If it holds too many files, as soon as that is seen.
    ServiceError (422)
        If a field of the form is not a file.
    """
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise ServiceError(400, f"The multipart content type names no boundary; {accepted}.")
    form = _Form(max_files, what, accepted)
    try:
        parser = MultipartParser(boundary, form.callbacks())  # type: ignore[arg-type]
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise ServiceError(
            400, f"The multipart body cannot be read ({error}); {accepted}."
        ) from None
    if not form.complete or not form.parts:
        raise ServiceError(400, f"The multipart body is cut off or empty; {accepted}.")
    closing = b"\r\n--" + boundary + b"--"
    # The parser passes over the rest, which may be files.
    if body[body.find(closing) + len(closing) :].strip(b" \t\r\n"):
        raise ServiceError(
            400, f"The multipart body goes on after its closing boundary; {accepted}."
        )
    return form.parts


@dataclass
class _Form:
    """Collects the parser's events into parts."""

    max_files: int
    what: str
    accepted: str
    parts: list[Part] = field(default_factory=list)
    complete: bool = False
    _headers: dict[bytes, bytes] = field(default_factory=dict)
    _name: bytearray = field(default_factory=bytearray)
    _value: bytearray = field(default_factory=bytearray)
    _content: bytearray = field(default_factory=bytearray)

    def callbacks(self) -> dict[str, object]:
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._name.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_part_data": lambda data, start, end: self._content.extend(data[start:end]),
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def _begin(self) -> None:
        check_count(len(self.parts) + 1, self.max_files, self.what)
        self._headers.clear()
        self._content.clear()

    def _end_header(self) -> None:
        name = bytes(self._name).lower()
        if name in self._headers:
            raise ServiceError(
                400,
                f"File {len(self.parts) + 1} of the multipart body has a field "
                f"'{name.decode(errors='replace')}' twice; {self.accepted}.",
            )
        self._headers[name] = bytes(self._value)
        self._name.clear()
        self._value.clear()

    def _end(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        name = options.get(b"name", b"").decode(errors="replace")
        if b"filename" not in options:
            raise ServiceError(422, f"The form field '{name}' is no file; {self.accepted}.")
        file = options[b"filename"].decode(errors="replace")
        where = f"file {len(self.parts) + 1} ('{file}')"
        self.parts.append(Part(bytes(self._content), where, file, name))

    def _finish(self) -> None:
        self.complete = True
