"""What can end a step early. Each class has an exit code; a step adds its own below `StepError`.

StepError
 +- InternalError           1
 +- InputError              2
 +- OutputError             2
 +- TokenRefusedError       3
 +- RunNotFoundError        4
 +- RefusedError            5
 |   +- UnknownCallError    5
 +- UnusableAnswerError     5
 +- UnreachableError        6
 +- SignalError             130 or 143

The message says what happened and what to do next. Whoever logs it adds the test run that it happened to.
"""

from collections.abc import Sequence
from typing import ClassVar, Self


class StepError(Exception):
    """Base class: `exit_code` is the exit code of the process, `status` the value of the output `status`."""

    exit_code: int
    status: ClassVar[str]
    title: ClassVar[str]

    def messages(self) -> Sequence[str]:
        """Return what to log, a line each."""
        return (str(self),)

    def reworded(self, message: str) -> Self:
        """Return this error with another message."""
        error = type(self).__new__(type(self), message)
        vars(error).update(vars(self))
        return error


class InternalError(StepError):
    """A bug. The unexpected exception is the `__cause__`."""

    exit_code = 1
    status = "internal_error"
    title = "Internal error"

    @classmethod
    def of(cls, cause: Exception) -> Self:
        """Return the error that reports an unexpected exception."""
        error = cls(f"unexpected {type(cause).__name__}; please report it with the lines above")
        error.__cause__ = cause
        return error


class InputError(StepError):
    """One or more inputs are invalid; there is a message for each."""

    exit_code = 2
    status = "bad_input"
    title = "Bad input"

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self._problems = problems

    def messages(self) -> Sequence[str]:
        """Return the problems."""
        return self._problems


class OutputError(StepError):
    """An output cannot be written; the message names the file or stream."""

    exit_code = 2
    status = "bad_input"
    title = "Output not written"


class TokenRefusedError(StepError):
    """The API answered 401 or 403."""

    exit_code = 3
    status = "token_refused"
    title = "Token refused"


class RunNotFoundError(StepError):
    """The API knows no such test run."""

    exit_code = 4
    status = "not_found"
    title = "No such test run"


class RefusedError(StepError):
    """The API refused the request, or its answers cannot be read."""

    exit_code = 5
    status = "refused"
    title = "Request refused"


class UnknownCallError(RefusedError):
    """The API does not know this call (405)."""


class UnusableAnswerError(StepError):
    """The API names a test record by something that is not an id."""

    exit_code = 5
    status = "refused"
    title = "Unusable answer"


class UnreachableError(StepError):
    """The API could not be reached, or kept failing until the deadline."""

    exit_code = 6
    status = "unreachable"
    title = "API not reachable"


class SignalError(StepError):
    """SIGINT or SIGTERM arrived. The exit code is 128 plus the number of the signal, as in a shell."""

    status = "interrupted"
    title = "Interrupted"

    def __init__(self, signal_number: int, signal_name: str) -> None:
        super().__init__(f"interrupted by {signal_name}")
        self.exit_code = 128 + signal_number
