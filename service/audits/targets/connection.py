"""Calls to a service from outside: one connection, bounded patience, refusals in a sentence."""

import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlsplit

from imaging.refusal import RefusedError

_TIMEOUT: Final = 120.0
"""Seconds in which the next bytes come."""

_LONGEST_ANSWER: Final = 600.0
"""Seconds in which all of them come."""

_WAITS: Final = 20
_LONGEST_WAIT: Final = 30.0
_SHOWN: Final = 300

_MOST_BYTES: Final = 2**28
"""Of an answer: logits of 64 images and a million classes."""


class RemoteError(RefusedError):
    """A service cannot be asked; the message is one sentence."""


@dataclass(frozen=True)
class Address:
    """Where a service is, and which of its models is meant.

    Attributes
    ----------
    url
        Of the service, without a slash at its end.
    model
        `<name>` or `<name>/<version>`; empty for the default model.
    """

    url: str
    model: str = ""

    @classmethod
    def parse(cls, text: str, model: str | None = None) -> "Address":
        """Read `http://host:port`, with or without `/models/<name>` and `/versions/<version>`.

        Raises
        ------
        ValueError
            If it is no such address, holds a password, or names another model than `model`.
        """
        try:
            parts = urlsplit(text)
            host, _ = parts.hostname, parts.port
        except ValueError:
            host = None
        if not host or parts.scheme not in ("http", "https") or parts.query or parts.fragment:
            raise RefusedError(
                f"{text!r} is no address of a service; http://<host>:<port>, or that with "
                "/models/<name>, is accepted."
            )
        if "@" in parts.netloc:
            raise RefusedError(
                "The address of the service holds a user or a password, which would end up in the "
                "report; --api-key or ORBITSERVE_API_KEY is accepted."
            )
        before, _, named = parts.path.partition("/models/")
        named = named.strip("/").replace("/versions/", "/")
        if named and model and named != model:
            raise RefusedError(f"The address names the model {named!r} and --model {model!r}.")
        return cls(f"{parts.scheme}://{parts.netloc}{before.rstrip('/')}", named or model or "")

    def __str__(self) -> str:
        return self.url + self.path

    @property
    def path(self) -> str:
        """The path of the model's description."""
        name, _, version = self.model.partition("/")
        return f"/models/{quote(name, safe='')}" + (f"/versions/{version}" if version else "")


@dataclass(frozen=True)
class Answer:
    """What came back."""

    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON; RemoteError if it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise RemoteError(
                f"The service answers with no JSON, {self.body[:40]!r}; an orbitserve service is "
                "accepted."
            ) from error


class Connection:
    """Asks a service, one call after the other, from whatever threads.

    A call that is answered with 503 and `Retry-After` is repeated after that time, twenty times at
    most. One whose connection breaks is repeated once: every call here may be made twice.

    Parameters
    ----------
    url
        Of the service.
    api_key
        Sent as `Authorization: Bearer`.
    wait
        Waits for so many seconds.
    """

    def __init__(
        self, url: str, api_key: str | None = None, wait: Callable[[float], None] = time.sleep
    ) -> None:
        self.url = url
        parts = urlsplit(url)
        kind = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        self._connection = kind(parts.netloc, timeout=_TIMEOUT)
        self._before = parts.path
        self._headers = {} if api_key is None else {"Authorization": f"Bearer {api_key}"}
        self._wait = wait
        self._lock = threading.Lock()

    def close(self) -> None:
        """End the connection; another call would make a new one."""
        self._connection.close()

    def call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Make a call.

        Raises
        ------
        RemoteError
            If the service is not there, or refuses; with what it says.
        """
        for patience in reversed(range(_WAITS + 1)):
            with self._lock:
                status, answer = self._sent(method, path, body, self._headers | dict(headers or {}))
            after = answer.headers.get("retry-after", "")
            if status != 503 or not after.isdecimal() or not patience:
                break
            self._wait(min(float(after), _LONGEST_WAIT))
        if status != 200:
            raise RemoteError(f"{self.url}{path} answers {status}: {_reason(answer)}")
        return answer

    def _sent(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, Answer]:
        try:
            try:
                return self._once(method, path, body, headers)
            except (http.client.HTTPException, ConnectionError):
                self._connection.close()
                return self._once(method, path, body, headers)
        except ssl.SSLError as error:
            reason = getattr(error, "verify_message", None) or error.reason
            raise RemoteError(f"The service {self.url} is not trusted: {reason}.") from error
        except (http.client.HTTPException, OSError) as error:
            self._connection.close()
            raise RemoteError(
                f"The service {self.url} cannot be asked: {_complaint(error)}."
            ) from error

    def _once(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, Answer]:
        self._connection.request(method, self._before + path, body, dict(headers))
        with self._bounded():
            answer = self._connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            content = answer.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            self._connection.close()
            raise RemoteError(
                f"The service {self.url} answers with more than {_MOST_BYTES} bytes; an orbitserve "
                "service is accepted."
            )
        return answer.status, Answer(found, content)

    @contextmanager
    def _bounded(self) -> Iterator[None]:
        """End the connection, and the call, where an answer comes byte by byte for too long."""
        late, used = threading.Event(), self._connection.sock

        def end() -> None:
            late.set()
            with suppress(OSError):
                socket.socket.shutdown(used, socket.SHUT_RDWR)  # TLS would wait for the other side

        timer = threading.Timer(_LONGEST_ANSWER, end)
        timer.daemon = True
        timer.start()
        try:
            yield
        except (http.client.HTTPException, OSError):
            if not late.is_set():
                raise
        finally:
            timer.cancel()
        if late.is_set():
            self._connection.close()
            raise RemoteError(
                f"The service {self.url} cannot be asked: no whole answer within "
                f"{_LONGEST_ANSWER:.0f} s."
            )


def _reason(answer: Answer) -> str:
    try:
        return str(json.loads(answer.body)["error"])[:_SHOWN]
    except (ValueError, KeyError, TypeError):
        return f"{answer.body[:40]!r}."


def _complaint(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {_TIMEOUT:.0f} s"
    return str(getattr(error, "strerror", None) or error or type(error).__name__)
