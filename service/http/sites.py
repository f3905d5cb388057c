"""Pages of other sites, which have a visitor's browser ask what they could not ask themselves.

An API key keeps them out, since no browser sends it by itself. Where none is asked for, what a
browser says of itself does: which site a page is of, and by which name it has asked.
"""

import ipaddress
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from starlette.types import Scope

from service.errors import ServiceError
from service.http.transport import Transport
from service.listening import is_local
from service.settings import Settings

READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change and compute nothing, and whose answers a browser keeps from other sites."""

_NAME: Final = re.compile(rb"(\[[^\]]*\]|[^:]*)(?::\d*)?")
_PORT: Final = re.compile(rb":\d+\Z")
_USUAL_PORT: Final = re.compile(rb":(?:80|443)\Z")
_LOCAL_NAMES: Final = ("localhost", "local", "internal")
"""Last parts of names that nobody outside can have point to here."""

Headers = Mapping[bytes, bytes]


class OtherSites:
    """Refuses what pages of other sites ask for, where no API keys do."""

    def __init__(self, settings: Settings) -> None:
        self._closed = settings.api_keys is not None
        self._local = is_local(settings.host)

    def check(self, scope: Scope, headers: Headers) -> None:
        """Refuse a call that a page of another site has made.

        Raises
        ------
        ServiceError (421)
            If only this machine can call the service, and it is called by a name that it does not
            have: its owner may let it point to here, for a page of that name to read all answers.
        ServiceError (403)
            If the call is not only a reading one, and comes from a page of another site.
        """
        if self._closed:
            return
        # Another server than this project's listens elsewhere than the settings say.
        listens = self._local and Transport.of(scope) is not None
        if listens and not _is_ours(headers.get(b"host", b"")):
            raise ServiceError(
                421,
                "Without API keys a service that listens on this machine alone is called by "
                "'localhost', an address or a name without a dot; a proxy that sends one of these "
                "as Host, or a service with ORBITSERVE_API_KEYS, is accepted.",
            )
        if scope["method"] not in READING and _is_elsewhere(headers):
            raise ServiceError(
                403,
                "A page of another site asks this; without API keys, pages of the service itself "
                "and programs are accepted. A proxy may have to send X-Forwarded-Host.",
            )


@lru_cache(16)  # of at most a head's bytes each
def _is_ours(host: bytes) -> bool:
    found = _NAME.fullmatch(host)
    name = (found[1] if found else host).decode("latin-1").lower().rstrip(".")
    if "." not in name or name.rpartition(".")[2] in _LOCAL_NAMES:
        return True
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _is_elsewhere(headers: Headers) -> bool:
    site = headers.get(b"sec-fetch-site")
    if site is not None:
        return site not in (b"same-origin", b"none")
    origin = headers.get(b"origin")
    if origin is None:
        return False  # no browser
    page = _USUAL_PORT.sub(b"", origin.lower().partition(b"://")[2])
    pages = {page, _PORT.sub(b"", page)}  # some proxies leave the port out of the Host
    called = (headers.get(name, b"").lower() for name in (b"host", b"x-forwarded-host"))
    return pages.isdisjoint(_USUAL_PORT.sub(b"", each) for each in called if each)
