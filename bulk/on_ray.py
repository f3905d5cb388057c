"""Ray as the engine: a worker is an actor of Ray Data, and holds its model as long as a run lasts.

Nothing of Ray is reached from another machine, unless a cluster is named that is there already: it
listens on 127.0.0.1, has no dashboard, and sends no statistics of its use.
"""

import io
import logging
import os
import pickle
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Final

from artifact.cpus import cpu_budget
from artifact.product import bringing_extra
from bulk.engine import Lost, Make, Split
from bulk.temporary import temporary_folder
from imaging import RefusedError

DEFAULT_OBJECT_STORE: Final = 512
"""MiB."""

_MEBIBYTE: Final = 2**20
_DEATHS: Final = 3
"""How many workers a piece may end before it is cut, or given up."""

_IN_FLIGHT: Final = 2
"""Pieces that an actor has or waits for."""

_STARTS: Final = 3
"""How often Ray is started where its processes do not find each other in time."""

_ENVIRONMENT: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Its core writes its log to standard error, and what ends a run is told in a sentence.
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_agent_register_timeout_ms": "120000",
}

# Else 127.0.0.1 is taken for the address by which other machines reach this one.
_ALONE: Final = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}


@dataclass(frozen=True)
class RayOptions:
    """How Ray is used.

    Attributes
    ----------
    workers
        How many actors; by default as many as there are CPUs, or GPUs, for.
    object_store
        MiB of shared memory for what travels between processes; more is put on disk. Of a cluster
        that is there already it was chosen when that was started.
    address
        A cluster that is there already; None starts one in this machine, and ends it.
    """

    workers: int | None = None
    object_store: int = DEFAULT_OBJECT_STORE
    address: str | None = None


@dataclass(frozen=True)
class Needs:
    """What one worker takes up."""

    cpus: int = 1
    gpus: int = 0


class OnRay:
    """Ray Data: pieces go to actors as these have room, and results come back in order.

    Parameters
    ----------
    workers
        How many actors.
    needs
        What each of them takes up.
    """

    def __init__(self, workers: int, needs: Needs) -> None:
        self.workers, self._needs = workers, needs

    def run(
        self, make: Make[Any, Any], pieces: Sequence[Any], split: Split[Any] | None = None
    ) -> Iterator[tuple[Any, Any]]:
        """Yield each piece with its result, in their order; see `Engine`."""
        left, alone = list(pieces), False
        while left:
            lost = yield from self._round(make, left, alone=alone)
            left = []
            for piece in lost:
                parts = [piece] if split is None else split(piece)
                if len(parts) > 1 or not alone:
                    left += parts
                else:
                    yield piece, Lost(f"Every worker that was given it was killed, {_DEATHS} times")
            # What waited for a worker that died is lost with it: now none waits.
            alone = True

    def _round(
        self, make: Make[Any, Any], pieces: Sequence[Any], *, alone: bool
    ) -> Generator[tuple[Any, Any], None, list[Any]]:
        """Yield each piece with its result; return those that were lost."""
        items = [{"number": i, "piece": pickle.dumps(each)} for i, each in enumerate(pieces)]
        data = self._mapped(items, pickle.dumps(make), 1 if alone else _IN_FLIGHT)
        done = bytearray(len(items))
        for row in data.iter_rows():
            done[row["number"]] = True
            yield pieces[row["number"]], _given(pickle.loads(row["result"]))
        return [piece for piece, one in zip(pieces, done, strict=True) if not one]

    def _mapped(self, items: list[dict[str, Any]], make: bytes, in_flight: int) -> Any:
        import ray.data

        pool = ray.data.ActorPoolStrategy(
            size=min(self.workers, len(items)), max_tasks_in_flight_per_actor=in_flight
        )
        with warnings.catch_warnings():
            # The only way to say how often an actor is asked again, up to Ray 2.63.
            warnings.filterwarnings("ignore", "`ray_remote_args` is deprecated")
            return ray.data.from_items(items, override_num_blocks=len(items)).map(
                _Actor,
                fn_constructor_args=(make,),
                compute=pool,
                num_cpus=self._needs.cpus,
                num_gpus=self._needs.gpus,
                max_restarts=-1,
                max_task_retries=_DEATHS - 1,
            )


class _Actor:
    """What Ray Data calls: a worker that is made when it has its first piece."""

    def __init__(self, make: bytes) -> None:
        self._make = make
        self._work: Callable[[Any], Any] | None = None

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        result: Any
        try:
            if self._work is None:
                self._work = pickle.loads(self._make)()
            result = self._work(pickle.loads(row["piece"]))
        except Exception as error:  # it is raised where somebody can be told
            result = _Raised(_portable(error))
        return {"number": row["number"], "result": pickle.dumps(result)}


@dataclass(frozen=True)
class _Raised:
    error: Exception


def _portable(error: Exception) -> Exception:
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _given(result: Any) -> Any:
    if isinstance(result, _Raised):
        raise result.error
    return result


def check_installed() -> None:
    """Refuse a machine without Ray, before anything else is done."""
    if any(find_spec(each) is None for each in ("ray", "pandas", "pyarrow")):
        raise RefusedError(
            "The engine ray needs the extra 'ray', which is not installed; "
            f"{bringing_extra('ray')}."
        )


@contextmanager
def on_ray(options: RayOptions, needs: Needs) -> Iterator[OnRay]:
    """Start Ray, or join a cluster, and leave nothing of it behind.

    Raises
    ------
    RefusedError
        If the extra `ray` is not installed, Ray does not start, or there is no such cluster.
    """
    check_installed()
    os.environ.update(_ENVIRONMENT if options.address else {**_ENVIRONMENT, **_ALONE})
    # Of what goes wrong with its processes Ray tells standard output, which is for answers.
    with redirect_stdout(io.StringIO()), temporary_folder() as folder:
        import ray
        import ray.data

        try:
            with _silence():
                workers = _start(ray, options, needs, str(folder))
            _quiet(ray)
            yield OnRay(workers, needs)
        finally:
            ray.shutdown()


def _start(ray: Any, options: RayOptions, needs: Needs, folder: str) -> int:
    """Start Ray or join a cluster; return how many workers there are to be."""
    asked: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    if options.address is not None:
        _tried(1, lambda: ray.init(address=options.address, **asked), f"at {options.address}")
        there = ray.cluster_resources()
        most = (
            there.get("GPU", 0) // needs.gpus if needs.gpus else there.get("CPU", 0) // needs.cpus
        )
        return options.workers or max(1, int(most))
    workers = options.workers or (1 if needs.gpus else max(1, cpu_budget() // needs.cpus))
    _tried(
        _STARTS,
        lambda: ray.init(
            address="local",
            num_cpus=workers * needs.cpus,
            object_store_memory=options.object_store * _MEBIBYTE,
            include_dashboard=False,
            _node_ip_address="127.0.0.1",
            _temp_dir=folder,
            **asked,
        ),
        "here",
    )
    return workers


def _tried(times: int, start: Callable[[], object], where: str) -> None:
    import ray

    for left in reversed(range(times)):
        try:
            start()
            return
        except Exception as error:  # Ray raises Exception itself where its processes are too slow
            ray.shutdown()
            if not left:
                said = " ".join(str(error).split())[:200].rstrip(". ")
                raise RefusedError(f"Ray does not start {where}: {said}.") from error


def _quiet(ray: Any) -> None:
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = True
    context.execution_options.verbose_progress = False
    # A piece that ended its workers is left out, which shows by its number, and the rest goes on.
    context.max_errored_blocks = -1


@contextmanager
def _silence() -> Iterator[None]:
    """Keep what Ray's core writes when it starts off standard error: failures are exceptions."""
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)
