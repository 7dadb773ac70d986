"""Waiting for late baselines."""

from wallarm_fast.api.responses import TestRun
from wallarm_fast.api.retry import TransientError
from wallarm_fast.errors import RefusedError, RunNotFoundError, StepError
from wallarm_fast.stop.recording import Recording

# How much of the time is reserved for the stop: this many seconds, but at most half of it.
STOP_RESERVE = 5.0
_LONGEST_POLL = 5.0
_SHORTEST_POLL = 0.1
_PROGRESS_INTERVAL = 5.0


def wait_until_quiet(recording: Recording, quiet_period: float, min_baselines: int) -> None:
    """Wait until no baseline has arrived for the quiet period, in seconds, and there are enough of them.

    A FAST node sends what it recorded with a delay; a stop loses the baselines that are still on their way.
    While the run cannot be seen, or the API does not say baseline_count, the wait is as good as a sleep. It
    ends early if recording is off or if the stop would fail as well, and always in time for the stop.
    """
    clock, log = recording.clock, recording.log
    end = recording.deadline.reserving(STOP_RESERVE)
    interval = min(max(_SHORTEST_POLL, quiet_period / 4), _LONGEST_POLL)
    started = quiet_since = next_line = next_look = clock.monotonic()
    count: int | None = None
    while True:
        previous = count
        if clock.monotonic() >= next_look:
            try:
                run, problem, pause = _look(recording)
            except StepError:
                return
            if run and run.recording is False:
                return
            count = run.baseline_count if run else count
            next_look = clock.monotonic() + pause
        now = clock.monotonic()
        if count != previous:
            quiet_since = now
        needed = quiet_since + quiet_period - now
        too_few = count is not None and count < min_baselines
        if needed <= 0 and not too_few:
            break
        left = end.remaining()
        if not left:
            log.warning(
                "%s baselines after %.0f s, %s; stopping now because of timeout, late ones may be lost",
                "?" if count is None else count, now - started,
                f"fewer than {min_baselines}" if too_few else f"without a pause of {quiet_period:g} s",
            )  # fmt: skip
            return
        if now >= next_line:
            log.info(
                "%s baselines so far; waiting until none has arrived for %g s (%.0f s left)",
                "?" if count is None else count, quiet_period, left,
            )  # fmt: skip
            next_line = now + max(_PROGRESS_INTERVAL, now - started)
        pause = max(next_look - now, interval)
        clock.sleep(min(left, pause if needed <= 0 else min(pause, needed)))
    if count is None:
        log.warning(
            "cannot see how many baselines have arrived: %s; waited %g s instead", problem, quiet_period
        )


def _look(recording: Recording) -> tuple[TestRun | None, str, float]:
    """Return the run, or else why it cannot be seen and for how many seconds the API asks to wait.

    Raises StepError if the token is refused, which would make the stop fail as well.
    """
    try:
        return recording.look(), "the API does not say", 0
    except TransientError as failure:
        return None, str(failure), failure.retry_after or 0
    except (RefusedError, RunNotFoundError) as refusal:
        return None, str(refusal), 0
