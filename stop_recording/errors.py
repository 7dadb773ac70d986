"""What can end the step early: one class for each exit code.

StopRecordingError
 +- InternalError      1  a bug
 +- BadInput           2  an input is wrong, or an output cannot be written
 +- TokenRefused       3
 +- RunNotFound        4
 +- Refused            5
 +- UnusableAnswer     5
 +- Unreachable        6
 +- NotConfirmed       7
 +- TooFewBaselines    8
 +- Interrupted        130 or 143

The message of each says what happened and what to do next; the run it happened to is put before it by
whoever prints it.
"""

from typing import ClassVar, Self


class StopRecordingError(Exception):
    """Base of all; `exit_code` is the process's, `status` the value of the output `status`."""

    exit_code: int
    status: ClassVar[str]
    title: ClassVar[str]


class InternalError(StopRecordingError):
    """An exception that nobody expected; it is the `__cause__`."""

    exit_code = 1
    status = "internal_error"
    title = "Bug in the stop-recording step"

    @classmethod
    def of(cls, cause: Exception) -> Self:
        """Return the error that reports the unexpected exception."""
        error = cls(f"unexpected {type(cause).__name__}; please report it with the lines above")
        error.__cause__ = cause
        return error


class BadInput(StopRecordingError):
    """One or more inputs are wrong, all named in the message."""

    exit_code = 2
    status = "bad_input"
    title = "Bad input"


class TokenRefused(StopRecordingError):
    """The API answered 401 or 403."""

    exit_code = 3
    status = "token_refused"
    title = "Token refused"


class RunNotFound(StopRecordingError):
    """The API knows no such test run."""

    exit_code = 4
    status = "not_found"
    title = "No such test run"


class Refused(StopRecordingError):
    """The API refused the request with the HTTP code `code` (None: its answers cannot be read)."""

    exit_code = 5
    status = "refused"
    title = "Request refused"

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class UnusableAnswer(StopRecordingError):
    """The API names a test record by something that is not an id."""

    exit_code = 5
    status = "refused"
    title = "Unusable answer"


class Unreachable(StopRecordingError):
    """The API could not be reached or kept failing until the deadline."""

    exit_code = 6
    status = "unreachable"
    title = "API not reachable"


class NotConfirmed(StopRecordingError):
    """The stop was accepted, but in time nothing said that the recording is off and which record it made."""

    exit_code = 7
    status = "not_confirmed"
    title = "Stop not confirmed"


class TooFewBaselines(StopRecordingError):
    """The recording is stopped, but holds fewer baselines than `min_baselines`."""

    exit_code = 8
    status = "too_few_baselines"
    title = "Too few baselines"


class Interrupted(StopRecordingError):
    """SIGINT or SIGTERM came; the exit code is 128 and the signal's number, as shells have it."""

    status = "interrupted"
    title = "Interrupted"

    def __init__(self, signal_number: int, signal_name: str) -> None:
        super().__init__(f"interrupted by {signal_name}; the recording may still be on")
        self.exit_code = 128 + signal_number
