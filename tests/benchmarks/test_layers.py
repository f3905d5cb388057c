"""Where the microseconds go: each layer really runs, and a busy thread is told from an idle one."""

import os
import shutil
import threading
import time

import pytest

from benchmarks.layers import __main__ as layers

needs_wrk = pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")


def test_the_time_of_each_thread_is_its_own() -> None:
    ended = threading.Event()
    started: list[int] = []

    def work() -> None:
        started.append(threading.get_native_id())
        while not ended.is_set():
            pass

    thread = threading.Thread(target=work)
    thread.start()
    before = layers._ticks(os.getpid())
    time.sleep(0.3)
    after = layers._ticks(os.getpid())
    ended.set()
    thread.join()
    busy = after[started[0]] - before.get(started[0], 0)
    own = after[os.getpid()] - before[os.getpid()]
    assert busy > own + 5


@needs_wrk
@pytest.mark.slow
def test_every_layer_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    layers.main(["--rounds", "1", "--seconds", "1"])
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")][2:]
    assert len(rows) == len(layers.LAYERS)
    others = [int(row.split("|")[4]) for row in rows]
    assert others[:2] == [0, 0]
    assert min(others[2:]) > 20
