"""A running service as the model under test, from outside: it is asked, and nothing else."""

import json
import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from artifact.card import Card, InputSpec
from artifact.contract import INPUT, LOGITS
from audit import ModelUnderTest
from service.audits.targets.connection import Address, Connection, RemoteError

_LARGEST: Final = 64
_LARGEST_BODY: Final = 16 * 2**20
_DIGITS: Final = 16

_FROM_OUTSIDE: Final = (
    "The service was asked from outside, as its clients ask it: name, version, digest, group and "
    "precision of the model are what it says of itself."
)
_MUTANT: Final = (
    "No file was at hand: the audit was tried on this model made to answer otherwise where an "
    "image is brighter below than above, and not on a copy of its file with one weight changed."
)


def open_remote(
    address: Address, api_key: str | None = None
) -> tuple[Address, ModelUnderTest, InputSpec, str]:
    """Ask a service for a model's card; return what to audit.

    That is the version that it has now, which is asked throughout; the same as a model under test;
    what its images have to be; and the group that it was packaged with.

    Raises
    ------
    RemoteError
        If the service cannot be asked, or is none of this project.
    """
    connection = Connection(address.url, api_key)
    try:
        return _open(connection, address)
    except BaseException:
        connection.close()
        raise


def _open(
    connection: Connection, address: Address
) -> tuple[Address, ModelUnderTest, InputSpec, str]:
    if not address.model:
        address = Address(address.url, _default(connection))
    described = _described(connection, address.path)
    card: Card = described[0]
    if address.model not in (card.name, f"{card.name}/{card.version}"):
        raise RemoteError(
            f"{address.url}{address.path} describes version {card.version} of {card.name!r}; the "
            "model that is asked for is accepted."
        )
    pinned = Address(address.url, f"{card.name}/{card.version}")
    fitting = _LARGEST_BODY // math.prod(card.input.shape)
    largest = min(_LARGEST, fitting, _max_batch_size(connection, pinned))
    model = _Remote(connection, pinned, card, max(1, largest))

    def confirm() -> None:
        if _described(connection, pinned.path) != described:
            raise RemoteError(
                f"The model {pinned.model} of {address.url} is another than at the beginning; an "
                "audit of one model is accepted."
            )

    under_test = ModelUnderTest(
        identity=card.identity,
        classify=model.logits,
        asked_at=f"{pinned.url} {described[1]}",
        batch_size=model.largest,
        fill=card.input.fit.fill,
        caveats=(_FROM_OUTSIDE,),
        self_test_caveats=(_MUTANT,),
        confirm=confirm,
        close=connection.close,
    )
    return pinned, under_test, card.input, card.audit.group


class _Remote:
    """Asks one version for logits, by the Open Inference Protocol with binary tensors."""

    def __init__(self, connection: Connection, address: Address, card: Card, largest: int) -> None:
        self._connection, self._path = connection, f"/v2{address.path}/infer"
        self._classes, self.largest = len(card.classes), largest

    def logits(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Return logits [N, K] for images uint8 [N, C, H, W], in as many calls as it takes."""
        batches = range(0, len(images), self.largest)
        return np.concatenate([self._batch(images[i : i + self.largest]) for i in batches])

    def _batch(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        image = {
            "name": INPUT,
            "shape": images.shape,
            "datatype": "UINT8",
            "parameters": {"binary_data_size": images.nbytes},
        }
        output = {"name": LOGITS, "parameters": {"binary_data": True}}
        head = json.dumps({"inputs": [image], "outputs": [output]}).encode()
        answer = self._connection.call(
            "POST",
            self._path,
            head + np.ascontiguousarray(images).tobytes(),
            {
                "Content-Type": "application/octet-stream",
                "Inference-Header-Content-Length": str(len(head)),
            },
        )
        length = answer.headers.get("inference-header-content-length", "")
        # More digits than any body has bytes are no number to be read.
        known = length.isdecimal() and len(length) < _DIGITS
        values = answer.body[int(length) :] if known else b""
        if len(values) != 4 * len(images) * self._classes:
            raise RemoteError(
                f"The service answers {len(images)} images with {len(values)} bytes of logits; "
                f"{self._classes} float32 numbers an image, as its card says, are accepted."
            )
        return np.frombuffer(values, "<f4").astype(np.float32).reshape(len(images), -1)


def _default(connection: Connection) -> str:
    listed = connection.call("GET", "/models").json()
    try:
        names = [each["name"] for each in listed["models"] if each.get("default")]
    except (AttributeError, KeyError, TypeError):
        names = []
    if not names or not isinstance(names[0], str):
        raise RemoteError(
            f"The service {connection.url} has no default model; --model <name> is accepted."
        )
    return names[0]


def _max_batch_size(connection: Connection, address: Address) -> int:
    """Return the most images that the service says it takes at once; many where it says nothing."""
    config = connection.call("GET", f"/v2{address.path}/config").json()
    said = config.get("max_batch_size") if isinstance(config, dict) else None
    return said if isinstance(said, int) and said > 0 else _LARGEST


def _described(connection: Connection, path: str) -> tuple[Card, Any]:
    """Return a model's card, and how it is run, as a text."""
    found = connection.call("GET", path).json()
    try:
        card = Card.model_validate(found["card"])
        runtime = json.dumps(found["runtime"], sort_keys=True)
        if found["digest"] != f"sha256:{card.sha256}":
            raise RemoteError(
                f"{connection.url}{path} says the digest {found['digest']!r}, and its card "
                f"{card.sha256}."
            )
    except (KeyError, TypeError, ValidationError) as error:
        raise RemoteError(
            f"{connection.url}{path} is no description of a model with its card; a service of "
            "orbitserve is accepted."
        ) from error
    return card, runtime
