"""Waiting for late baselines."""

import logging
from collections.abc import Callable

from stop_recording.answers import TestRun
from stop_recording.clock import Deadline
from stop_recording.errors import Refused, Unreachable

# How much of the time is kept for the stop itself, in seconds.
_LONGEST_RESERVE = 10.0
_LONGEST_POLL = 5.0
_log = logging.getLogger(__name__)


def wait_until_quiet(
    look: Callable[[Deadline], TestRun], quiet_period: float, deadline: Deadline, subject: str
) -> None:
    """Wait until baseline_count has stood still for the quiet period, in seconds, or recording is off.

    A FAST node sends what it recorded with a delay; stopping cuts off what is still on its way. Where the
    count never comes to rest, cannot be seen or not be reached, it returns in time for the stop, with a
    warning. `look` gets the run, trying until the deadline that it is given. Raises what it raises that
    would keep the stop from succeeding, too.
    """
    left = deadline.remaining()
    deadline = deadline.earlier(min(_LONGEST_RESERVE, max(left - quiet_period, left / 10) / 2))
    try:
        _wait(look, quiet_period, deadline, subject)
    except Unreachable as error:
        _log.warning("%s: stopped without waiting for late baselines: %s", subject, error)


def _wait(look: Callable[[Deadline], TestRun], quiet_period: float, deadline: Deadline, subject: str) -> None:
    clock = deadline.clock
    started = quiet_since = next_line = clock.monotonic()
    count: int | None = None
    while True:
        seen = count
        try:
            run = look(deadline)
        except Refused:
            pass  # as unchanged: the wait is then as good as a sleep
        else:
            if run.recording is False:
                return
            count = run.baseline_count
        now = clock.monotonic()
        if count != seen:
            quiet_since = now
        needed = quiet_since + quiet_period - now
        if needed <= 0:
            break
        left = deadline.remaining()
        if not left:
            _log.warning(
                "%s: baselines kept arriving for %.0f s (%s so far) and timeout leaves no time to wait "
                "longer; stopped all the same, the last ones may be lost", subject, now - started, count,
            )  # fmt: skip
            return
        if now >= next_line:
            _log.info(
                "%s: %s baselines so far; waiting until none has come for %g s (%.0f s left)",
                subject, "?" if count is None else count, quiet_period, left,
            )  # fmt: skip
            next_line = now + max(5.0, now - started)
        clock.sleep(min(needed, left, max(0.1, quiet_period / 4), _LONGEST_POLL))
    if count is None:
        _log.warning("%s: the API does not tell baseline_count; just waited %g s", subject, quiet_period)
