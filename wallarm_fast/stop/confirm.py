"""Confirming the stop: recording is off, and the API has named the test record."""

from contextlib import suppress

from wallarm_fast.api.retry import TransientError
from wallarm_fast.errors import StepError, TokenRefusedError
from wallarm_fast.stop.errors import NotConfirmedError
from wallarm_fast.stop.recording import Recording

_FIRST_POLL = 0.5
_LONGEST_POLL = 5.0
# An accepted stop that has no effect for this long, in seconds, is requested again.
_STOP_AGAIN_AFTER = 10.0


def confirm(recording: Recording) -> None:
    """Poll the run until the stop is confirmed; raises NotConfirmedError if the deadline comes first."""
    pause = 0.0
    while not recording.confirmed:
        recording.check_record_id()
        if pause >= recording.deadline.remaining():
            raise not_confirmed(recording, "time is up")
        recording.clock.sleep(pause)
        if problem := _poll(recording):
            raise not_confirmed(recording, problem)
        if recording.run.recording is None and recording.run.test_record_id:
            recording.log.warning("the API accepted the stop, but does not say whether recording is off")
            recording.taken_as_off = True
        if recording.run.recording:
            _stop_again(recording)
        pause = min(max(pause * 2, _FIRST_POLL), _LONGEST_POLL)


def not_confirmed(recording: Recording, problem: str) -> NotConfirmedError:
    """Return the error that says what is missing, and why."""
    done = "recording is off" if recording.off else "the stop was accepted"
    missing = {
        True: "recording is still on",
        None: "the API did not say that recording is off",
        False: "the API named no test record",
    }[recording.run.recording]
    return NotConfirmedError(
        f"{done}, but {missing} ({problem}); raise timeout, or look at the run in the portal"
    )


def _poll(recording: Recording) -> str | None:
    """Look at the run; return why it cannot be seen."""
    try:
        recording.refresh()
    except TokenRefusedError:
        raise
    except StepError as error:
        return str(error)
    return None


def _stop_again(recording: Recording) -> None:
    """Request the stop again if it was accepted a while ago; polling goes on, whatever comes of it."""
    accepted_at = recording.accepted_at
    if accepted_at is not None and recording.clock.monotonic() >= accepted_at + _STOP_AGAIN_AFTER:
        recording.log.info("recording is still on; requesting the stop again")
        with suppress(StepError, TransientError):
            recording.stop()
