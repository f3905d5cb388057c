"""Requests come whether or not the last was answered, and the bar is held to the p99's ratio."""

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from random import Random

import numpy as np
import pytest

from benchmarks.serving.wrk import Load, LoadError
from benchmarks.shadow.open_loop import content_length, drive
from benchmarks.shadow.report import Row, bars, rows, table
from benchmarks.shadow.rounds import CONTROL, LOADS, WITHOUT, Counted, Turn, in_turn

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


def turn_of(*latencies: float, trials: float = 0.0) -> Turn:
    """A turn of one second."""
    return Turn(Load(len(latencies), 1.0, np.array(latencies)), Counted(trials, 0.0))


def round_of(turns: int = 4, **p99: float) -> dict[tuple[str, str], list[Turn]]:
    p99 = {WITHOUT: 0.002, CONTROL: 0.002, "0.1": 0.002} | p99
    return {
        (load, name): turns * [turn_of(*[0.001] * 90, *[each] * 10, trials=30.0 * (name == "0.1"))]
        for load in LOADS
        for name, each in p99.items()
    }


def row_of(found: Sequence[Row], load: str, name: str) -> Row:
    (row,) = [row for row in found if (row.load, row.name) == (load, name)]
    return row


def test_a_bar_is_the_ratio_of_what_all_turns_together_took() -> None:
    slow = round_of(**{WITHOUT: 0.02, "0.1": 0.0209})  # a slow round, for both alike
    lines = [str(bar) for bar in bars(rows([round_of(), slow]))]
    assert len(lines) == len(LOADS)
    assert all(line.endswith("1.045, at most 1.05 required, met") for line in lines)
    assert all(line.startswith("p99 with shadow audits, of that without") for line in lines)
    (late, _) = bars(rows([round_of(**{"0.1": 0.00212})]))
    assert str(late).endswith("1.060, at most 1.05 required, NOT met")


def test_turns_without_a_slow_request_count_as_much_as_those_with_one() -> None:
    """A median over turns would say that nothing is ever late."""
    calm, late = [turn_of(*[0.001] * 100)] * 3, [turn_of(*[0.001] * 90, *[0.004] * 10)]
    found = rows([dict.fromkeys(round_of(), calm + late)])
    assert row_of(found, "open", "0.1").quantiles.tolist() == [0.001, 0.004]


def test_an_interval_holds_what_other_turns_would_have_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("benchmarks.shadow.report.RESAMPLES", 100)
    random, within = np.random.default_rng(5), 0
    names = (WITHOUT, CONTROL, "0.1")
    for _ in range(30):
        same = [
            {
                (load, name): [
                    turn_of(*(random.exponential(size=50) * random.uniform(1, 2))) for _ in range(8)
                ]
                for load in LOADS
                for name in names
            }
            for _ in range(6)
        ]
        row = row_of(rows(same), "open", "0.1")
        assert (row.low <= row.ratios).all()
        assert (row.ratios <= row.high).all()
        within += row.low[0] <= 1 <= row.high[0]
    assert within >= 24  # of 30 intervals of 95 %, from six rounds each


def test_an_interval_knows_that_no_two_processes_are_equally_fast() -> None:
    rounds = [round_of(**{"0.1": 0.002 * ratio}) for ratio in (0.9, 1.0, 1.1)]
    row = row_of(rows(2 * rounds), "closed", "0.1")
    assert row.low[1] == pytest.approx(1.0)  # what no turns of the slowest processes would say
    assert row.high[1] == pytest.approx(1.1)


def test_a_share_of_which_nothing_was_tried_meets_nothing() -> None:
    figures = round_of()
    untried = [Turn(turn.load, Counted(0.0, 50.0)) for turn in figures["open", "0.1"]]
    opened, _ = bars(rows([figures | {("open", "0.1"): untried}]))
    assert str(opened).endswith("not measured, at most 1.05 required, NOT met")


def test_the_table_has_a_line_for_each_load_and_server() -> None:
    lines = list(table(rows([round_of(), round_of()])))
    assert len(lines) == 2 + len(LOADS) * 3
    assert len({line.count("|") for line in lines}) == 1
    same = "1.000 (1.000 to 1.000)"
    assert f"| 0.1 | 100 | 1.00 | 2.00 | {same} | {same} | 240 | 0 |" in lines[4]


def test_each_service_has_each_place_in_a_round_equally_often() -> None:
    names = ["a", "b", "c"]
    orders = [tuple(in_turn(names, number)) for number in range(6)]
    for place in range(3):
        assert sorted(order[place] for order in orders) == sorted(2 * names)
    assert len(set(orders)) == 6  # and before and behind each other one
