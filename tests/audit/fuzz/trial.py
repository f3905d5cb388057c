"""Trying the graphs of many seeds, on several cores."""

import multiprocessing
import signal
import warnings
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, wait
from contextlib import suppress
from typing import Any

from pebble import ProcessPool
from pebble.common import ProcessExpired

from audit.proof import prove
from tests.audit.fuzz.draw import draw_graph
from tests.audit.fuzz.judge import Judgement, judge, run_alone

Tried = tuple[int, Judgement, set[str]]
BAD = ("unsound", "beyond its bound", "crash", "slow")

_CHUNK = 50


def try_seed(seed: int) -> Tried:
    """Draw the graph of a seed and judge it."""
    warnings.simplefilter("ignore")
    model = draw_graph(seed)
    return seed, judge(model), {node.op_type for node in model.graph.node}


def _try_all(seeds: range) -> list[Tried]:
    return [try_seed(seed) for seed in seeds]


def _prove(seed: int) -> list[Tried]:
    """Judge a graph on which the runtime dies: was it the proof that asked it?"""
    warnings.simplefilter("ignore")
    model = draw_graph(seed)
    with suppress(ValueError):
        prove(model.SerializeToString(), "C4", runtime=run_alone)
    return [(seed, Judgement("died", ""), {node.op_type for node in model.graph.node})]


def _leave_interrupts() -> None:
    """Let Ctrl-C reach the one process that prints."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def try_seeds(seeds: range, workers: int) -> Iterator[Tried]:
    """Try many seeds, in no order; of those on which a process dies, it is found which and why."""
    context = multiprocessing.get_context("spawn")
    with ProcessPool(workers, initializer=_leave_interrupts, context=context) as pool:
        pieces = (seeds[start : start + _CHUNK] for start in range(0, len(seeds), _CHUNK))
        waiting = {pool.schedule(_try_all, args=[piece]): piece for piece in pieces}
        proving: dict[Any, int] = {}
        try:
            while waiting or proving:
                for done in wait({*waiting, *proving}, return_when=FIRST_COMPLETED).done:
                    piece = waiting.pop(done, None)
                    try:
                        yield from done.result()
                    except ProcessExpired as death:
                        if piece is None:
                            yield proving[done], Judgement("crash", "", detail=str(death)), set()
                        elif len(piece) == 1:
                            proving[pool.schedule(_prove, args=[piece[0]])] = piece[0]
                        else:
                            ones = (range(seed, seed + 1) for seed in piece)
                            waiting |= {pool.schedule(_try_all, args=[one]): one for one in ones}
                    proving.pop(done, None)
        finally:
            pool.stop()
