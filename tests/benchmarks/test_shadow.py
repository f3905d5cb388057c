"""Requests come whether or not the last was answered, and the bar is held to the p99's ratio."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from random import Random

import pytest

from benchmarks.serving.wrk import Load, LoadError
from benchmarks.shadow.open_loop import content_length, drive
from benchmarks.shadow.report import bars, table
from benchmarks.shadow.rounds import CONTROL, LOADS, WITHOUT, Counted, Figure, in_turn

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
REQUEST = b"GET / HTTP/1.1\r\n\r\n"


@contextmanager
def serving(answer: Callable[[int], bytes]) -> Iterator[int]:
    """Answer the n-th request of all by what `answer` returns; one at a time, as an engine does."""
    turn, count = threading.Lock(), iter(range(10**6))

    def talk(connection: socket.socket) -> None:
        with connection, suppress(OSError):  # the client has gone
            while connection.recv(2**16):
                with turn:
                    said = answer(next(count))
                connection.sendall(said[:5])  # an answer need not come in one piece
                connection.sendall(said[5:])

    def listen() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=talk, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def test_a_pause_of_the_server_is_felt_by_all_that_were_due_in_it() -> None:
    """A load that waits for an answer would send one request in that time, and see one slow one."""

    def answer(number: int) -> bytes:
        time.sleep(1.0 if number == 5 else 0)
        return OK

    with serving(answer) as port:
        load = drive(port, [REQUEST], rate=60, seconds=1.1, random=Random(1))
    assert 30 < load.requests < 110
    assert load.p50 > 0.3
    assert load.p99 > 0.7


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        (b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n", "503"),
        (b"HTTP/1.1 200 OK\r\n\r\nforever", "how long"),
    ],
)
def test_what_is_no_answer_is_not_counted_as_one(said: bytes, complaint: str) -> None:
    with (
        serving(lambda _: said) as port,
        pytest.raises(LoadError, match=complaint),
    ):
        drive(port, [REQUEST], rate=200, seconds=0.5, random=Random(1))


def test_a_length_is_read_whatever_its_case() -> None:
    assert content_length(b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\nA: b") == 17


def round_of(**p99: float) -> dict[tuple[str, str], Figure]:
    p99 = {WITHOUT: 0.002, CONTROL: 0.002, "0.1": 0.002} | p99
    return {
        (load, name): Figure(Load(1000, 1.0, 0.001, each), Counted(30.0 * (name == "0.1"), 0.0))
        for load in LOADS
        for name, each in p99.items()
    }


def test_a_bar_is_the_median_of_ratios_within_rounds() -> None:
    slow = round_of(**{WITHOUT: 0.02, "0.1": 0.0209})  # a slow round, for both alike
    lines = [str(bar) for bar in bars([round_of(), slow, round_of(**{"0.1": 0.0022})])]
    assert len(lines) == len(LOADS)
    assert all(line.endswith("1.045, at most 1.05 required, met") for line in lines)
    assert all(line.startswith("p99 with shadow audits, of that without") for line in lines)
    (late, _) = bars([round_of(**{"0.1": 0.00212})])
    assert str(late).endswith("1.060, at most 1.05 required, NOT met")


def test_a_share_of_which_nothing_was_tried_meets_nothing() -> None:
    figures = round_of()
    untried = figures["open", "0.1"].load
    opened, _ = bars([figures | {("open", "0.1"): Figure(untried, Counted(0.0, 50.0))}])
    assert str(opened).endswith("not measured, at most 1.05 required, NOT met")


def test_the_table_has_a_row_for_each_load_and_server() -> None:
    lines = list(table([round_of(), round_of()]))
    assert len(lines) == 2 + len(LOADS) * 3
    assert len({line.count("|") for line in lines}) == 1
    assert (
        "| 0.1 | 1,000 | 1.00 | 2.00 | 1.000 (1.00 to 1.00) | 1.000 (1.00 to 1.00) | 60 | 0 |"
        in (lines[4])
    )


def test_each_service_has_each_place_in_a_round_equally_often() -> None:
    names = ["a", "b", "c"]
    orders = [tuple(in_turn(names, number)) for number in range(6)]
    for place in range(3):
        assert sorted(order[place] for order in orders) == sorted(2 * names)
    assert len(set(orders)) == 6  # and before and behind each other one
