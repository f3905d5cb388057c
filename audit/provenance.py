"""What was audited, on which images, and what ran it."""

from typing import Annotated

from pydantic import Field

from artifact.identity import Written
from artifact.values import Count, Sha256, Value


class DataIdentity(Value):
    """Which images it was audited on.

    Attributes
    ----------
    source
        Where they come from; empty in a ledger's evidence, which is told apart from how it was
        asked for: see `audit.canonical`.
    sha256
        Of the set as an audit set's file, labels included.
    units
        How many images are distinct up to the group, or parts were photographed: see `audit.units`.
        None in reports of older versions, where every image counted.
    near_duplicates
        Images that nearly are another one, of another unit.
    image_sha256
        Of each image, uint8 [C, H, W], as the file that `numpy.save` writes of it.
    files
        What each image was read from; none where they did not come from files.
    """

    source: Written = ""
    count: Count
    units: Count | None = None
    near_duplicates: Count | None = None
    sha256: Sha256
    image_sha256: tuple[Sha256, ...]
    files: tuple[Written, ...] = ()

    def image_name(self, index: int) -> str:
        """What an image is called: its file, or `image 3`."""
        return self.files[index] if self.files else f"image {index}"


class Execution(Value):
    """What ran the model. Sums in another order round otherwise, so figures depend on it.

    Attributes
    ----------
    orbitserve
        The version of this project.
    runtime, runtime_version
        What ran the file, `"onnxruntime"` for instance.
    provider
        How it ran it, `"CPUExecutionProvider"` for instance.
    threads
        Of one inference.
    cpu
        The processor's name; None where the system does not tell.
    device
        The accelerator's name; None where none was used.
    """

    orbitserve: str
    runtime: str
    runtime_version: str
    provider: str
    threads: Annotated[Count, Field(ge=1)]
    cpu: str | None = None
    device: str | None = None
