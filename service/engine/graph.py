"""One graph, opened where it may run, compared with its card, and warmed."""

import math
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final

import numpy as np

from artifact.batch_sizes import buckets, cut_into, tried_sizes
from artifact.contract import INPUT, OUTPUTS, Images
from imaging.refusal import RefusedError
from service.engine.binding import Binding
from service.engine.providers import ProviderCandidates, ProviderConfiguration, placed_nodes, start
from service.engine.queue import Inference, joined

QUICK: Final = 0.001
"""Seconds for one image: a graph that takes less is not worth several threads, nor a change of
thread."""

_SHARED: Final = 32  # images from which on a batch is shared out
_LEAST: Final = 4  # images that are worth a run of their own


class GraphError(RefusedError):
    """A graph does not open, or is not what its card says; the message is one sentence."""


@dataclass(frozen=True)
class Signature:
    """What a card promises about its graph: images uint8 [N, C, H, W] in, [N, K] floats out."""

    channels: int
    size: int
    classes: int
    width: int | None = None

    @property
    def image(self) -> tuple[int, int, int]:
        """The shape [C, H, W] of one image."""
        return self.channels, self.size, self.width or self.size

    def mismatch(self, inputs: Sequence[Any], outputs: Sequence[Any]) -> str | None:
        """Compare onnxruntime's descriptions of a graph's ends with the promise.

        Returns a sentence about the first difference, or None.
        """
        if [node.name for node in inputs] != [INPUT] or inputs[0].type != "tensor(uint8)":
            return f"the graph takes {_described(inputs)} where one input '{INPUT}' of uint8 is due"
        batch, *image = inputs[0].shape
        if isinstance(batch, int) or image != list(self.image):
            due = f"[N, {', '.join(map(str, self.image))}]"
            return f"the graph's input has the shape {inputs[0].shape} where the card says {due}"
        for name in OUTPUTS:
            node = next((node for node in outputs if node.name == name), None)
            if node is None or node.type != "tensor(float)":
                return f"the graph gives {_described(outputs)} where '{name}' of float32 is due"
        return None


class Graph:
    """A graph that runs.

    On a CPU a batch runs as large as it is. A quick graph runs on one thread, since several would
    wait for one another longer than they compute, and a large batch is shared out in parts.
    Every run of another graph takes all threads.

    On a GPU it is padded to the next of a few sizes, each
    with buffers of its own on the device and warmed before anyone asks: a size that comes for the
    first time would make libraries search, TensorRT build, and a CUDA graph be captured.

    Parameters
    ----------
    data
        The ONNX file.
    signature
        What the graph has to take and give.
    candidates
        Where it may run: the first configuration that takes the whole graph is used.
    threads
        How many threads compute one batch.
    max_batch_size
        The largest batch that will be asked for.
    quick
        What was found before of the same graph on the same machine, so that it runs on as many
        threads as it was verified with; else it is measured.

    Raises
    ------
    GraphError
        If no configuration takes the graph, its ends are not the signature's, or it does not run.

    Attributes
    ----------
    configuration, note
        Where it runs, and why not on a better device, if one was tried.
    nodes
        By execution provider, the nodes that it was given, `<name> (<operator>)`.
    quick
        Whether it runs on a CPU and takes less than `QUICK` for an image.
    """

    def __init__(
        self,
        data: bytes,
        signature: Signature,
        candidates: ProviderCandidates,
        threads: int,
        max_batch_size: int,
        quick: bool | None = None,
    ) -> None:
        self.signature = signature
        self._threads = threads
        self._bindings: dict[int, Binding] = {}
        self._helpers: ThreadPoolExecutor | None = None
        self._runtime, self.configuration, self.note = start_first(
            data, candidates, 1 if quick else threads
        )
        difference = signature.mismatch(self._runtime.get_inputs(), self._runtime.get_outputs())
        if difference is not None:
            raise GraphError(difference)
        self.nodes = placed_nodes(self._runtime)
        self._sizes = tried_sizes(data, max_batch_size)
        if (memory := self.configuration.memory) is not None:
            self._bindings = {size: self._bind(size, memory) for size in buckets(max_batch_size)}
        tried = quick is not None  # in another process, in all sizes
        for size in self._bindings or (not tried and self._sizes) or (1,):
            self._warm(size)
        if memory is not None:
            self.quick = False
        else:
            self.quick = self._is_quick(data) if quick is None else quick
        if self.quick and threads > 1:
            self._helpers = ThreadPoolExecutor(threads - 1, thread_name_prefix="inference")

    def compute(self, parts: Sequence[Images]) -> Inference:
        """Classify images [N, C, H, W] of one caller or several, laid behind one another."""
        if self._bindings:
            rows = sum(map(len, parts))
            return self._bindings[min(size for size in self._bindings if size >= rows)].run(parts)
        images = parts[0] if len(parts) == 1 else np.concatenate(parts)
        if self._helpers is not None and len(images) >= _SHARED:
            return self._run_shared(_guided(images, self._threads), self._helpers)
        return self._run(images)

    def check(self, images: Images) -> None:
        """Refuse what is no image of this graph before it shares a batch with those that are.

        Raises
        ------
        ValueError
            If they are not uint8 [N, C, H, W], N at least 1, of its signature.
        """
        if images.dtype != np.uint8 or images.shape[1:] != self.signature.image:
            due = ", ".join(map(str, self.signature.image))
            raise ValueError(
                f"The images are {images.dtype} {list(images.shape)}; uint8 [N, {due}] is accepted."
            )
        if not len(images):
            raise ValueError("There are no images; one and more is accepted.")

    def probe(self) -> None:
        """Run one blank image; raise whatever that raises."""
        self.compute([self._blank(1)])

    def close(self) -> None:
        """End its threads and free its memory; it is not to be run again.

        Whoever still holds the graph holds no more than its description: a session that waited for
        the collector of cycles would keep its memory, a GPU's too, until that comes by.
        """
        if self._helpers is not None:
            self._helpers.shutdown()
        self._bindings = {}
        self._runtime = None

    def _run(self, images: Images) -> Inference:
        """Run images, cut into batches that were tried where another might end the process."""
        parts = cut_into(images, self._sizes)
        return joined([Inference(*self._runtime.run(OUTPUTS, {INPUT: part})) for part in parts])

    def _run_shared(self, parts: Sequence[Images], helpers: ThreadPoolExecutor) -> Inference:
        """Run parts on all threads: each takes the next when it is done, since some are held up."""
        waiting = deque(enumerate(parts))
        results: list[tuple[int, Inference]] = []

        def run_next() -> None:
            while True:
                try:
                    number, part = waiting.popleft()
                except IndexError:
                    return
                results.append((number, self._run(part)))

        running = [helpers.submit(run_next) for _ in range(self._threads - 1)]
        run_next()
        for each in running:
            each.result()
        return joined([result for _, result in sorted(results, key=itemgetter(0))])

    def _is_quick(self, data: bytes) -> bool:
        """Measure whether an image takes less than `QUICK`; what is quick runs on one thread then.

        On a busy machine threads wait for a core, and for one another: what takes longer by the
        clock, and might not by the processor, is asked again on one thread by its processor time.
        """
        seconds, own = self._seconds()
        if own >= QUICK or self._threads == 1:
            return own < QUICK
        on_all = self._runtime
        self._runtime = start(data, self.configuration, 1)
        self._warm(1)
        if seconds >= QUICK and self._seconds()[1] >= QUICK:
            self._runtime = on_all
            return False
        return True

    def _seconds(self) -> tuple[float, float]:
        """Measure an image by the clock, and by the processor time of this thread.

        Each is the shortest of a few runs, unless they are long.
        """
        seconds = own = math.inf
        for _ in range(5):
            began, processed = time.perf_counter(), time.thread_time()
            self.probe()
            own = min(own, time.thread_time() - processed)
            seconds = min(seconds, time.perf_counter() - began)
            if own > 10 * QUICK:
                break
        return seconds, own

    def _bind(self, size: int, memory: tuple[str, int]) -> Binding:
        return Binding(
            self._runtime,
            (INPUT, [size, *self.signature.image]),
            {name: [size, self.signature.classes] for name in OUTPUTS},
            memory,
            captured=self.configuration.captures,
        )

    def _blank(self, size: int) -> Images:
        return np.zeros((size, *self.signature.image), np.uint8)

    def _warm(self, size: int) -> None:
        """Run blank images: the first run allocates, and shows what shapes only promise."""
        classes = self.signature.classes
        try:
            result = self.compute([self._blank(size)])
        except Exception as error:  # onnxruntime's exceptions share no base class of their own
            raise GraphError(f"the graph does not run: {error}") from error
        for name, values in zip(OUTPUTS, result, strict=True):
            if values.shape != (size, classes):
                raise GraphError(
                    f"'{name}' has the shape {list(values.shape)} for {size} images where the "
                    f"card's {classes} classes ask for [{size}, {classes}]"
                )
            if not np.isfinite(values).all():
                raise GraphError(f"'{name}' of a blank image is not finite")


def _guided(images: Images, threads: int) -> Sequence[Images]:
    """Cut a batch into parts that threads take one after the other, so that they end together.

    Each part is half of what a thread's share of the rest would be: guided self-scheduling,
    Polychronopoulos and Kuck, IEEE Transactions on Computers C-36 (1987), by half because the first
    thread may be held up for long.
    """
    parts = []
    while len(images):
        size = max(_LEAST, -(-len(images) // (2 * threads)))
        parts.append(images[:size])
        images = images[size:]
    return parts


def start_first(
    data: bytes, candidates: ProviderCandidates, threads: int
) -> tuple[Any, ProviderConfiguration, str | None]:
    """Open a graph where it may run: session, configuration, why not on a better device.

    Raises
    ------
    GraphError
        If no configuration takes it, with the reason of each.
    """
    notes = [] if candidates.note is None else [candidates.note]
    for configuration in candidates.configurations:
        try:
            runtime = start(data, configuration, threads)
        except RuntimeError as error:
            notes.append(f"{configuration.device} does not take the graph: {error}")
        else:
            return runtime, configuration, "; ".join(notes) or None
    raise GraphError("; ".join(notes))


def _described(nodes: Sequence[Any]) -> str:
    return ", ".join(f"'{node.name}' {node.type} {node.shape}" for node in nodes) or "nothing"
