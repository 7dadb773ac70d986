"""Waiting for late baselines."""

import math
from collections.abc import Iterator

from wallarm_fast.api.retry import TransientError
from wallarm_fast.errors import RefusedError, StepError
from wallarm_fast.stop.recording import Recording
from wallarm_fast.text import plural

# How much of the time is reserved for the stop: this many seconds, but at most half of it.
STOP_RESERVE = 5.0
_LONGEST_POLL = 5.0
_SHORTEST_POLL = 0.1
_PROGRESS_INTERVAL = 5.0


def wait_until_quiet(recording: Recording, quiet_period: float, min_baselines: int) -> Iterator[float]:
    """Wait until no baseline has arrived for the quiet period, in seconds, and there are enough of them.

    A FAST node sends what it recorded with a delay; a stop loses the baselines that are still on their way.
    While the run cannot be fetched, or there is no baseline_count, this is a plain sleep. It ends early if
    recording is off or if the stop would fail as well, and always in time for the stop. Yields the seconds
    between the polls.
    """
    end = recording.deadline.reserving(STOP_RESERVE)
    baselines = _Baselines(recording, quiet_period, min_baselines)
    while baselines.poll():
        left, needed = end.remaining(), baselines.seconds_needed()
        if not needed:
            baselines.warn_if_unknown()
            return
        if not left:
            baselines.warn_of_timeout()
            return
        baselines.log_progress(left)
        yield min(left, needed, baselines.seconds_to_poll())


class _Baselines:
    """How many baselines have arrived, and since when no more."""

    def __init__(self, recording: Recording, quiet_period: float, min_baselines: int) -> None:
        self._recording = recording
        self._clock = recording.clock
        self._quiet_period = quiet_period
        self._min_baselines = min_baselines
        self._interval = min(max(_SHORTEST_POLL, quiet_period / 4), _LONGEST_POLL)
        self._started = self._quiet_since = self._next_poll = self._next_line = self._clock.monotonic()
        self._count: int | None = None
        self._problem = "the API returned no baseline_count"

    def poll(self) -> bool:
        """Get the run, unless the API asked to wait; return False if there is nothing to wait for.

        That is so if recording is off, or if the run is not found or the token refused, as the stop will be.
        """
        if self._clock.monotonic() < self._next_poll:
            return True
        try:
            self._recording.fetch()
        except TransientError as failure:
            self._problem = str(failure)
            self._next_poll = self._clock.monotonic() + (failure.retry_after or 0)
        except RefusedError as refusal:
            self._problem = str(refusal)
        except StepError:
            return False
        else:
            count = self._recording.latest.baseline_count
            if count != self._count:
                self._count, self._quiet_since = count, self._clock.monotonic()
        return not self._recording.off

    def seconds_needed(self) -> float:
        """Return how long no more must arrive; infinite if there are too few, 0 if the wait is over."""
        needed = self._quiet_since + self._quiet_period - self._clock.monotonic()
        return needed if needed > 0 else math.inf if self._too_few() else 0.0

    def seconds_to_poll(self) -> float:
        """Return when to poll again."""
        return max(self._next_poll - self._clock.monotonic(), self._interval)

    def log_progress(self, left: float) -> None:
        """Log a line about the wait, less and less often; `left` is in seconds."""
        now = self._clock.monotonic()
        if now >= self._next_line:
            self._recording.log.info(
                "%s so far; waiting until none has arrived for %g s (%.0f s left)",
                self._counted(), self._quiet_period, left,
            )  # fmt: skip
            self._next_line = now + max(_PROGRESS_INTERVAL, now - self._started)

    def warn_of_timeout(self) -> None:
        """Say that the wait ends too early."""
        missing = f"fewer than {self._min_baselines}"
        self._recording.log.warning(
            "%s after %.0f s, %s; stopping now because of timeout, late ones may be lost",
            self._counted(), self._clock.monotonic() - self._started,
            missing if self._too_few() else f"without a pause of {self._quiet_period:g} s",
        )  # fmt: skip

    def warn_if_unknown(self) -> None:
        """Say that nothing was seen of the baselines, if that is so."""
        if self._count is None:
            self._recording.log.warning(
                "cannot see how many baselines have arrived: %s; waited %g s instead",
                self._problem, self._quiet_period,
            )  # fmt: skip

    def _too_few(self) -> bool:
        return self._count is not None and self._count < self._min_baselines

    def _counted(self) -> str:
        return "unknown number of baselines" if self._count is None else plural(self._count, "baseline")
