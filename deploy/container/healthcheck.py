"""The image's health check: exits 0 when the service in this container says that it is ready."""

import http.client
import os
import sys

LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - read, not listened on


def complaint(host: str, port: int) -> str | None:
    """Say why the service at this address is not ready, or None when it is."""
    # Unlike urllib, http.client never asks the proxy that a container may be configured with.
    connection = http.client.HTTPConnection(host, port, timeout=4)
    try:
        connection.request("GET", "/readyz")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"no answer from {host} port {port}: {error}"
    finally:
        connection.close()
    return None if status == 200 else f"/readyz answered {status}"


def main() -> int:
    """Check the address that the settings of the service name; 1 when it is not ready."""
    host = os.environ.get("ORBITSERVE_HOST", "127.0.0.1")
    port = int(os.environ.get("ORBITSERVE_PORT", "8000"))
    trouble = complaint(LOOPBACK.get(host, host), port)
    if trouble is None:
        return 0
    print(trouble, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
