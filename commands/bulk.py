"""How the options of a command choose who works through images in bulk."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from bulk.engine import Engine, Here
from bulk.on_ray import DEFAULT_OBJECT_STORE, Needs, RayOptions, check_installed, on_ray
from imaging import RefusedError


@dataclass(frozen=True)
class EngineOptions:
    """What was asked for.

    Raises
    ------
    RefusedError
        If Ray is asked for and not installed, or is not and has options.
    """

    name: Literal["local", "ray"] = "local"
    workers: int | None = None
    object_store: int | None = None
    address: str | None = None

    def __post_init__(self) -> None:
        if self.on_ray:
            check_installed()
        elif (self.workers, self.object_store, self.address) != (None, None, None):
            raise RefusedError(
                "--workers, --object-store and --ray-address are for workers of Ray; --engine ray "
                "asks for them."
            )

    @property
    def on_ray(self) -> bool:
        """Whether it is Ray."""
        return self.name == "ray"

    @contextmanager
    def started(self, needs: Needs) -> Iterator[tuple[Engine, int]]:
        """Start the engine; return it and how many workers there are."""
        if not self.on_ray:
            yield Here(), 1
            return
        store = DEFAULT_OBJECT_STORE if self.object_store is None else self.object_store
        with on_ray(RayOptions(self.workers, store, self.address), needs) as engine:
            yield engine, engine.workers


def needs_of(threads: int, *, quick: bool, on_gpu: bool) -> Needs:
    """What a worker takes up that holds a session: a quick graph computes on one thread at a time.

    A batch of such a graph is computed in the same parts however many threads there are.
    """
    return Needs(cpus=1 if quick or on_gpu else threads, gpus=1 if on_gpu else 0)
