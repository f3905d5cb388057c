"""Trying the graphs of many seeds, on several cores."""

import multiprocessing
import signal
import warnings
from collections.abc import Iterator

from tests.audit.fuzz.draw import draw_graph
from tests.audit.fuzz.judge import Judgement, judge

Tried = tuple[int, Judgement, set[str]]
BAD = ("unsound", "beyond its bound", "crash", "slow")


def try_seed(seed: int) -> Tried:
    """Draw the graph of a seed and judge it."""
    warnings.simplefilter("ignore")
    model = draw_graph(seed)
    return seed, judge(model), {node.op_type for node in model.graph.node}


def _leave_interrupts() -> None:
    """Let Ctrl-C reach the one process that prints."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def try_seeds(seeds: range, workers: int) -> Iterator[Tried]:
    """Try many seeds, in no order."""
    with multiprocessing.get_context("spawn").Pool(workers, _leave_interrupts) as pool:
        yield from pool.imap_unordered(try_seed, seeds, chunksize=50)
