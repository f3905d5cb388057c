"""Findings on their way to the log and, if a folder is set, to disk: off every thread that serves.

An image is named by a salted digest: who has the image and the salt can match it, who has only the
log can not tell which it was.
"""

import hmac
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, Thread

import numpy as np
import structlog
from PIL import Image

from artifact.contract import Images
from imaging import GridSymmetry
from imaging.writing import written_aside
from service.shadow.tally import Comparison

_MOST_WAITING = 16
_KEEP_MOST = 100
"""Files in the folder; whoever looks at them and takes them away makes room for others."""

_PAUSE = 1.0
"""Seconds from one line in the log to the next."""

log = structlog.get_logger()


@dataclass(frozen=True, eq=False)
class Finding:
    """A trial that did not go well: an image uint8 [C, H, W], and what became of it."""

    model: str
    version: int
    classes: tuple[str, ...]
    image: Images
    element: GridSymmetry
    found: Comparison


class Recorder:
    """Logs findings, now and then, and keeps their images where it is told to.

    Parameters
    ----------
    salt
        Key of the digests.
    folder
        Where images are kept; None keeps none.
    """

    def __init__(self, salt: bytes, folder: Path | None) -> None:
        self._salt, self._folder = salt, folder
        self._lock = Lock()  # guards the next two
        self._waiting: deque[tuple[Finding, Callable[[], None]]] = deque()
        self._thread: Thread | None = None
        self._unlogged, self._silent_until = 0, 0.0

    def record(self, finding: Finding, lost: Callable[[], None]) -> None:
        """Record a finding soon, on a thread of its own; or call `lost`, on any thread."""
        with self._lock:
            full = len(self._waiting) >= _MOST_WAITING
            if not full:
                self._waiting.append((finding, lost))
                if self._thread is None:
                    # A daemon: a disk that hangs does not keep the process from ending.
                    thread = Thread(target=self._work, name="shadow", daemon=True)
                    thread.start()
                    self._thread = thread
        if full:
            lost()

    def wait(self) -> None:
        """Wait until all that came is recorded: for tests."""
        thread = self._thread
        if thread is not None:
            thread.join()

    def digest(self, image: Images) -> str:
        """HMAC-SHA-256 of the pixels [C, H, W] in their order, as 64 hexadecimal digits."""
        return hmac.digest(self._salt, image.tobytes(), "sha256").hex()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._thread = None
                    return
                finding, lost = self._waiting.popleft()
            try:
                self._write(finding)
            except Exception as error:  # a full disk, whatever: it is this thread's alone
                lost()
                self._say("a finding of the shadow audits is lost", reason=str(error))

    def _write(self, finding: Finding) -> None:
        digest = self.digest(finding.image)
        kept = None if self._folder is None else _keep(finding, digest, self._folder)
        found = finding.found
        self._say(
            "shadow audit disagrees",
            model=finding.model,
            version=finding.version,
            image=digest,
            element=finding.element.name,
            label=_named(finding.classes, found.labels),
            rotated_label=_named(finding.classes, found.rotated_labels),
            deviation=found.deviation,
            margin=found.margin,
            kept=kept,
        )

    def _say(self, event: str, **fields: object) -> None:
        now = time.monotonic()
        if now < self._silent_until:
            self._unlogged += 1
            return
        self._silent_until = now + _PAUSE
        log.warning(event, unlogged=self._unlogged, **fields)
        self._unlogged = 0


def _named(classes: tuple[str, ...], labels: tuple[int, ...]) -> str:
    return " + ".join(classes[label] for label in labels) or "no label"


def _keep(finding: Finding, digest: str, folder: Path) -> str | None:
    """Write an image as a PNG that is there whole or not at all; return its name, None if full."""
    element = finding.element.name.replace(" ", "-")
    name = f"{finding.model}-{finding.version}-{digest[:16]}-{element}.png"
    path = folder / name
    if path.exists():
        return name
    if sum(1 for _ in folder.glob("*.png")) >= _KEEP_MOST:
        return None
    pixels = finding.image[0] if len(finding.image) == 1 else np.moveaxis(finding.image, 0, -1)
    with written_aside(path, mode=0o600) as file:
        Image.fromarray(pixels).save(file, "PNG")
    return name
