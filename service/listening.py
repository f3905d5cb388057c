"""Addresses that the service listens on, taken before anything is loaded."""

import socket
from typing import Final, NoReturn

from service.settings import ConfigurationError, Settings

_EVERYWHERE: Final = ("0.0.0.0", "::", "")  # noqa: S104 -- asked for, not chosen


def bind(host: str, port: int) -> list[socket.socket]:
    """Take the addresses that a host stands for.

    The address of all interfaces of IPv6 takes those of IPv4 as well.

    Raises
    ------
    ConfigurationError
        If there is no such address on this machine, or it is taken.
    """
    sockets = []
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol_number, _, address in dict.fromkeys(found):
            sockets.append(each := socket.socket(family, kind, protocol_number))
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                each.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, host != "::")
            each.bind(address)
    except (OSError, UnicodeError) as error:
        for each in sockets:
            each.close()
        reason = getattr(error, "strerror", None) or "it is no address"
        raise ConfigurationError(
            f"The address {host}:{port} cannot be listened on ({reason}); --host and --port, or "
            "ORBITSERVE_HOST and ORBITSERVE_PORT, name another."
        ) from None
    return sockets


def invitation(settings: Settings, port: int) -> str:
    """Say where a person finds the service, from here and from other machines, and who else may."""
    page = "the console" if settings.console else "the service"
    if settings.host not in _EVERYWHERE:
        others = (
            " from this machine alone, --host 0.0.0.0 lets others"
            if is_local(settings.host)
            else ""
        )
        return f"{page} is at {_url(settings.host, port)}{others}"
    outside = _address_outside()
    elsewhere = f", from other machines at {_url(outside, port)}" if outside else ""
    keys = (
        ""
        if settings.api_keys
        else "; whoever reaches it may classify and audit, as no ORBITSERVE_API_KEYS are set"
    )
    return f"{page} is at {_url('localhost', port)}{elsewhere}{keys}"


def check_grpc_free(settings: Settings) -> None:
    """Refuse a port for gRPC that is taken: gRPC would write lines of its own about that.

    Raises
    ------
    ConfigurationError
        If it cannot be listened on.
    """
    try:
        _bound(settings.host, settings.grpc_port or 0).close()
    except OSError:
        refuse_grpc(settings)


def hold_grpc(settings: Settings) -> socket.socket:
    """Take a port that each worker's gRPC then listens on, since one listener cannot be shared.

    The socket that is returned only holds it: what does not listen gets no connections.

    Raises
    ------
    ConfigurationError
        If it cannot be listened on.
    """
    try:
        with _bound(settings.host, settings.grpc_port or 0) as trial:
            port = trial.getsockname()[1]
        return _bound(settings.host, port, shared=True)
    except OSError:
        refuse_grpc(settings)


def refuse_grpc(settings: Settings) -> NoReturn:
    """Say that gRPC's port cannot be listened on."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    raise ConfigurationError(
        f"The address {host}:{settings.grpc_port} cannot be listened on; ORBITSERVE_HOST "
        "and ORBITSERVE_GRPC_PORT name another."
    ) from None


def _url(host: str, port: int) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def is_local(host: str) -> bool:
    """Whether what listens on an address can be reached from this machine alone."""
    return host in ("localhost", "::1") or host.startswith("127.")


def _address_outside() -> str | None:
    """Return the address that this machine would call others from; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as trial:
        try:
            trial.connect(("192.0.2.1", 9))  # of a network for documentation: RFC 5737
        except OSError:
            return None
        address: str = trial.getsockname()[0]
        return address


def _bound(host: str, port: int, *, shared: bool = False) -> socket.socket:
    found = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        found.bind((host, port))
    except BaseException:
        found.close()
        raise
    return found
