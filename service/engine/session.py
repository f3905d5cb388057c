"""A graph that is served: asked by requests and by audits, and run by one thread of its own."""

import numpy as np

from artifact.contract import Images
from service.engine.batcher import Batcher
from service.engine.graph import Graph, Signature
from service.engine.observer import Observer, Timing
from service.engine.priorities import IdleWork
from service.engine.providers import ProviderCandidates, ProviderConfiguration
from service.engine.queue import (
    DEFAULT_LIMITS,
    Floats,
    Inference,
    Limits,
)


class AuditedGraph:
    """A graph that is asked one batch after the other, on a thread that others share.

    Parameters
    ----------
    graph
        What runs.
    batcher
        Owns the thread that it runs on.
    """

    def __init__(self, graph: Graph, batcher: Batcher) -> None:
        self.graph = graph
        self._batcher = batcher

    def run(self, images: Images) -> Inference:
        """Classify images [N, C, H, W] behind all requests, waiting for the result.

        Not to be called on an event loop. More images than a batch holds are several batches.

        Raises
        ------
        ValueError
            If they are not images of this graph.
        EngineError
            If the engine is down or ends, or the images make the graph fail.
        """
        self._check(images)
        return self._batcher.run(images, self.graph.compute)

    def logits(self, images: Images) -> Floats:
        """Return the logits [N, K] alone: the callable that an audit is handed."""
        return self.run(images).logits

    def _check(self, images: Images) -> None:
        """Refuse what is no image of this graph before it shares a batch with those that are."""
        if images.dtype != np.uint8 or images.shape[1:] != self.graph.signature.image:
            due = ", ".join(map(str, self.graph.signature.image))
            raise ValueError(
                f"The images are {images.dtype} {list(images.shape)}; uint8 [N, {due}] is accepted."
            )
        if not len(images):
            raise ValueError("There are no images; one and more is accepted.")


class Session(AuditedGraph):
    """Runs one graph on one thread, in batches of whatever waits for it.

    Requests (`infer`) gather into batches. Audits (`run`, `logits`) wait behind them in the same
    session, one batch at a time, and take a turn now and then however many requests come. Work that
    nobody waits for (`when_idle`) starts when neither wait.

    Parameters
    ----------
    data, signature, candidates, threads
        As for `Graph`.
    limits
        How much is computed at once and how much may wait.

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
    ) -> None:
        self.threads = threads
        self.limits = limits
        graph = Graph(data, signature, candidates, threads, limits.max_batch_size)
        batcher = Batcher(
            graph.compute,
            graph.probe,
            limits,
            on_cpu=graph.configuration.memory is None,
        )
        super().__init__(graph, batcher)
        self._siblings: list[Graph] = []
        self._batcher.start()

    @property
    def configuration(self) -> ProviderConfiguration:
        """Where the graph runs."""
        return self.graph.configuration

    @property
    def note(self) -> str | None:
        """Why it does not run on a better device, if that was tried."""
        return self.graph.note

    @property
    def nodes(self) -> dict[str, list[str]]:
        """By execution provider, the nodes that it was given."""
        return self.graph.nodes

    @property
    def ready(self) -> bool:
        """Whether requests are taken: not after a crash until a probe works, nor while ending."""
        return self._batcher.ready

    @property
    def waiting(self) -> int:
        """How many images of requests wait."""
        return self._batcher.waiting

    @property
    def pending(self) -> int:
        """How many requests wait."""
        return self._batcher.pending

    def observe(self, observer: Observer) -> None:
        """Tell an observer of every batch and every drop from now on."""
        self._batcher.observers.append(observer)

    def check_room(self, rows: int) -> None:
        """Raise the EngineError that so many images would be refused with if they came now."""
        self._batcher.check_room(rows)

    async def infer(
        self,
        images: Images,
        deadline: float | None = None,
        timing: Timing | None = None,
        *,
        here: bool = False,
    ) -> Inference:
        """Classify images [N, C, H, W], N at least 1, in a batch with those of other requests.

        Parameters
        ----------
        deadline
            A point of `time.monotonic` after which no one waits for the answer.
        timing
            Where to note where the time went.
        here
            Whether a quick graph may be run here and now, on the event loop, if nothing else is in
            hand: for a caller who knows that no other request is on its way through this loop.

        Raises
        ------
        ValueError
            If they are not images of this graph.
        EngineError
            If the request is refused, late, or its images make the graph fail.
        """
        self._check(images)
        return await self._batcher.infer(images, deadline, timing, here=here)

    def has_idle_room(self) -> bool:
        """Return whether work may wait for an idle moment now, or is too much waiting."""
        return self._batcher.has_idle_room()

    def when_idle(self, work: IdleWork) -> None:
        """Run work over this graph when nothing else waits; it is told if it is dropped instead."""
        self._batcher.when_idle(work)

    def sibling(self, data: bytes) -> AuditedGraph:
        """Open another graph of the same signature beside this one, on this session's thread.

        What it is asked waits where this session's audits do. It ends with this session.
        """
        here = ProviderCandidates((self.configuration,))
        graph = Graph(data, self.graph.signature, here, self.threads, self.limits.max_batch_size)
        self._siblings.append(graph)
        return AuditedGraph(graph, self._batcher)

    def close(self) -> None:
        """Take nothing more, finish what was accepted and end the thread."""
        self._batcher.drain()
        for graph in (self.graph, *self._siblings):
            graph.close()
