"""Runs jobs at the same time and always returns by the deadline."""

import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol, TypeAlias

from wallarm_fast.clock import Deadline
from wallarm_fast.errors import InternalError, SignalError, StepError, UnreachableError

# How far beyond the deadline a request may run before it is abandoned, in seconds.
_GRACE = 0.5
_STACK_BYTES = 8 << 20


class Job(Protocol):
    """Work on one test run."""

    def run(self) -> None:
        """Do the work; raise the StepError that prevents it."""

    def abort(self, error: StepError) -> None:
        """Take note of what ended the work; called from another thread if `run` has not returned."""


# What the main thread waits for: a job that has ended, or a signal. None lets the handlers of signals run.
Events: TypeAlias = "queue.SimpleQueue[Job | SignalError | None]"


def run_all(jobs: Sequence[Job], deadline: Deadline, events: Events) -> None:
    """Run all jobs at once; a job that fails or hangs does not hold up the others.

    Returns shortly after the deadline at the latest, even if a request hangs. A SignalError put into `events`
    (which a signal handler may do) ends the wait at once.
    """
    todo: queue.SimpleQueue[Job] = queue.SimpleQueue()
    for job in jobs:
        todo.put(job)
    # musl gives threads a small stack, too small for the JSON parser on deeply nested input.
    threading.stack_size(_STACK_BYTES)
    # A thread per job; if the system allows fewer, those that there are share the work.
    if not [job for job in jobs if start_thread(_work, todo, events)]:
        _work(todo, events)
    unfinished = set(jobs)
    reason: StepError = UnreachableError(
        "no complete answer before the deadline; try again, or raise timeout"
    )
    grace = deadline.earlier(-_GRACE)
    while unfinished:
        try:
            event = events.get(timeout=grace.remaining())
        except queue.Empty:
            break
        if isinstance(event, SignalError):
            reason = event
            break
        if event:
            unfinished.remove(event)
    for job in unfinished:
        job.abort(reason)


def start_thread(target: Callable[..., None], *args: object) -> bool:
    """Start a daemon thread, which does not keep the process alive; return False if none can be started."""
    try:
        threading.Thread(target=target, args=args, daemon=True).start()
    except RuntimeError:
        return False
    return True


def _work(todo: queue.SimpleQueue[Job], events: Events) -> None:
    with suppress(queue.Empty):
        while True:
            job = todo.get_nowait()
            try:
                job.run()
            except StepError as error:
                job.abort(error)
            except Exception as error:  # noqa: BLE001 - reported as a bug, of this job alone
                job.abort(InternalError.of(error))
            events.put(job)
