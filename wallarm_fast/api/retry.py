"""Retries: which failures, when, and for how long."""

import math
import random
import re
from collections.abc import Callable, Generator
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
# With less time than this, in seconds, an attempt would hardly get a response. It also makes up for pauses
# that take longer than requested.
_SHORTEST_ATTEMPT = 0.25


class TransientError(Exception):
    """A failure that is worth retrying. If it persists, it becomes an error of class `error`.

    `retry_after` is how many seconds the API asked to wait. `may_have_acted` is False if the request cannot
    have taken effect: it was never sent, or it was rejected. `patience` is how many seconds such failures may
    go on for, at most until the deadline. `hint` says what to check.
    """

    def __init__(  # noqa: PLR0913 - each has a default but the first two
        self,
        error: type[StepError],
        reason: str,
        *,
        retry_after: float | None = None,
        may_have_acted: bool = True,
        patience: float = math.inf,
        hint: str = "check api_host and proxy",
    ) -> None:
        super().__init__(reason)
        self.error = error
        self.retry_after = retry_after
        self.may_have_acted = may_have_acted
        self.patience = patience
        self.hint = hint


def retry(attempt: Callable[[], _T], deadline: Deadline, log: RunLogger) -> Generator[float, None, _T]:
    """Call `attempt` until it raises no TransientError, and return its result.

    Yields the seconds to wait between two calls: what the API asks for in Retry-After, otherwise exponential
    backoff with jitter. When a pause would leave no time for another attempt, or such failures have gone on
    for as long as they may, raises the error that the TransientError stands for.
    """
    number, since, patience = 0, 0.0, None
    while True:
        number += 1
        began = deadline.clock.monotonic()
        try:
            return attempt()
        except TransientError as error:
            failure = error
        now, left = deadline.clock.monotonic(), deadline.remaining()
        if failure.patience != patience:
            since, patience = began, failure.patience
        pause = failure.retry_after or _backoff(number)
        tried = f" (tried {number} times)" if number > 1 else " (tried once)"
        if pause + _SHORTEST_ATTEMPT >= left:
            if failure.retry_after:
                tried = f"; Retry-After: {failure.retry_after:.0f} s exceeds the time left ({left:.0f} s)"
            hint = f"{failure.hint}, increase timeout, or try again later"
            raise failure.error(f"{failure}{tried}").hint(hint)
        if now + pause - since > failure.patience:
            raise failure.error(f"{failure}{tried}").hint(failure.hint)
        log.retrying(failure, pause)
        yield pause


def _backoff(attempts: int) -> float:
    doubled = _FIRST_PAUSE * 2.0 ** min(attempts - 1, 10)
    return min(doubled + random.uniform(0, _JITTER), _LONGEST_PAUSE)  # noqa: S311 - jitter is no secret


def parse_retry_after(value: str, now: float) -> float | None:
    """Return the seconds to wait according to a Retry-After header (RFC 9110, 10.2.3: seconds or a date).

    `now` is the time in seconds since the epoch. A date in the past gives 0, anything else gives None.
    """
    if re.fullmatch(r"[0-9]+", value):
        return float(value[:20])
    date = parse_date(value)
    return None if date is None else max(0.0, date - now)


def parse_date(value: str) -> float | None:
    """Return the time of an HTTP date in seconds since the epoch, or None if it is not a date."""
    try:
        date = parsedate_to_datetime(value)
        # RFC 9110, 5.6.7: a date that names no zone is in GMT.
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
