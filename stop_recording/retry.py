"""What is tried again, when, and for how long."""

import logging
import re
from collections.abc import Callable
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import NoReturn, TypeVar

import tenacity

from stop_recording.clock import Deadline
from stop_recording.errors import StopRecordingError

_T = TypeVar("_T")
# A try with less time than this, in seconds, would hardly get an answer. It also makes up for waits that
# take longer than was asked for.
_SHORTEST_TRY = 0.25
_log = logging.getLogger(__name__)
_backoff = tenacity.wait_exponential_jitter(multiplier=0.5, max=10, jitter=0.5)


class Transient(Exception):
    """A failure that may pass; if it does not, it is an error of class `error`.

    `retry_after` is how many seconds the API asked to wait. `may_have_acted` is False when the request
    cannot have taken effect: it was never sent, or was turned away.
    """

    def __init__(
        self,
        error: type[StopRecordingError],
        what: str,
        *,
        retry_after: float | None = None,
        may_have_acted: bool = True,
    ) -> None:
        super().__init__(what)
        self.error = error
        self.retry_after = retry_after
        self.may_have_acted = may_have_acted


def retry(attempt: Callable[[], _T], deadline: Deadline, subject: str) -> _T:
    """Call `attempt` until it raises no Transient, and return what it returns.

    Between two tries it waits as the API asks in Retry-After, else longer and longer, at random so that many
    clients do not come back at once. When that leaves no time for the next try before the deadline, it raises
    the error that the Transient stands for. `subject` names the run in the log.
    """

    def announce(state: tenacity.RetryCallState) -> None:
        _log.info("%s: %s; trying again in %.1f s", subject, _failure(state), state.upcoming_sleep)

    def count(state: tenacity.RetryCallState) -> None:
        _log.debug("%s: attempt %d", subject, state.attempt_number)

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(Transient),
        wait=lambda state: _failure(state).retry_after or _backoff(state),
        stop=lambda state: state.upcoming_sleep + _SHORTEST_TRY >= deadline.remaining(),
        sleep=deadline.clock.sleep,
        before=count,
        before_sleep=announce,
        retry_error_callback=_give_up,
    )(attempt)


def parse_retry_after(value: str, now: float) -> float | None:
    """Return the seconds to wait by a Retry-After header (RFC 9110, 10.2.3: seconds or a date).

    `now` is the time in seconds since the epoch. A date that is past gives 0, what is neither gives None.
    """
    if re.fullmatch(r"[0-9]+", value):
        return float(value[:20])
    try:
        date = parsedate_to_datetime(value)
        # RFC 9110, 5.6.7: the form that names no zone is GMT.
        return max(0.0, (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def _failure(state: tenacity.RetryCallState) -> Transient:
    failure = state.outcome.exception() if state.outcome else None
    assert isinstance(failure, Transient)  # noqa: S101 - tenacity asks only after one
    return failure


def _give_up(state: tenacity.RetryCallState) -> NoReturn:
    failure = _failure(state)
    if failure.retry_after:
        why = f"and asks to wait {failure.retry_after:.0f} s (Retry-After), which is more than is left"
    else:
        why = f"(tried {state.attempt_number} times)" if state.attempt_number > 1 else "(tried once)"
    raise failure.error(
        f"{failure} {why}; raise timeout, try again later, or check api_host and proxy"
    ) from None
