"""Retries: which failures, when, and for how long."""

import itertools
import random
import re
from collections.abc import Callable
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TypeVar

from wallarm_fast.clock import Deadline
from wallarm_fast.errors import StepError
from wallarm_fast.log import RunLogger

_T = TypeVar("_T")
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 10.0
_JITTER = 0.5
# With less time than this, in seconds, an attempt would hardly get an answer. It also makes up for pauses
# that take longer than requested.
_SHORTEST_ATTEMPT = 0.25


class TransientError(Exception):
    """A failure that is worth retrying. If it persists, it becomes an error of class `error`.

    `retry_after` is how many seconds the API asked to wait. `may_have_acted` is False if the request cannot
    have taken effect: it was never sent, or it was turned away.
    """

    def __init__(
        self,
        error: type[StepError],
        reason: str,
        *,
        retry_after: float | None = None,
        may_have_acted: bool = True,
    ) -> None:
        super().__init__(reason)
        self.error = error
        self.retry_after = retry_after
        self.may_have_acted = may_have_acted


def retry(attempt: Callable[[], _T], deadline: Deadline, log: RunLogger) -> _T:
    """Call `attempt` until it raises no TransientError, and return its result.

    Pauses as long as the API asks for in Retry-After, otherwise with exponential backoff and jitter. When a
    pause would leave no time for another attempt, raises the error that the TransientError stands for.
    """
    for number in itertools.count(1):
        log.debug("attempt %d", number)
        try:
            return attempt()
        except TransientError as failure:
            pause = failure.retry_after or _backoff(number)
            if pause + _SHORTEST_ATTEMPT >= deadline.remaining():
                raise failure.error(f"{failure} {_why_no_retry(failure, number)}") from None
            log.info("%s; retrying in %.1f s", failure, pause)
        deadline.clock.sleep(pause)
    raise AssertionError  # pragma: no cover - count() does not end


def parse_retry_after(value: str, now: float) -> float | None:
    """Return the seconds to wait according to a Retry-After header (RFC 9110, 10.2.3: seconds or a date).

    `now` is the time in seconds since the epoch. A date in the past gives 0, anything else gives None.
    """
    if re.fullmatch(r"[0-9]+", value):
        return float(value[:20])
    try:
        date = parsedate_to_datetime(value)
        # RFC 9110, 5.6.7: a date that names no zone is in GMT.
        return max(0.0, (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def _backoff(attempts: int) -> float:
    doubled = _FIRST_PAUSE * 2.0 ** min(attempts - 1, 10)
    return min(doubled + random.uniform(0, _JITTER), _LONGEST_PAUSE)  # noqa: S311 - jitter is no secret


def _why_no_retry(failure: TransientError, attempts: int) -> str:
    if failure.retry_after:
        reason = f"and asks to wait {failure.retry_after:.0f} s (Retry-After), which is more than is left"
    else:
        reason = f"(tried {attempts} times)" if attempts > 1 else "(tried once)"
    return f"{reason}; check api_host and proxy, raise timeout, or try again later"
