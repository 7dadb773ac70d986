"""Waiting for late baselines."""

from collections.abc import Callable

from wallarm_fast.api.responses import TestRun
from wallarm_fast.clock import Deadline
from wallarm_fast.errors import RefusedError, UnreachableError
from wallarm_fast.log import RunLogger

# How much time is reserved for the stop itself, in seconds.
_LONGEST_RESERVE = 10.0
_LONGEST_POLL = 5.0
_SHORTEST_POLL = 0.1
_PROGRESS_INTERVAL = 5.0


def wait_until_quiet(
    refresh: Callable[[Deadline], TestRun], quiet_period: float, deadline: Deadline, log: RunLogger
) -> None:
    """Wait until baseline_count has not changed for the quiet period, in seconds, or recording is off.

    A FAST node sends what it recorded with a delay; a stop loses the baselines that are still on their way.
    If the count keeps changing, is not given or cannot be read, this returns in time for the stop and logs a
    warning. `refresh` gets the run and retries until the deadline that it is given; its errors that would
    prevent the stop as well are raised.
    """
    left = deadline.remaining()
    deadline = deadline.earlier(min(_LONGEST_RESERVE, max(left - quiet_period, left / 10) / 2))
    try:
        _wait(refresh, quiet_period, deadline, log)
    except UnreachableError as error:
        log.warning("stopping without waiting for late baselines: %s", error)


def _wait(
    refresh: Callable[[Deadline], TestRun], quiet_period: float, deadline: Deadline, log: RunLogger
) -> None:
    clock = deadline.clock
    started = quiet_since = next_line = clock.monotonic()
    count: int | None = None
    while True:
        previous = count
        try:
            run = refresh(deadline)
        except RefusedError:
            pass  # counts as unchanged, which makes the wait as good as a sleep
        else:
            if run.recording is False:
                return
            count = run.baseline_count
        now = clock.monotonic()
        if count != previous:
            quiet_since = now
        needed = quiet_since + quiet_period - now
        if needed <= 0:
            break
        left = deadline.remaining()
        if not left:
            log.warning(
                "baselines kept arriving for %.0f s (%s so far) and timeout leaves no time to wait longer; "
                "stopping anyway, the last ones may be lost", now - started, count,
            )  # fmt: skip
            return
        if now >= next_line:
            log.info(
                "%s baselines so far; waiting until none has arrived for %g s (%.0f s left)",
                "?" if count is None else count, quiet_period, left,
            )  # fmt: skip
            next_line = now + max(_PROGRESS_INTERVAL, now - started)
        clock.sleep(min(needed, left, max(_SHORTEST_POLL, quiet_period / 4), _LONGEST_POLL))
    if count is None:
        log.warning("the API does not say baseline_count; waited %g s instead", quiet_period)
