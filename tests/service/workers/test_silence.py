"""Which workers hang: those that are silent while whoever looks after them is not."""

import socket
from collections.abc import Iterator

import pytest

from service.workers.channel import Channel
from service.workers.questions import Worker
from service.workers.silence import Silence


class Clock:
    """Seconds that pass as the test says."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def worker() -> Iterator[Worker]:
    with socket.socket() as connection:
        yield Worker(0, 0, Channel(connection), heard=True)


def looks(silence: Silence, clock: Clock, worker: Worker, count: int, pause: float) -> list[int]:
    """Look so often; return at which looks the worker was found to hang."""
    found = []
    for number in range(1, count + 1):
        clock.now += pause
        if silence.look([worker]):
            found.append(number)
    return found


def test_a_worker_that_is_silent_for_too_long_is_found_once(clock: Clock, worker: Worker) -> None:
    assert looks(Silence(30, clock), clock, worker, 1000, 0.5) == [61]


def test_signs_of_life_are_enough_however_late_the_last_one_may_be(
    clock: Clock, worker: Worker
) -> None:
    silence = Silence(30, clock)
    for _ in range(10):
        assert not looks(silence, clock, worker, 30, 1)
        worker.silent = 0.0


def test_a_machine_that_stood_still_is_held_against_nobody(clock: Clock, worker: Worker) -> None:
    """Nobody gave signs of life then; nor did the supervisor look."""
    silence = Silence(30, clock)
    assert not looks(silence, clock, worker, 10, 3600)
    assert looks(silence, clock, worker, 50, 1) == [21]


def test_starting_a_device_may_take_longer(clock: Clock, worker: Worker) -> None:
    worker.heard = False
    assert looks(Silence(30, clock), clock, worker, 400, 1) == [301]


def test_a_worker_may_be_silent_for_ever_if_so_asked(clock: Clock, worker: Worker) -> None:
    assert not looks(Silence(0, clock), clock, worker, 10_000, 1)
