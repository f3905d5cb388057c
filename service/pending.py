"""How much all requests under way may hold together: their bodies, and the images in these."""

from typing import Final

from service.errors import BusyError, TooLargeError

SMALL: Final = 2**16
"""A body of so many bytes is not counted: small requests are taken whatever others send."""


class PendingBytes:
    """Counts what requests hold, of which each is at most so large, and a few connections are many.

    Parameters
    ----------
    most
        Bytes that all may hold together.
    """

    def __init__(self, most: int) -> None:
        self.most, self._held = most, 0

    def add(self, count: int) -> None:
        """Hold so many bytes more.

        Raises
        ------
        BusyError
            If they are too many with what is held already.
        """
        if self._held + count > self.most:
            raise BusyError(
                f"The bodies of other requests hold too much; at most {self.most} bytes together "
                "are accepted. Try again in a moment.",
                retry_after=1,
            )
        self._held += count

    def remove(self, count: int) -> None:
        """Hold so many no longer."""
        self._held -= count


class Held:
    """What one request, or one audit, holds."""

    __slots__ = ("_body", "_images", "_pending")

    def __init__(self, pending: PendingBytes) -> None:
        self._pending = pending
        self._body = self._images = 0

    def body(self, count: int) -> None:
        """Hold a body of so many bytes, as it comes or unpacked: the largest count that is told.

        Raises
        ------
        BusyError
            If that is too much with what others hold.
        """
        if count > SMALL and count > self._body:
            self._pending.add(count - self._body)
            self._body = count

    def images(self, count: int) -> None:
        """Hold decoded images of so many bytes more.

        Raises
        ------
        TooLargeError
            If nobody may hold so much.
        BusyError
            If that is too much with what others hold.
        """
        if count > self._pending.most:
            raise TooLargeError(
                f"The images hold {count} bytes once they have the model's size; at most "
                f"{self._pending.most} are accepted, which ORBITSERVE_MAX_PENDING_BYTES says."
            )
        self._pending.add(count)
        self._images += count

    def pass_on_images(self) -> "Held":
        """Let somebody else hold the images: who asked for an audit may be answered before it."""
        other = Held(self._pending)
        other._images, self._images = self._images, 0
        return other

    def release(self) -> None:
        """Hold nothing any more."""
        self._pending.remove(self._body + self._images)
        self._body = self._images = 0
