"""Image files on disk: found below the folders that are named, and read as a model takes them."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from artifact.card import InputSpec
from artifact.contract import Images
from audit import Progress
from imaging import IMAGE_SUFFIXES
from imaging.files import MOST_IMAGE, FileRefusedError, image_paths, in_utf8, read_file
from imaging.writing import temporary_file
from service.decoding.prepare import prepare
from service.decoding.worker import Fault, decode_and_fit
from service.errors import ServiceError
from service.protocol import Part
from service.settings import ConfigurationError

_NO_MEMORY: Final = "There is not enough memory for this image."

Unreadable = Callable[[int, ConfigurationError], None]
"""Called with the place of a file that cannot be read, and why."""


@dataclass(frozen=True)
class ImageFile:
    """An image file that was named, or lies below a folder that was.

    Attributes
    ----------
    name
        What it is called in reports: its path below the folder, where one folder and nothing else
        was named. Bytes that are no UTF-8 are written as `\\xff`.
    folder
        The sub-folder of the named folder that it lies in, however deep; None if it lies in none.
    """

    path: Path
    name: str
    folder: str | None = None


def find_image_files(places: Sequence[Path]) -> list[ImageFile]:
    """Return the named files, and the image files below the named folders, in a fixed order.

    Of a folder those that `imaging.files.image_paths` finds.

    Raises
    ------
    ConfigurationError
        If a place does not exist, a folder cannot be read, or there is no image anywhere.
    """
    found: list[ImageFile] = []
    for place in places:
        if place.is_dir():
            for path in _below(place):
                name = path if len(places) == 1 else place / path
                folder = in_utf8(path.parts[0]) if len(path.parts) > 1 else None
                found.append(ImageFile(place / path, in_utf8(name.as_posix()), folder))
        elif place.exists():
            found.append(ImageFile(place, in_utf8(place.as_posix())))
        else:
            raise ConfigurationError(f"There is no {place}.")
    if not found:
        named = ", ".join(map(str, places))
        raise ConfigurationError(
            f"There are no images in {named}; accepted are files ending in "
            f"{', '.join(IMAGE_SUFFIXES)}."
        )
    return found


def find_images(places: Sequence[Path]) -> list[Path]:
    """Return the paths of `find_image_files`."""
    return [file.path for file in find_image_files(places)]


def _below(place: Path) -> list[Path]:
    """The image files below a folder, as paths from there."""
    try:
        return sorted(image_paths(place), key=lambda path: path.parts)
    except OSError as error:
        folder = in_utf8(str(error.filename))
        raise ConfigurationError(
            f"The folder {folder} cannot be read: {error.strerror}."
        ) from error


def _refuse(place: int, error: ConfigurationError) -> None:
    raise error


def read_images(
    paths: Sequence[Path],
    spec: InputSpec,
    max_pixels: int,
    progress: Progress = lambda done, total: None,
    *,
    unreadable: Unreadable = _refuse,
) -> npt.NDArray[np.uint8]:
    """Return the files' images as a model takes them: uint8 ``[N, C, size, size]``.

    One is decoded at a time and written to a temporary file without a name, which the array is
    mapped from: memory holds what is looked at, however many there are.

    Parameters
    ----------
    unreadable
        Told of each file with which a request would be refused; if it does not raise the error,
        that file is left out.

    Raises
    ------
    ConfigurationError
        If a request with these images would be refused, with the file's name, or if none can be
        read.
    OSError
        If the temporary file does not fit on its disk; it names the folder.
    """
    count = 0
    with temporary_file() as file:
        for place, path in enumerate(paths):
            try:
                (image,) = _read_image(path, spec, max_pixels)
            except ConfigurationError as error:
                unreadable(place, error)
            else:
                file.write(image.tobytes())
                count += 1
            progress(place + 1, len(paths))
        if not count:
            raise ConfigurationError(f"None of the {len(paths)} image files can be read.")
        file.flush()
        # A copy on write, of which nothing is ever written.
        shape = (count, *spec.shape)
        mapped = np.memmap(file, np.uint8, "c", shape=shape)
    return np.asarray(mapped)


def _read_image(path: Path, spec: InputSpec, max_pixels: int) -> npt.NDArray[np.uint8]:
    try:
        part = Part(read_file(path, MOST_IMAGE), where=in_utf8(str(path)))
    except FileRefusedError as error:
        raise ConfigurationError(f"The file {path} {error}.") from error
    try:
        return prepare([part], spec, max_pixels=max_pixels)
    except ServiceError as error:
        raise ConfigurationError(error.sentence) from error


def read_image(path: Path, spec: InputSpec, max_pixels: int) -> Images | str:
    """Return a file's image as a model takes it, uint8 ``[1, C, size, size]``.

    Or else why there is none, in a sentence that does not name the file.
    """
    try:
        return fitted(read_file(path, MOST_IMAGE), spec, max_pixels)
    except FileRefusedError as error:
        return f"The file {error}."
    except MemoryError:
        return _NO_MEMORY


def fitted(data: bytes, spec: InputSpec, max_pixels: int) -> Images | str:
    """Return the image of a file's bytes, or why there is none, as `read_image` does."""
    try:
        found = decode_and_fit([data], spec.channels, spec.fit, max_pixels, spec.white_level)
    except MemoryError:
        return _NO_MEMORY
    return found.sentence if isinstance(found, Fault) else found


def read_ahead(
    paths: Iterable[Path],
    spec: InputSpec,
    max_pixels: int,
    *,
    threads: int,
    ahead: int,
) -> Generator[Images | str, None, None]:
    """Yield what `read_image` returns for each file, in their order: see `in_advance`."""
    reads = (partial(read_image, path, spec, max_pixels) for path in paths)
    return in_advance(reads, threads=threads, ahead=ahead)


def in_advance(
    reads: Iterable[Callable[[], Images | str]], *, threads: int, ahead: int
) -> Generator[Images | str, None, None]:
    """Yield what each of them returns, in their order.

    Decoders let go of the interpreter: images are read on threads beside whatever is done with
    those before, and at most `ahead` of them wait for that.
    """
    waiting: deque[Future[Images | str]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="decoding") as pool:
        try:
            for read in reads:
                waiting.append(pool.submit(read))
                if len(waiting) >= ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
