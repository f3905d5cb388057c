"""Deriving: a float32 version becomes versions of other precisions, each measured beside it."""

import hashlib
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, get_args

import numpy as np
import onnx
from numpy.typing import NDArray

from artifact.audit_set import AuditSet, parse_audit_set
from artifact.card import Card, Conversion, Counterpart, load_card
from artifact.cpus import cpu_budget
from artifact.figures import Metric, Speed
from artifact.files import MOST_AUDIT_SET, MOST_GRAPH
from artifact.layout import AUDIT_FILE, CARD_FILE, MODEL_FILE, version_folders
from artifact.values import Precision
from audit import Classifier, RefusedError
from audit.machine import cpu_name
from export.publish import Candidate, Progress, check_place, publish
from export.quantize import (
    measure_ranges,
    quantize,
    read_chain,
    to_half,
    to_int8,
    to_integer,
    to_qdq,
)
from export.runtime import BATCH, batches, has_vnni, open_model
from imaging.files import read_named
from models.datasets.data_set import DataSet
from models.datasets.split import Split

CALIBRATION_IMAGES: Final = 1000
MAX_LOSS: Final = 0.10
"""Points of error that a precision may cost on the test images; see `accepted_loss`."""

_SPEED_BATCH, _ROUNDS, _ROUND_SECONDS = 32, 9, 0.3
_COUNTERPARTS: Final[Mapping[Precision, Precision]] = {
    "int8": "integer",
    "integer": "int8",
    "qdq": "int8",
}


def accepted_loss(images: int) -> float:
    """Return how many points of error a precision may cost on so many test images.

    Of fewer than a thousand it may cost one image beside `MAX_LOSS`: there one alone is more.
    """
    return MAX_LOSS + (100 / images if images * MAX_LOSS < 100 else 0)


class AccuracyLossError(RefusedError):
    """A precision costs more accuracy than is accepted."""


@dataclass(frozen=True)
class Source:
    """A float32 version and the data set that it was trained on."""

    card: Card
    model: bytes
    audit_set: AuditSet
    data: DataSet

    @classmethod
    def open(cls, folder: Path, data: DataSet) -> "Source":
        """Read a version's directory.

        Raises
        ------
        ValueError
            If it is not of float32, not what its card says, or was trained on other data.
        """
        card = load_card(folder / CARD_FILE)
        model = read_named(folder / MODEL_FILE, MOST_GRAPH)
        images = read_named(folder / AUDIT_FILE, MOST_AUDIT_SET)
        if card.precision != "fp32":
            raise RefusedError(f"{folder} is of {card.precision}; a version of fp32 is accepted.")
        named = ((MODEL_FILE, model, card.sha256), (AUDIT_FILE, images, card.audit_set.sha256))
        for name, content, digest in named:
            if hashlib.sha256(content).hexdigest() != digest:
                raise RefusedError(f"{folder}/{name} is not the file that its card names.")
        if card.training is None or card.training.data_sha256 != data.sha256:
            raise RefusedError(f"{folder} was trained on other images than those of {data.name}.")
        return cls(card, model, parse_audit_set(images, folder / AUDIT_FILE), data)


def read_precisions(text: str) -> list[Precision]:
    """Read names with commas in between, in their order and each once.

    Raises
    ------
    ValueError
        If one of them names no precision.
    """
    known: tuple[Precision, ...] = get_args(Precision)
    names = [name.strip() for name in text.split(",")]
    if strange := [name for name in names if name not in known]:
        raise RefusedError(f"{strange[0]!r} is no precision; {', '.join(known)} are accepted.")
    return [precision for precision in known if precision in names]


def latest_float(repository: Path, name: str) -> Path:
    """Return the folder of a model's latest float32 version.

    Raises
    ------
    ValueError
        If there is none.
    """
    for folder in reversed(version_folders(repository / name)):
        if load_card(folder / CARD_FILE).precision == "fp32":
            return folder
    raise RefusedError(
        f"The repository {repository} has no fp32 version of {name!r} to start from; "
        "--precision fp32 exports one from a finished run."
    )


def derive(
    source: Source,
    precisions: Sequence[Precision],
    repository: Path,
    progress: Progress = lambda *_: None,
) -> Iterator[Path]:
    """Convert a version and publish ``<name>-<precision>``, one after the other.

    Raises
    ------
    AccuracyLossError
        If the error on the test images grows by more than `MAX_LOSS`; nothing is published.
    ValueError
        If the file cannot be converted, or `publish` refuses it.
    """
    for precision in precisions:
        check_place(repository, f"{source.card.name}-{precision}")
    converter = _Converter(source, progress)
    for precision in precisions:
        yield publish(converter.candidate(precision), repository, progress)


class _Converter:
    """Makes files of several precisions, each once, and asks each about the test images once."""

    def __init__(self, source: Source, progress: Progress) -> None:
        self._source, self._progress = source, progress
        self._model = onnx.load_model_from_string(source.model)
        self._files: dict[Precision, bytes] = {"fp32": source.model}
        self._answers: dict[Precision, NDArray[np.float32]] = {}

    def candidate(self, precision: Precision) -> Candidate:
        source, card, test = self._source, self._source.card, self._source.data.test
        model = self._file(precision)
        reference, logits = self._logits("fp32"), self._logits(precision)
        counterpart = self._counterpart(precision)
        error, source_error = _error(logits, test), _error(reference, test)
        accepted = accepted_loss(len(test))
        if error > source_error + accepted:
            raise AccuracyLossError(
                f"With {precision}, {error:.2f} % of {len(test)} test images are wrong where "
                f"{source_error:.2f} % were; {accepted:.2f} points more are accepted, and nothing "
                "was published."
            )
        calibrated = (
            f"{self._calibration} training images of {source.data.name} and their orbits"
            if precision in _COUNTERPARTS
            else None
        )
        return Candidate(
            name=f"{card.name}-{precision}",
            model=model,
            description=f"{card.description.rstrip('.')}, in {precision}.",
            group=card.group,
            precision=precision,
            classes=card.classes,
            input=card.input,
            audit_set=source.audit_set,
            audit_source=card.audit_set.source,
            data_licence=card.audit_set.licence,
            size=card.size,
            metrics={
                "test": Metric(
                    error_percent=error, count=len(test), data_set=f"{source.data.name}, test"
                )
            },
            training=card.training,
            conversion=Conversion(
                source=card.identity,
                calibration=calibrated,
                source_error_percent=source_error,
                label_agreement=float((logits.argmax(1) == reference.argmax(1)).mean()),
                max_abs_logits=float(np.abs(logits - reference).max()),
                counterpart=counterpart,
                speed=compare_speed(model, source.model, test.images),
            ),
        )

    @property
    def _calibration(self) -> int:
        return min(CALIBRATION_IMAGES, len(self._source.data.train))

    def _file(self, precision: Precision) -> bytes:
        if precision not in self._files:
            match precision:
                case "fp16":
                    half = to_half(self._model, self._metadata(precision))
                    self._files[precision] = half.SerializeToString()
                case "int8" | "integer" | "qdq":
                    self._files.update(self._integers())
                case _:
                    raise RefusedError(
                        f"Nothing converts a version of fp32 to {precision}; fp16, int8, "
                        "integer and qdq are accepted."
                    )
        return self._files[precision]

    def _integers(self) -> dict[Precision, bytes]:
        chain = read_chain(self._model)
        images = self._source.data.train.images[: self._calibration]
        ranges = measure_ranges(
            chain,
            images,
            self._source.card.group,
            lambda done, total: self._progress("calibrating", done, total),
        )
        network = quantize(chain, ranges)
        return {
            "int8": to_int8(network, self._metadata("int8")).SerializeToString(),
            "integer": to_integer(network, self._metadata("integer")).SerializeToString(),
            "qdq": to_qdq(network, self._metadata("qdq")).SerializeToString(),
        }

    def _logits(self, precision: Precision) -> NDArray[np.float32]:
        if precision not in self._answers:
            classify, images = open_model(self._file(precision)), self._source.data.test.images
            answers: list[NDArray[np.float32]] = []
            for batch in batches(images):
                answers.append(classify(batch))
                done = min(len(answers) * BATCH, len(images))
                self._progress(f"testing {precision}", done, len(images))
            self._answers[precision] = np.concatenate(answers)
        return self._answers[precision]

    def _counterpart(self, precision: Precision) -> Counterpart | None:
        if precision not in _COUNTERPARTS:
            return None
        other = _COUNTERPARTS[precision]
        here, there = (self._logits(p).view(np.uint32) for p in (precision, other))
        equal = np.array_equal(here, there)
        if not equal:
            raise RefusedError(
                f"The precisions {precision} and {other} give other logits on the test images, and "
                "every bit is to be equal; nothing was published."
            )
        return Counterpart(
            precision=other,
            sha256=hashlib.sha256(self._file(other)).hexdigest(),
            images=len(here),
            bits_equal=equal,
        )

    def _metadata(self, precision: Precision) -> dict[str, str]:
        kept = {entry.key: entry.value for entry in self._model.metadata_props}
        name = f"{self._source.card.name}-{precision}"
        made_from = {"source_sha256": self._source.card.sha256}
        return kept | {"name": name, "precision": precision} | made_from


def compare_speed(model: bytes, source: bytes, images: NDArray[np.uint8]) -> Speed:
    """Run two files in turn on batches of 32, and return the medians of nine rounds."""
    batch = images[:_SPEED_BATCH]
    sessions = [open_model(model), open_model(source)]
    rounds = [[_rate(session, batch) for session in sessions] for _ in range(_ROUNDS)]
    here, there = (statistics.median(rates) for rates in zip(*rounds, strict=True))
    return Speed(
        images_per_second=round(here, 1),
        source_images_per_second=round(there, 1),
        ratio=round(statistics.median(a / b for a, b in rounds), 3),
        batch=len(batch),
        threads=cpu_budget(),
        cpu=cpu_name(),
        vnni=has_vnni(),
    )


def _rate(classify: Classifier, batch: NDArray[np.uint8]) -> float:
    start, count = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - start) < _ROUND_SECONDS:
        classify(batch)
        count += len(batch)
    return count / elapsed


def _error(logits: NDArray[np.float32], test: Split) -> float:
    return round(100 * float((logits.argmax(1) != test.labels).mean()), 6)
