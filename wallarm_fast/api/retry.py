"""Retries: which failures, when, and for how long."""

import math
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


class Retries:
    """The pauses between the attempts of a request, with exponential backoff and jitter."""

    def __init__(self, deadline: Deadline, log: RunLogger) -> None:
        self._deadline = deadline
        self._log = log
        self._failures = 0
        # Since when failures of this patience have been going on.
        self._patience = math.inf
        self._since = 0.0

    def pause(self, failure: TransientError) -> float:
        """Return the seconds until the next attempt: those in Retry-After, or else some.

        If that would leave no time for an attempt, or such failures have gone on for too long, raises the
        error that they stand for.
        """
        now, left = self._deadline.clock.monotonic(), self._deadline.remaining()
        if not self._failures or failure.patience != self._patience:
            self._patience, self._since = failure.patience, now
        self._failures += 1
        pause = failure.retry_after or self._backoff()
        if pause + _SHORTEST_ATTEMPT >= left:
            raise failure.error(f"{failure}{self._why_no_retry(failure, left)}").hint(
                f"{failure.hint}, increase timeout, or try again later"
            )
        if now + pause - self._since > failure.patience:
            raise failure.error(f"{failure}{self._tried()}").hint(failure.hint)
        self._log.retrying(failure, pause)
        return pause

    def _backoff(self) -> float:
        doubled = _FIRST_PAUSE * 2.0 ** min(self._failures - 1, 10)
        return min(doubled + random.uniform(0, _JITTER), _LONGEST_PAUSE)  # noqa: S311 - jitter is no secret

    def _why_no_retry(self, failure: TransientError, left: float) -> str:
        if failure.retry_after:
            return f"; Retry-After: {failure.retry_after:.0f} s exceeds the time left ({left:.0f} s)"
        return self._tried()

    def _tried(self) -> str:
        return f" (tried {self._failures} times)" if self._failures > 1 else " (tried once)"


def retry(attempt: Callable[[], _T], deadline: Deadline, log: RunLogger) -> _T:
    """Call `attempt` until it raises no TransientError; return its result, or raise as Retries.pause does."""
    retries = Retries(deadline, log)
    while True:
        try:
            return attempt()
        except TransientError as error:
            failure = error
        deadline.clock.sleep(retries.pause(failure))


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
