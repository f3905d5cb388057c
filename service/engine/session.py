"""A graph that is served: asked by requests and by audits, and run by one thread of its own."""

import hashlib
from collections.abc import Callable, Coroutine
from typing import Any

from artifact.contract import Images
from service.engine.batcher import Batcher
from service.engine.graph import Graph, Signature
from service.engine.limits import DEFAULT_LIMITS, Limits
from service.engine.observer import Timing
from service.engine.providers import ProviderCandidates
from service.engine.queue import Compute, Floats, Inference

Classifier = Callable[[Images], Floats]
"""From images [N, C, H, W] to logits [N, K]: what an audit is handed."""


class Session(Batcher):
    """A batcher that owns its graph, and lets no images to it that are not the graph's.

    Requests (`infer`) gather into batches. Audits (`run`, `logits`) wait behind them, one batch at
    a time, and take a turn now and then however many requests come. Work that nobody waits for
    (`when_idle`) starts when neither wait.

    Parameters
    ----------
    data, signature, candidates, threads
        As for `Graph`.
    limits
        How much is computed at once and how much may wait.
    quick
        As for `Graph`.

    Raises
    ------
    GraphError
        If no configuration takes the graph, its ends are not the signature's, or it does not run.
    """

    def __init__(
        self,
        data: bytes,
        signature: Signature,
        candidates: ProviderCandidates,
        threads: int,
        limits: Limits = DEFAULT_LIMITS,
        quick: bool | None = None,
    ) -> None:
        self.threads = threads
        self.graph = Graph(data, signature, candidates, threads, limits.max_batch_size, quick)
        self._siblings = {_digest(data): self.graph}
        on_cpu = self.graph.configuration.memory is None
        super().__init__(self.graph.compute, self.graph.probe, limits, on_cpu=on_cpu)
        self.start()

    def infer(
        self,
        images: Images,
        deadline: float | None = None,
        timing: Timing | None = None,
        *,
        here: bool = False,
    ) -> Coroutine[Any, Any, Inference]:
        """Classify images as `Batcher.infer` does.

        Raises
        ------
        ValueError
            If they are not images of this graph.
        """
        self.graph.check(images)
        return super().infer(images, deadline, timing, here=here)

    def run(self, images: Images, compute: Compute | None = None) -> Inference:
        """Classify images as `Batcher.run` does.

        Raises
        ------
        ValueError
            If they are not images of this graph.
        """
        self.graph.check(images)
        return super().run(images, compute)

    def logits(self, images: Images) -> Floats:
        """Return the logits [N, K] alone: the callable that an audit is handed."""
        return self.run(images).logits

    def sibling(self, data: bytes) -> Classifier:
        """Open another graph of the same signature, once, to be run on this session's thread.

        What it is asked waits where this session's audits do. It ends with this session.
        """
        digest = _digest(data)
        if digest not in self._siblings:
            here = ProviderCandidates((self.graph.configuration,))
            size = self.limits.max_batch_size
            self._siblings[digest] = Graph(data, self.graph.signature, here, self.threads, size)
        graph = self._siblings[digest]
        return lambda images: self.run(images, graph.compute).logits

    def close(self) -> None:
        """Take nothing more, finish what was accepted and end the thread."""
        self.drain()
        for graph in self._siblings.values():
            graph.close()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
