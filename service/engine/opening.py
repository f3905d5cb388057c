"""How a graph that is open here is opened in another process, or on another machine."""

from dataclasses import dataclass

from service.engine import nvidia
from service.engine.graph import Signature
from service.engine.limits import Limits
from service.engine.providers import ProviderCandidates, ProviderConfiguration
from service.engine.session import Classifier, Session


@dataclass(frozen=True)
class Opening:
    """A value that travels: the file, and how it runs.

    Attributes
    ----------
    configuration
        Where it ran; nothing else is tried.
    quick
        As for `Graph`: it was measured here.
    """

    data: bytes
    signature: Signature
    configuration: ProviderConfiguration
    threads: int
    limits: Limits
    quick: bool

    def open(self) -> Session:
        """Open it.

        Raises
        ------
        GraphError
            If it does not open there.
        """
        if self.configuration.memory is not None:
            nvidia.preload()
        here = ProviderCandidates((self.configuration,))
        return Session(self.data, self.signature, here, self.threads, self.limits, self.quick)

    def __call__(self) -> Classifier:
        """Open it, for what asks about logits alone."""
        return self.open().logits


def opening(session: Session, data: bytes) -> Opening:
    """Return how a session was opened, of these bytes of a file."""
    graph = session.graph
    return Opening(
        data, graph.signature, graph.configuration, session.threads, session.limits, graph.quick
    )
