"""Requesting the stop until the API accepts it; a stop whose response was lost is never reported wrongly."""

from collections.abc import Generator, Iterator
from functools import partial

from wallarm_fast.api.retry import TransientError, retry
from wallarm_fast.errors import NotFoundError, RefusedError, UnknownCallError, UnreachableError
from wallarm_fast.stop.recording import Recording


def request_stop(recording: Recording) -> Iterator[float]:
    """Request the stop by test run, or by test record if the API does not have that call.

    Ends once the stop is accepted or recording turns out to be off; yields the seconds between the attempts.
    """
    refusal = yield from _Request(recording).send()
    if refusal is None:
        return
    if not isinstance(refusal, NotFoundError | UnknownCallError):
        raise refusal
    recording.check_record_id()
    record_id = recording.latest.test_record_id
    if not record_id:
        raise RefusedError("the API has the test run, but not the call that stops it").hint("check api_host")
    recording.log.info("the API does not have the stop call; stopping by test record %s", record_id)
    recording.stop_call = partial(recording.client.stop_test_record, record_id, recording.test_run_id)
    refusal = yield from _Request(recording).send()
    if refusal:
        raise RefusedError(f"the API does not have the stop call, and by test record {record_id}: {refusal}")


class _Request:
    """The stop call with retries.

    After a lost response, the run is fetched before the next attempt; a fetch that fails holds nothing back.
    """

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._may_have_acted = False  # any attempt
        self._fetch_first = False

    def send(self) -> Generator[float, None, NotFoundError | RefusedError | None]:
        """Make the call, in parts; return the refusal if it is refused and recording is not off."""
        recording = self._recording
        try:
            yield from retry(self._attempt, recording.deadline, recording.log)
        except UnreachableError:
            if self._may_have_acted and recording.try_fetch() is None and recording.off:
                return None
            raise
        except (NotFoundError, RefusedError) as error:
            refusal = error
        else:
            return None
        off = yield from _refused_because_off(recording, refusal)
        return None if off else refusal

    def _attempt(self) -> None:
        recording, problem = self._recording, None
        if self._fetch_first:
            problem = recording.try_fetch()
            self._fetch_first = False
            if recording.off:
                return
            if isinstance(problem, TransientError) and self._can_wait(problem.retry_after):
                raise problem
        try:
            recording.stop()
        except TransientError as failure:
            self._fetch_first = failure.may_have_acted or problem is not None
            self._may_have_acted |= self._fetch_first
            raise

    def _can_wait(self, seconds: float | None) -> bool:
        """Tell whether the API asks for a pause that leaves time for the stop."""
        return bool(seconds) and (seconds or 0) < self._recording.deadline.remaining() / 2


def _refused_because_off(
    recording: Recording, refusal: NotFoundError | RefusedError
) -> Generator[float, None, bool]:
    """Tell whether recording is off, since the API may refuse to stop what is already stopped."""
    try:
        yield from recording.fetch_with_retries()
    except RefusedError:
        raise refusal from None
    except UnreachableError:
        # An unknown call says nothing about the run; any other refusal does.
        if isinstance(refusal, NotFoundError | UnknownCallError):
            raise
        raise refusal from None
    return recording.off
