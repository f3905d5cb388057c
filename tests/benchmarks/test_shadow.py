"""Requests come at their times, audits are switched meanwhile, and the p99's ratio is held."""

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import permutations
from pathlib import Path
from random import Random

import numpy as np
import pytest

from benchmarks.serving.model import open_model_under_test
from benchmarks.serving.wrk import LoadError
from benchmarks.shadow.open_loop import Answered, content_length, drive, poisson
from benchmarks.shadow.report import Row, bars, rows, table
from benchmarks.shadow.rounds import (
    CLOSED,
    CONTROL,
    CYCLES,
    GUARD,
    LOADS,
    OPEN,
    PHASE,
    STATES,
    WITH,
    WITHOUT,
    Counted,
    Round,
    Run,
    Turn,
    by_state,
    counted,
    in_turn,
)

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


@pytest.mark.slow
def test_a_pause_of_the_server_is_felt_by_all_that_were_due_in_it() -> None:
    """A load that waits for an answer would send one request in that time, and see one slow one."""

    def answer(number: int) -> bytes:
        time.sleep(0.5 if number == 5 else 0)
        return OK

    with serving(answer) as port:
        answered = drive(port, [REQUEST], poisson(120, 0.55, Random(1)))
    assert 30 < len(answered.latencies) < 110
    assert np.quantile(answered.latencies, 0.5) > 0.15
    assert np.quantile(answered.latencies, 0.99) > 0.35


def test_a_request_is_announced_at_the_time_from_which_its_latency_counts() -> None:
    announced: list[float] = []
    with serving(lambda _: OK) as port:
        answered = drive(port, [REQUEST], times := poisson(100, 0.5, Random(1)), announced.append)
    assert announced == times == sorted(answered.due.tolist())


def test_times_are_those_of_a_poisson_process() -> None:
    """As many a second as asked for; gaps have the mean and the deviation of an exponential."""
    times = np.array(poisson(1000, 20, Random(1)))
    gaps = np.diff(times)
    assert 0 < times[0] < times[-1] < 20
    assert len(times) == pytest.approx(20_000, rel=0.03)
    assert gaps.mean() == pytest.approx(0.001, rel=0.03)
    assert gaps.std() == pytest.approx(0.001, rel=0.05)


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
        drive(port, [REQUEST], poisson(200, 0.5, Random(1)))


def test_a_length_is_read_whatever_its_case() -> None:
    assert content_length(b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\nA: b") == 17


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.shadow.report.RESAMPLES", 60)


def turn_of(seconds: float = 1.0, trials: float = 0.0, **p99: float) -> Turn:
    """A turn in which each state had 90 requests of 1 ms, and 10 of its p99."""
    p99 = dict.fromkeys(STATES, 0.002) | p99
    latencies = {state: np.array([0.001] * 90 + [each] * 10) for state, each in p99.items()}
    return Turn(latencies, seconds, Counted(trials, 0.0))


def round_of(*turns: Turn) -> Round:
    return {(load, "0.1"): turns for load in LOADS}


def row_of(found: Sequence[Row], load: str, state: str) -> Row:
    (row,) = [row for row in found if (row.load, row.state) == (load, state)]
    return row


def test_a_bar_is_the_ratio_of_what_all_turns_together_took() -> None:
    slow = dict.fromkeys(STATES, 0.02) | {WITH: 0.0209}  # a slow turn, for all alike
    turns = [turn_of(trials=30), turn_of(trials=30, **slow)]
    lines = [str(bar) for bar in bars(rows([round_of(*turns)]))]
    assert len(lines) == len(LOADS)
    assert all(line.endswith("1.045, at most 1.05 required, met") for line in lines)
    assert all(line.startswith("p99 with shadow audits, of that without") for line in lines)
    (late, _) = bars(rows([round_of(turn_of(trials=30, **{WITH: 0.00212}))]))
    assert str(late).endswith("1.060, at most 1.05 required, NOT met")


def test_turns_without_a_slow_request_count_as_much_as_those_with_one() -> None:
    """A median over turns would say that nothing is ever late."""
    calm = [turn_of(**{WITH: 0.001}) for _ in range(3)]
    found = rows([round_of(*calm, turn_of(**{WITH: 0.004}))])
    assert row_of(found, OPEN, WITH).quantiles.tolist() == [0.001, 0.004]


def test_what_was_seen_without_is_all_that_was() -> None:
    """A slow half of it would else pass for what audits gain, or cost."""
    found = rows([round_of(turn_of(**{WITHOUT: 0.003, CONTROL: 0.001, WITH: 0.003}))])
    assert row_of(found, OPEN, WITHOUT).ratios.tolist() == [1, 1]
    assert row_of(found, OPEN, CONTROL).ratios[1] == pytest.approx(1 / 3)
    assert row_of(found, OPEN, WITH).ratios[1] == pytest.approx(1)
    found = rows([round_of(turn_of(**{WITHOUT: 0.001, CONTROL: 0.003, WITH: 0.003}))])
    assert row_of(found, OPEN, WITH).ratios[1] == pytest.approx(1)


@pytest.mark.slow
def test_an_interval_holds_what_other_turns_would_have_said() -> None:
    random, within = np.random.default_rng(5), 0

    def turn() -> Turn:
        slowness = random.uniform(1, 2)  # of the machine, for all alike
        return Turn(
            {state: random.exponential(size=50) * slowness for state in STATES},
            1.0,
            Counted(1.0, 0.0),
        )

    for _ in range(20):
        found = rows([round_of(*(turn() for _ in range(4))) for _ in range(6)])
        row = row_of(found, OPEN, WITH)
        assert (row.low <= row.ratios).all()
        assert (row.ratios <= row.high).all()
        within += row.low[0] <= 1 <= row.high[0]
    assert within >= 15  # of 20 intervals of 95 %, from six rounds each


def test_an_interval_knows_that_no_two_processes_are_alike() -> None:
    rounds = [round_of(*4 * [turn_of(**{WITH: 0.002 * ratio})]) for ratio in (0.9, 1.0, 1.1)]
    row = row_of(rows(2 * rounds), CLOSED, WITH)
    assert row.low[1] == pytest.approx(1.0)  # what no turns of the slowest processes would say
    assert row.high[1] == pytest.approx(1.1)


def test_a_share_of_which_nothing_was_tried_meets_nothing() -> None:
    opened, _ = bars(rows([round_of(turn_of(trials=0))]))
    assert str(opened).endswith("not measured, at most 1.05 required, NOT met")


def test_the_table_has_a_line_for_each_share_load_and_state() -> None:
    one = round_of(*4 * [turn_of(trials=30)])
    both = one | {(load, "1"): turns for (load, _), turns in one.items()}
    lines = list(table(rows([both, both])))
    assert len(lines) == 2 + 2 * len(LOADS) * len(STATES)
    assert len({line.count("|") for line in lines}) == 1
    same = "1.000 (1.000 to 1.000)"
    assert lines[2].startswith("| 0.1 | random times | without | 100 | 1.00 | 2.00 |")
    assert lines[4] == (
        f"| 0.1 | random times | with | 100 | 1.00 | 2.00 | {same} | {same} | 240 | 0 |"
    )


def test_each_state_has_each_place_equally_often() -> None:
    orders = [tuple(in_turn(STATES, number)) for number in range(CYCLES)]
    for place in range(len(STATES)):
        assert sorted(order[place] for order in orders) == sorted(CYCLES // 3 * STATES)
    assert all(orders.count(order) == CYCLES // 6 for order in permutations(STATES))


def test_a_latency_counts_for_the_state_in_which_its_request_was_due() -> None:
    """Not for that in which it was answered; just after a switch it counts for none."""
    due = np.array([0.1, PHASE - 0.001, PHASE + GUARD / 2, PHASE + 2 * GUARD, 2.5 * PHASE])
    found = by_state(Answered(due, np.array([1.0, 2.0, 3.0, 4.0, 5.0])), [WITH, WITHOUT, CONTROL])
    assert {state: each.tolist() for state, each in found.items()} == {
        WITH: [1.0, 2.0],
        WITHOUT: [4.0],
        CONTROL: [5.0],
    }


@pytest.mark.slow
def test_no_image_is_tried_while_audits_are_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither one that is sent then, nor one that was chosen before and waits."""
    monkeypatch.setenv("ORBITSERVE_SHADOW_TIME", "0.01")  # more are chosen than can be tried
    under_test = open_model_under_test(Path("model_repository/rotmnist-c4-int8/1/model.onnx"), 1)
    run = Run(under_test, [1.0], turns=1, rate=100.0)
    with run.started(1.0) as (port, shadow, requests):

        def tried(on: bool) -> Counted:
            shadow.turn(on)
            before = counted(port)
            drive(port, requests, poisson(200, 0.5, Random(1)))
            return counted(port).since(before)

        assert tried(False) == Counted(0, 0)
        assert tried(True).trials > 0
        shadow.turn(False)
        drive(port, requests, [0.0])  # it is answered after the trial that is under way
        assert tried(False) == Counted(0, 0)
