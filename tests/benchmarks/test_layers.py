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
    before, busy = layers.ticks(os.getpid()), 0
    until = time.monotonic() + 60
    while busy < 10 and time.monotonic() < until:
        ended.wait(0.05)  # and computes nothing
        after = layers.ticks(os.getpid())
        busy = after[started[0]] - before.get(started[0], 0)
    ended.set()
    thread.join()
    assert busy > after[os.getpid()] - before[os.getpid()] + 5


@needs_wrk
@pytest.mark.slow
def test_each_kind_of_layer_is_measured(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    http, _, engine, service, _, _, grpc, grpc_service = layers.LAYERS
    kinds = [http, engine, service]
    kinds += [grpc, grpc_service] if shutil.which("h2load") else []
    monkeypatch.setattr(layers, "LAYERS", kinds)
    layers.main(["--rounds", "1", "--seconds", "1"])
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")][2:]
    assert len(rows) == len(kinds)
    others = [int(row.split("|")[4]) for row in rows]
    assert others[0] == 0
    assert min(others[1:]) > 20
    assert others[3:4] < others[4:] or len(kinds) == 3
