"""What was audited, on which images, and what ran it."""

from typing import Annotated

from pydantic import Field

from audit.values import Precision, Sha256, Value


class ModelIdentity(Value):
    """Which model version was audited."""

    name: str
    version: Annotated[int, Field(ge=1)]
    sha256: Sha256
    group: str
    precision: Precision


class DataIdentity(Value):
    """Which images it was audited on.

    Attributes
    ----------
    sha256
        Of the set as an audit set's file, labels included.
    units
        How many images are distinct up to the group, or parts were photographed: see `audit.units`.
        None in reports of older versions, where every image counted.
    near_duplicates
        Images that nearly are another one, of another unit.
    image_sha256
        Of each image, uint8 [C, H, W], as the file that `numpy.save` writes of it.
    """

    source: str
    count: int
    units: int | None = None
    near_duplicates: int | None = None
    sha256: Sha256
    image_sha256: tuple[Sha256, ...]


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
    threads: Annotated[int, Field(ge=1)]
    cpu: str | None = None
    device: str | None = None
