"""Requesting the stop until the API accepts it; a stop whose answer was lost is never reported wrongly."""

from contextlib import suppress
from functools import partial

from wallarm_fast.api.retry import TransientError, retry
from wallarm_fast.errors import (
    RefusedError,
    RunNotFoundError,
    StepError,
    UnknownCallError,
    UnreachableError,
)
from wallarm_fast.stop.recording import Recording


def request_stop(recording: Recording) -> None:
    """Request the stop by test run, or by test record if the API does not know that call.

    Returns once the stop is accepted or recording turns out to be off.
    """
    refusal = _request(recording)
    if refusal is None:
        return
    if not isinstance(refusal, RunNotFoundError | UnknownCallError):
        raise refusal
    recording.check_record_id()
    record_id = recording.run.test_record_id
    if not record_id:
        raise RefusedError("the API knows the test run, but not the call that stops it; check api_host")
    recording.log.info("the API does not know the stop call; stopping by test record %s", record_id)
    recording.stop_call = partial(recording.client.stop_test_record, record_id, recording.test_run_id)
    if refusal := _request(recording):
        raise RefusedError(f"the API does not know the stop call, and by test record {record_id}: {refusal}")


def _request(recording: Recording) -> RunNotFoundError | RefusedError | None:
    """Make the stop call, with retries; return the refusal if it is refused and recording is not off.

    A call whose answer was lost may have taken effect, so the run is looked at before the next one.
    """
    sent = look_first = False

    def attempt() -> None:
        nonlocal sent, look_first
        unseen = False
        if look_first:
            look_first = False
            unseen = not _look(recording)
            if recording.off:
                return
        try:
            recording.stop()
        except TransientError as failure:
            look_first = unseen or failure.may_have_acted
            sent = sent or look_first
            raise

    try:
        retry(attempt, recording.deadline, recording.log)
    except UnreachableError:
        with suppress(TransientError):
            if sent and _look(recording) and recording.off:
                return None
        raise
    except (RunNotFoundError, RefusedError) as refusal:
        return None if _refused_because_off(recording, refusal) else refusal
    return None


def _look(recording: Recording) -> bool:
    """Look at the run once, if it can be seen; raises TransientError only if the API asks to wait.

    Anything else that keeps the run from being seen is no reason not to request the stop.
    """
    try:
        recording.look()
    except TransientError as failure:
        if failure.retry_after:
            raise
    except StepError:
        pass
    else:
        return True
    return False


def _refused_because_off(recording: Recording, refusal: RunNotFoundError | RefusedError) -> bool:
    """Look whether recording is off, since the API may refuse to stop what is already stopped."""
    try:
        recording.refresh()
    except RefusedError:
        raise refusal from None
    except UnreachableError:
        # An unknown call says nothing about the run; any other refusal does.
        if isinstance(refusal, RunNotFoundError | UnknownCallError):
            raise
        raise refusal from None
    return recording.off
