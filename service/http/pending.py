"""How much the bodies of all requests under way may hold together."""

from typing import Final

from service.errors import BusyError

SMALL: Final = 2**16
"""A body of so many bytes is not counted: small requests are taken whatever others send."""


class PendingBodies:
    """Counts what bodies hold, of which each is at most so large, and a few connections are many.

    Parameters
    ----------
    most
        Bytes that all may hold together.
    """

    def __init__(self, most: int) -> None:
        self._most, self._held = most, 0

    def add(self, count: int) -> None:
        """Hold so many bytes more.

        Raises
        ------
        BusyError
            If they are too many with what is held already.
        """
        if self._held + count > self._most:
            raise BusyError(
                f"The bodies of other requests hold too much; at most {self._most} bytes together "
                "are accepted. Try again in a moment.",
                retry_after=1,
            )
        self._held += count

    def remove(self, count: int) -> None:
        """Hold so many no longer."""
        self._held -= count
