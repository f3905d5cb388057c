"""Dynamic batching: one thread runs a graph over whatever waits for it.

An idle engine never waits: what came in one turn of the event loop leaves at its end, and requests
gather only while a batch runs. Each batch wakes the thread once and the event loop once. Audits
wait in a queue of their own and are served when no request waits, or when they have let enough
batches of requests pass. Idle work starts, on the thread alone, when neither waits and
the event loop, asked, has nothing to do either: an empty queue may mean that it is still reading.

On a CPU a lone request of a quick graph is computed where it came in, since going to the thread and
back would take longer than the graph. And a batch is half of what waits, so that the event loop
answers one half while the other is computed.
"""

import asyncio
import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future

import structlog

from artifact.contract import Images
from service.engine.errors import DeadlineError, EngineDownError, EngineError, QueueFullError
from service.engine.graph import QUICK
from service.engine.idle_detector import IdleDetector
from service.engine.limits import Limits
from service.engine.observer import Batch, Observer, Timing
from service.engine.priorities import AuditQueue, IdleQueue, IdleTask, IdleWork, Job, Task
from service.engine.queue import (
    Compute,
    Inference,
    Outcome,
    Request,
    RequestQueue,
    Slice,
    deal,
    deliver,
    expire,
    failure,
    joined,
)
from service.engine.timeout_scanner import TimeoutScanner

_LONGEST_PAUSE = 10.0  # seconds between two probes of an engine that has crashed
_WORTHWHILE = 8  # rows from which on a CPU gains nothing by more of them at once
_DEADLINE_SECONDS = 0.01  # that a wait may go on past its deadline
_SHORTEST_NAP = 0.001  # seconds, of the thread when it sleeps until idle work may run
_CRASHED = "The model's engine crashed on the batch of this request; it restarts, try again."

log = structlog.get_logger()


class Batcher:
    """Owns the thread that runs a graph, and what waits for it.

    Parameters
    ----------
    compute
        Runs the graph of the requests.
    probe
        Runs it over a blank image; raises if it does not work.
    limits
        Bounds on a batch and on what may wait.
    clock
        Seconds, of which deadlines are a point: `time.monotonic` unless a test says otherwise.
    retry_seconds
        How long to wait after a probe that fails; doubled after each further one.
    on_cpu
        Whether the graph runs on the cores that the event loop runs on too.
    """

    def __init__(
        self,
        compute: Compute,
        probe: Callable[[], object],
        limits: Limits,
        *,
        clock: Callable[[], float] = time.monotonic,
        retry_seconds: float = 0.1,
        on_cpu: bool = False,
    ) -> None:
        self.limits = limits
        self.observers: list[Observer] = []
        self.compute, self.probe = compute, probe
        self._clock, self._retry_seconds = clock, retry_seconds
        self._on_cpu = on_cpu
        self._deadlines = TimeoutScanner(self._expire, _DEADLINE_SECONDS)
        self._changed = threading.Condition(threading.Lock())  # guards what follows
        self._requests = RequestQueue(limits.max_queue_size)
        self._jobs = AuditQueue()
        self._spare = IdleQueue(limits.max_idle_share)
        self._idle = self._held = False  # the thread waits; it is held off while a batch runs here
        self._idle_detector = IdleDetector(self._changed, self._pause, self._busy)
        self._draining = self._down = self._crashed = False
        self._thread: threading.Thread | None = None
        # The rest belongs to whoever runs a batch.
        self._in_hand: Sequence[Slice] | Task = ()
        self._seconds_per_row = 0.0

    @property
    def ready(self) -> bool:
        """Whether requests are taken: false after a crash until a probe works, and while ending."""
        return not (self._down or self._draining)

    @property
    def waiting(self) -> int:
        """Rows of requests that wait; those in the batch that runs no longer do."""
        return self._requests.rows

    @property
    def pending(self) -> int:
        """Requests that wait."""
        return len(self._requests)

    def start(self) -> None:
        """Start the thread."""
        # A daemon, so that a command that ends without draining ends.
        self._thread = threading.Thread(target=self._loop, name="inference", daemon=True)
        self._thread.start()

    def drain(self) -> None:
        """Take nothing more, wait until all that was accepted is answered, and end the thread.

        After a crash what waits gets one more probe, and is refused if that fails. What waits for
        an idle moment is dropped at once.
        """
        with self._changed:
            self._draining = True
            dropped = self._spare.clear()
            self._changed.notify()
        for task in dropped:
            task.drop("down")
        if self._thread is not None:
            self._thread.join()

    def check_room(self, rows: int) -> None:
        """Raise what `infer` would if so many rows came now: for callers with work to do before.

        Raises
        ------
        EngineDownError, QueueFullError
            If they would be refused.
        """
        self._check_up()
        if not self._requests.fits(rows):
            waiting = self._requests.rows
            pause = max(1, math.ceil(waiting * self._seconds_per_row))
            raise QueueFullError(waiting, self.limits.max_queue_size, pause)

    async def infer(
        self,
        images: Images,
        deadline: float | None = None,
        timing: Timing | None = None,
        *,
        here: bool = False,
    ) -> Inference:
        """Classify images [N, C, H, W], N at least 1, in a batch with those of other requests.

        A call that is cancelled takes its images back.

        Parameters
        ----------
        deadline
            A point of the batcher's clock after which no one waits for the answer.
        timing
            Where to note where the time went.
        here
            Whether a quick graph may be run here and now, on the event loop, if nothing else is in
            hand: for a caller who knows that no other request is on its way through this loop.

        Raises
        ------
        EngineError
            If the request is refused, late, or its images make the graph fail.
        """
        now, timing = self._clock(), timing or Timing()
        loop = asyncio.get_running_loop()
        if self._idle_detector.loop is not loop:
            self._idle_detector.ask_by(loop)
        if here and self._on_cpu and (deadline is None or deadline > now):
            result = self._try_here(images, timing)
            if result is not None:
                return result
        request = Request(images, loop.create_future(), now, deadline, timing)
        with self._changed:
            self.check_room(request.left)
            self._requests.add(request)
            if self._idle:
                loop.call_soon(self._leave)
        if deadline is not None:
            self._deadlines.add(request)
        try:
            return await request.future
        except BaseException:
            with self._changed:
                self._requests.withdraw(request)
            raise
        finally:
            self._deadlines.discard(request)

    def run(self, images: Images, compute: Compute | None = None) -> Inference:
        """Classify images behind all requests, waiting for the result: the way of audits.

        Not to be called on an event loop. More images than a batch holds are several batches.

        Parameters
        ----------
        compute
            Runs another graph than that of the requests.

        Raises
        ------
        EngineError
            If the engine is down, or the images make the graph fail.
        """
        size = self.limits.max_batch_size
        parts = [images[start : start + size] for start in range(0, len(images), size)]
        return joined([self._run_audit(part, compute or self.compute) for part in parts])

    def has_idle_room(self) -> bool:
        """Return whether `when_idle` would take work now: for callers with work to do before."""
        with self._changed:
            return self._spare.has_room(self._clock())

    def when_idle(self, work: IdleWork) -> None:
        """Run work over the graph of the requests when nothing else waits, or tell it why not."""
        now = self._clock()
        task = IdleTask(work, self.compute, now)
        with self._changed:
            late = self._spare.expire(now)
            up = self.ready
            taken = up and self._spare.add(task)
            if taken and self._idle and len(self._spare) == 1:  # else the thread knows of some
                self._changed.notify()
        for each in late:
            each.drop("expired")
        if not taken:
            task.drop("full" if up else "down")

    def turn(self) -> None:
        """Run one batch, of whatever priority, and recover from whatever crashes it."""
        self._guard(self._step)
        if self._crashed:
            self._recover()

    def _loop(self) -> None:
        while self._await_work():
            self.turn()

    def _await_work(self) -> bool:
        with self._changed:
            while True:
                rest = self._spare.rest(self._clock())
                if rest == 0:
                    self._idle_detector.ask()
                granted = self._idle_detector.take()
                if not self._held:
                    if self._requests or self._jobs or self._crashed:
                        return True
                    if self._draining:
                        return False
                    if granted and self._pause() == 0:
                        return True
                self._idle = not self._held
                untimed = self._idle_detector.asked or rest is None
                self._changed.wait(None if untimed else max(rest or 0, _SHORTEST_NAP))
                self._idle = False

    def _pause(self) -> float | None:
        return self._spare.pause(self._clock())

    def _busy(self) -> bool:
        return not self._idle or bool(self._requests or self._jobs)

    def _leave(self) -> None:
        """Let the thread know of what has come in this turn of the event loop."""
        with self._changed:
            if self._idle and self._requests:
                self._changed.notify()

    def _try_here(self, images: Images, timing: Timing) -> Inference | None:
        """Run a quick graph where the caller is, if nothing else is in hand; None if it is not run.

        Nor if it fails: then it goes the way of all others, to the thread, which finds out why.
        """
        rows = len(images)
        with self._changed:
            if not self._idle or self._requests or self._jobs or not self.ready:
                return None
            if rows > self.limits.max_batch_size or not 0 < self._seconds_per_row * rows < QUICK:
                return None
            self._held, self._idle = True, False
        began = self._clock()
        result: Inference | None = None
        try:
            result = self.compute([images])
        except BaseException as error:  # whatever it is, it must not end the event loop
            log.warning("a lone request failed and goes to the thread", exc_info=error)
        ended = self._clock()
        with self._changed:
            self._held = False
            self._idle = True  # the thread sleeps; it wakes by itself for idle work
            self._spare.served(ended)
            if self._requests or self._jobs or self._draining:
                self._changed.notify()
        if result is None or not len(result.logits) == len(result.probabilities) == rows:
            return None
        seconds = ended - began
        timing.ran(0.0, seconds)
        self._seconds_per_row = seconds / rows
        self._tell(Batch("requests", rows, [0.0], seconds))
        return result

    def _guard(self, run: Callable[[], None]) -> None:
        try:
            run()
        except BaseException as crash:  # whatever it is, those who wait must not wait for ever
            log.error("the engine crashed", exc_info=crash)
            with self._changed:
                self._down = self._crashed = True
            self._fail_in_hand()

    def _step(self) -> None:
        with self._changed:
            now = self._clock()
            task: Task | None = self._jobs.take(bool(self._requests))
            batch, expired = ([], []) if task else self._take()
            late = self._spare.expire(now)
            if not (task or batch or self._jobs or self._crashed):
                task = self._spare.take()
        for each in late:
            each.drop("expired")
        self._answer(batch, expired)
        if task is not None:
            self._run_task(task)
            if task.priority == "idle":
                self._spare.ran(self._clock() - now, self._clock())

    def _take(self) -> tuple[list[Slice], list[Request]]:
        largest = self.limits.max_batch_size
        enough = max(_WORTHWHILE, -(-self._requests.rows // 2)) if self._on_cpu else largest
        return self._requests.take(largest, self._clock(), min(enough, largest))

    def _answer(self, batch: Sequence[Slice], expired: Sequence[Request]) -> None:
        self._hand_out([(request, DeadlineError()) for request in expired])
        if batch:
            self._run_batch(batch)

    def _run_batch(self, batch: Sequence[Slice]) -> None:
        self._in_hand = batch
        began = self._clock()
        outcomes = self._attempt(batch)
        seconds = self._clock() - began
        for request, _ in batch:
            request.timing.ran(began - request.since, seconds)
        self._hand_out(outcomes)
        self._in_hand = ()
        self._spare.served(self._clock())
        rows = sum(len(images) for _, images in batch)
        self._seconds_per_row = seconds / rows
        waits = [began - request.since for request, _ in batch]
        self._tell(Batch("requests", rows, waits, seconds))
        if any(isinstance(outcome, EngineError) for _, outcome in outcomes):
            self.probe()

    def _attempt(self, batch: Sequence[Slice]) -> list[Outcome]:
        """Run a batch; if it fails, run its requests one by one, so that only the culprit fails."""
        try:
            return deal(batch, self.compute([images for _, images in batch]))
        except Exception as error:  # onnxruntime's exceptions share no base class of their own
            log.warning("a batch failed", requests=len(batch), exc_info=error)
            if len(batch) == 1:
                return [(batch[0].request, failure(error))]
        alone = [[slice_] for slice_ in batch if not slice_.request.future.done()]
        return [outcome for one in alone for outcome in self._attempt(one)]

    def _run_task(self, task: Task) -> None:
        self._in_hand = task
        began = self._clock()
        try:
            rows = task.run()
        except Exception as error:
            self._in_hand = ()
            task.fail(failure(error))
            self.probe()
            return
        self._in_hand = ()
        self._tell(Batch(task.priority, rows, [began - task.since], self._clock() - began))

    def _run_audit(self, images: Images, compute: Compute) -> Inference:
        job = Job(compute, images, self._clock(), Future())
        with self._changed:
            self._check_up()
            self._jobs.add(job)
            if self._idle:
                self._changed.notify()
        return job.future.result()

    def _expire(self, request: Request) -> None:
        if request.deadline is not None and request.deadline <= self._clock():
            expire(request.future)

    def _hand_out(self, outcomes: Sequence[Outcome]) -> None:
        """Deliver outcomes, and take what is left of failed requests out of the queue."""
        for request, outcome in outcomes:
            if isinstance(outcome, EngineError):
                with self._changed:  # no further rows of it are worth computing
                    self._requests.withdraw(request)
        deliver(outcomes)

    def _recover(self) -> None:
        """Take nothing until a probe works; what waits goes on waiting.

        If the engine is being drained there is one probe, and what waits is refused if it fails.
        """
        self._crashed = False
        pause = self._retry_seconds
        while not self._probed():
            with self._changed:
                ending = self._changed.wait_for(lambda: self._draining, pause)
            if ending:
                self._refuse_all()
                return
            pause = min(2 * pause, _LONGEST_PAUSE)
        with self._changed:
            self._down = False
        log.info("the engine recovered")

    def _probed(self) -> bool:
        try:
            self.probe()
        except BaseException as error:
            log.error("the engine does not recover", reason=str(error))
            return False
        return True

    def _fail_in_hand(self) -> None:
        in_hand, self._in_hand = self._in_hand, ()
        if isinstance(in_hand, Sequence):
            self._hand_out([(request, EngineDownError(_CRASHED)) for request, _ in in_hand])
        else:
            in_hand.fail(EngineDownError(_CRASHED))

    def _refuse_all(self) -> None:
        with self._changed:
            requests, jobs = self._requests.clear(), self._jobs.clear()
        deliver([(request, EngineDownError(_CRASHED)) for request in requests])
        for job in jobs:
            job.fail(EngineDownError(_CRASHED))

    def _check_up(self) -> None:
        if not self.ready:
            raise EngineDownError(
                "The model's engine is ending or has crashed; it takes no requests at present."
            )

    def _tell(self, batch: Batch) -> None:
        for observer in self.observers:
            try:
                observer.ran(batch)
            except Exception as error:
                log.error("an observer of the engine failed", exc_info=error)
