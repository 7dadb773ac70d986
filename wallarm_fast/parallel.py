"""Runs jobs at the same time and always returns by the deadline."""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Protocol, TypeAlias

from wallarm_fast.clock import Clock, Deadline
from wallarm_fast.errors import DeadlineError, InternalError, SignalError, StepError

# How far beyond the deadline a request may run, and how long a signal may wait. In seconds.
_GRACE = 0.5
# Time that passes while this process does not: a container that was paused, a suspended machine.
_PAUSED = 2.0
_STACK_BYTES = 8 << 20


class Job(Protocol):
    """Work on one test run."""

    def run(self) -> Iterator[float]:
        """Do the work in parts, each of which gives the seconds until the next one may begin.

        Raises the StepError that prevents it.
        """

    def abort(self, error: StepError) -> None:
        """Take note of what ended the work; called from another thread if it has not ended by itself."""


# What the main thread waits for: a job that has ended, or a signal.
Events: TypeAlias = "queue.SimpleQueue[Job | SignalError]"
_Todo: TypeAlias = "queue.PriorityQueue[tuple[float, int, Job, Iterator[float] | None]]"


def run_all(jobs: Sequence[Job], deadline: Deadline, events: Events) -> None:
    """Run all jobs at once; a job that fails or hangs does not hold up the others.

    Returns shortly after the deadline at the latest, even if a request hangs. A SignalError put into `events`
    (which a signal handler may do) ends the wait.
    """
    todo: _Todo = queue.PriorityQueue()
    for number, job in enumerate(jobs):
        todo.put((0.0, number, job, None))
    # musl gives threads a small stack, too small for the JSON parser on deeply nested input.
    threading.stack_size(_STACK_BYTES)
    end = deadline.later(_GRACE)
    left = end.remaining()  # before any work: the process may be paused as soon as that has begun
    # A thread per job; if the system allows fewer, those that there are share the work.
    if not [job for job in jobs if start_thread(_work, todo, deadline.clock, events)]:
        _work(todo, deadline.clock, events)
    unfinished = set(jobs)
    reason: StepError = DeadlineError("no complete response before the deadline").hint(
        "increase timeout, or try again later"
    )
    for event in _until(end, left, events):
        if isinstance(event, SignalError):
            reason = event
            break
        unfinished.remove(event)
        if not unfinished:
            break
    for job in unfinished:
        job.abort(reason)


def _until(end: Deadline, left: float, events: Events) -> Iterator[Job | SignalError]:
    """Yield the events up to the end, of which so many seconds are left.

    If that has passed while the process was paused, the threads get some time to use what has arrived.
    """
    while True:
        before, seconds = left, min(left, _GRACE)
        try:
            # In slices, since a signal that arrives just before a wait does not end it.
            yield events.get(timeout=seconds)
        except queue.Empty:
            if seconds == before:
                return
        left = end.remaining()
        if not left and before > _PAUSED:
            end = Deadline.after(_GRACE, end.clock)
            left = end.remaining()


def start_thread(target: Callable[..., None], *args: object) -> bool:
    """Start a daemon thread, which does not keep the process alive; return False if none can be started."""
    try:
        threading.Thread(target=target, args=args, daemon=True).start()
    except RuntimeError:
        return False
    return True


def _work(todo: _Todo, clock: Clock, events: Events) -> None:
    """Do the parts of all jobs in the order of their times."""
    with suppress(queue.Empty):
        while True:
            at, number, job, parts = todo.get_nowait()
            try:
                if (pause := at - clock.monotonic()) > 0:
                    clock.sleep(pause)
                parts = parts or job.run()
                todo.put((clock.monotonic() + next(parts), number, job, parts))
                continue
            except StopIteration:
                pass
            except StepError as error:
                job.abort(error)
            except Exception as error:  # noqa: BLE001 - reported as a bug, of this job alone
                job.abort(InternalError.of(error))
            events.put(job)
