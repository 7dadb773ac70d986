"""Several test runs at once, each with its own result, and an end in time whatever happens."""

import queue
import signal
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import TypeAlias

from stop_recording.clock import Deadline
from stop_recording.errors import InternalError, Interrupted, StopRecordingError, Unreachable
from stop_recording.recording import Recording, Rules
from stop_recording.result import StopResult
from stop_recording.wallarm import WallarmClient

# What a request may take longer than the deadline before it is left alone, in seconds.
_GRACE = 0.5
_STACK_BYTES = 8 << 20

# What ends the waiting for the runs: one that is done, or a signal.
Events: TypeAlias = "queue.SimpleQueue[Recording | Interrupted]"


def stop_recordings(
    test_run_ids: Sequence[str],
    client: WallarmClient,
    rules: Rules,
    deadline: Deadline,
    events: Events,
) -> list[StopResult]:
    """Stop the recordings of several runs at the same time; one failing does not keep the others from it.

    Returns a result for each, in the order given, at the latest shortly after the deadline, whatever a
    request hangs in. An Interrupted put into `events` (a signal handler may do that) ends it at once.
    """
    recordings = [Recording(test_run_id, client, rules, deadline) for test_run_id in test_run_ids]
    todo: queue.SimpleQueue[Recording] = queue.SimpleQueue()
    for recording in recordings:
        todo.put(recording)
    # musl's threads have a small stack, too small for the JSON parser on hostile nesting.
    threading.stack_size(_STACK_BYTES)
    # One for each, since a run that waits must not keep another from being stopped; the client limits the
    # connections. Where the system allows fewer threads, those there are do it all.
    for started in range(len(recordings)):
        try:
            # Daemons, since one that hangs must not keep the process from ending.
            threading.Thread(target=_work, args=(todo, events), daemon=True).start()
        except RuntimeError:
            if not started:
                raise
            break
    unfinished = set(recordings)
    reason: StopRecordingError = Unreachable(
        "no complete answer when time was up; try again later, or raise timeout"
    )
    while unfinished:
        try:
            event = events.get(timeout=deadline.remaining() + _GRACE)
        except queue.Empty:
            break
        if isinstance(event, Interrupted):
            reason = event
            break
        unfinished.remove(event)
    for recording in unfinished:
        recording.give_up(reason)
    return [recording.result() for recording in recordings]


def _work(todo: queue.SimpleQueue[Recording], events: Events) -> None:
    # The main thread sees to signals, and sleeps on when the kernel gives one to another thread.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    with suppress(queue.Empty):
        while True:
            recording = todo.get_nowait()
            try:
                recording.stop()
            except StopRecordingError as error:
                recording.error = error
            except Exception as error:  # noqa: BLE001 - reported as a bug, of this run alone
                recording.error = InternalError.of(error)
            events.put(recording)
