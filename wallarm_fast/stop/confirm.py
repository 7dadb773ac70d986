"""Confirming the stop: recording is off, and the test record is known."""

from collections.abc import Iterator
from contextlib import suppress

from wallarm_fast.api.retry import TransientError
from wallarm_fast.errors import StepError, TokenRefusedError
from wallarm_fast.stop.errors import NotConfirmedError
from wallarm_fast.stop.recording import Recording
from wallarm_fast.stop.request import request_stop

_FIRST_POLL = 0.5
_LONGEST_POLL = 5.0
# An accepted stop that has no effect for this long, in seconds, is requested again.
_STOP_AGAIN_AFTER = 10.0


def confirm(recording: Recording) -> Iterator[float]:
    """Poll the run until the stop is confirmed; raises NotConfirmedError if the deadline comes first.

    Only a refused token ends it earlier, as TokenRefusedError: any other failure may pass. If recording turns
    out to be on and no stop was accepted, requests it, which may fail as `request_stop`. Yields the seconds
    between the polls.
    """
    pause: float = 0
    problem: Exception | None = None
    while not recording.confirmed:
        recording.check_record_id()
        if pause >= recording.deadline.remaining():
            raise not_confirmed(recording, problem)
        yield pause
        problem = recording.try_fetch()
        if isinstance(problem, TokenRefusedError):
            raise problem
        retry_after = (isinstance(problem, TransientError) and problem.retry_after) or 0
        pause = max(retry_after, min(max(pause * 2, _FIRST_POLL), _LONGEST_POLL))
        if problem:
            recording.log.retrying(problem, pause)
        elif recording.latest.recording is None and recording.latest.test_record_id:
            recording.log.warning("the API accepted the stop, but returned no recording field")
            recording.assumed_off = True
        elif recording.latest.recording and not recording.accepted:
            # An earlier response said that it is off.
            yield from request_stop(recording)
        elif recording.latest.recording:
            _stop_again(recording)


def not_confirmed(recording: Recording, problem: Exception | None = None) -> NotConfirmedError:
    """Return the error that says what is missing, and why."""
    missing = {
        True: "recording is still on",
        None: "the API returned no recording field",
        False: "the API returned no test_record_id",
    }[recording.latest.recording]
    because = f" ({problem})" if problem else ""
    return NotConfirmedError(f"{recording.off_text}, but {missing} at the deadline{because}").hint(
        "increase timeout, or look at the test run in the portal"
    )


def _stop_again(recording: Recording) -> None:
    """Request the stop again if it was accepted a while ago; polling goes on, whatever comes of it."""
    accepted_at = recording.accepted_at
    if accepted_at is not None and recording.clock.monotonic() >= accepted_at + _STOP_AGAIN_AFTER:
        recording.log.info("recording is still on; requesting the stop again")
        with suppress(StepError, TransientError):
            recording.stop()
