"""What is asked of all workers reaches all, those too that are started meanwhile."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from service.workers.channel import Channel
from service.workers.messages import (
    TO_WORKER,
    Answer,
    Answers,
    Ask,
    Load,
    Poll,
    Put,
    Reading,
    Reply,
    ToWorker,
    Unload,
)
from service.workers.questions import Questions, Worker


class Heard:
    """A worker, and what it is told."""

    def __init__(self, number: int) -> None:
        supervisors, self._own = socket.socketpair()
        self._own.setblocking(False)
        self._reading = Reading()
        self.worker = Worker(number, 0, Channel(supervisors))

    def messages(self) -> list[ToWorker]:
        try:
            return [*map(TO_WORKER.decode, self._reading.take(self._own.recv(2**16)))]
        except BlockingIOError:
            return []

    def close(self) -> None:
        self._own.close()
        self.worker.channel.close()


@pytest.fixture
def workers() -> Iterator[list[Heard]]:
    with ExitStack() as stack:
        found = [Heard(number) for number in range(3)]
        for each in found:
            stack.callback(each.close)
        yield found


def test_a_change_that_goes_on_reaches_a_worker_that_is_started_meanwhile(
    workers: list[Heard],
) -> None:
    questions = Questions()
    first, second, new = workers
    for each in (first, second):
        questions.join(each.worker)
    questions.ask(first.worker, Ask(1, Unload("turning")))
    for each in (first, second):
        questions.answered(each.worker, Reply(1, Answer()))
    assert questions.unloaded == {"turning"}
    for each in (first, second):
        each.messages()

    questions.poll()
    questions.ask(first.worker, Ask(2, Load("turning")))
    # It is forked while the others load; at its start it is told that the model is unloaded.
    assert questions.unloaded == {"turning"}
    questions.join(new.worker)
    assert new.messages() == [Put(3, Load("turning"))]
    assert first.messages() == [Put(2, Poll()), Put(3, Load("turning"))]

    for each in (first, second):
        questions.answered(each.worker, Reply(3, Answer()))
    assert first.messages() == []
    questions.answered(new.worker, Reply(3, Answer()))
    assert first.messages() == [Answers(2, [Answer()] * 3)]
    assert questions.unloaded == set()
