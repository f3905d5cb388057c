"""One graph, opened and warmed, with the one thread that runs it."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from service.engine.providers import Placement, Selection, start

Images = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

INPUT, OUTPUTS = "image", ("logits", "probabilities")


class GraphError(ValueError):
    """A graph does not open, or is not what its card says; the message is one sentence."""


class Inference(NamedTuple):
    """What a classifier says about N images: two arrays [N, K]."""

    logits: Floats
    probabilities: Floats


@dataclass(frozen=True)
class Signature:
    """What a card promises about its graph: images uint8 [N, C, H, W] in, [N, K] floats out."""

    channels: int
    size: int
    classes: int

    def mismatch(self, inputs: Sequence[Any], outputs: Sequence[Any]) -> str | None:
        """Compare onnxruntime's descriptions of a graph's ends with the promise.

        Returns a sentence about the first difference, or None.
        """
        if [node.name for node in inputs] != [INPUT] or inputs[0].type != "tensor(uint8)":
            return f"the graph takes {_described(inputs)} where one input '{INPUT}' of uint8 is due"
        batch, *image = inputs[0].shape
        if isinstance(batch, int) or image != [self.channels, self.size, self.size]:
            due = f"[N, {self.channels}, {self.size}, {self.size}]"
            return f"the graph's input has the shape {inputs[0].shape} where the card says {due}"
        for name in OUTPUTS:
            node = next((node for node in outputs if node.name == name), None)
            if node is None or node.type != "tensor(float)":
                return f"the graph gives {_described(outputs)} where '{name}' of float32 is due"
        return None


class Session:
    """Runs one graph on one thread of its own, so that whoever waits is never the event loop.

    Requests, audits and warm-up go through the same queue, first come first served: an audit that
    asks batch by batch delays a request by one batch at most.

    Parameters
    ----------
    data
        The ONNX file.
    signature
        What the graph has to take and give.
    selection
        Where it may run: the first placement that takes the whole graph is used.
    threads
        How many threads compute one batch.
    worker
        The thread to share; by default the session starts one of its own.

    Raises
    ------
    GraphError
        If no placement takes the graph, its ends are not the signature's, or it does not run.
    """

    def __init__(
        self,
        data: bytes,
        signature: Signature,
        selection: Selection,
        threads: int,
        worker: ThreadPoolExecutor | None = None,
    ) -> None:
        self.signature = signature
        self.threads = threads
        self._runtime, self.placement, self.note = _start_first(data, selection, threads)
        difference = signature.mismatch(self._runtime.get_inputs(), self._runtime.get_outputs())
        if difference is not None:
            raise GraphError(difference)
        self._warm()
        self._worker = worker or ThreadPoolExecutor(1, thread_name_prefix="inference")

    def sibling(self, data: bytes) -> Self:
        """Open another graph of the same signature beside this one, on this session's thread.

        What the sibling is asked waits in the same queue, so it takes no cores from requests. It
        ends with this session.
        """
        only = Selection((self.placement,))
        return type(self)(data, self.signature, only, self.threads, self._worker)

    def run(self, images: Images) -> Inference:
        """Classify images [N, C, H, W], waiting for the result."""
        return self._worker.submit(self._compute, images).result()

    async def infer(self, images: Images) -> Inference:
        """Classify images [N, C, H, W] without holding up the event loop."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._worker, self._compute, images)

    def logits(self, images: Images) -> Floats:
        """Return the logits [N, K] alone: the callable that an audit is handed."""
        return self.run(images).logits

    def close(self) -> None:
        """Finish the batch that runs, drop those that wait and end the thread."""
        self._worker.shutdown(wait=True, cancel_futures=True)

    def _compute(self, images: Images) -> Inference:
        return Inference(*self._runtime.run(list(OUTPUTS), {INPUT: images}))

    def _warm(self) -> None:
        """Run one blank image: the first run allocates, and shows what shapes only promise."""
        wanted = self.signature
        blank = np.zeros((1, wanted.channels, wanted.size, wanted.size), np.uint8)
        try:
            result = self._compute(blank)
        except Exception as error:  # onnxruntime's exceptions share no base class of their own
            raise GraphError(f"the graph does not run: {error}") from error
        for name, values in zip(OUTPUTS, result, strict=True):
            if values.shape != (1, wanted.classes):
                raise GraphError(
                    f"'{name}' has the shape {list(values.shape)} for one image where the card's "
                    f"{wanted.classes} classes ask for [1, {wanted.classes}]"
                )
            if not np.isfinite(values).all():
                raise GraphError(f"'{name}' of a blank image is not finite")


def _start_first(
    data: bytes, selection: Selection, threads: int
) -> tuple[Any, Placement, str | None]:
    notes = [] if selection.note is None else [selection.note]
    for placement in selection.placements:
        try:
            runtime = start(data, placement, threads)
        except RuntimeError as error:
            notes.append(f"{placement.device} does not take the graph: {error}")
        else:
            return runtime, placement, "; ".join(notes) or None
    raise GraphError("; ".join(notes))


def _described(nodes: Sequence[Any]) -> str:
    return ", ".join(f"'{node.name}' {node.type} {node.shape}" for node in nodes) or "nothing"
