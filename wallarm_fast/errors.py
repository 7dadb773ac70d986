"""What can end a step early. Each class has an exit code; a step adds its own below `StepError`.

StepError
 +- InternalError           1
 +- InputError              2
 +- OutputError             2
 +- TokenRefusedError       3
 +- NotFoundError           4
 |   +- RecordNotFoundError 4
 +- RefusedError            5
 |   +- UnknownCallError    5
 +- UnusableResponseError   5
 +- UnreachableError        6
 |   +- DeadlineError       6
 +- AbortedError            10 (of two steps)
 +- SignalError             130 or 143

The message says what happened and what to do next. Whoever logs it adds the test run that it happened to.
"""

import signal
from collections.abc import Sequence
from typing import ClassVar, Self


class StepError(Exception):
    """Base class: `exit_code` is the exit code of the process, `status` the value of the output `status`.

    `state_unknown` says that the error leaves open what became of the test run.
    """

    exit_code: int
    status: ClassVar[str]
    title: ClassVar[str]
    state_unknown: ClassVar[bool] = False
    hints: tuple[str, ...] = ()

    def hint(self, hint: str) -> Self:
        """Return this error with a hint after its message."""
        error = type(self)(*self.args)
        error.__cause__ = self.__cause__
        error.hints = (*self.hints, hint)
        return error

    def lines(self) -> Sequence[str]:
        """Return what to log, a line each."""
        return (str(self),)

    def __str__(self) -> str:
        return "; ".join([*map(str, self.args), *self.hints])


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
    """One or more inputs are invalid; each argument is a problem."""

    exit_code = 2
    status = "bad_input"
    title = "Bad input"

    def lines(self) -> Sequence[str]:
        """Return the problems."""
        return self.args


class OutputError(StepError):
    """An output cannot be written; the message names the file or stream."""

    exit_code = 2
    status = "bad_input"
    title = "Output not written"


class TokenRefusedError(StepError):
    """The API responded with 401 or 403."""

    exit_code = 3
    status = "token_refused"
    title = "Token refused"
    state_unknown = True


class NotFoundError(StepError):
    """There is no such test run."""

    exit_code = 4
    status = "not_found"
    title = "Test run not found"


class RecordNotFoundError(NotFoundError):
    """There is no such test record."""

    title = "Test record not found"


class RefusedError(StepError):
    """The API refused the request, or its responses cannot be parsed."""

    exit_code = 5
    status = "refused"
    title = "Request refused"
    state_unknown = True


class UnknownCallError(RefusedError):
    """The API does not have this call (405)."""


class UnusableResponseError(StepError):
    """The API responded with something that cannot be true or cannot be used."""

    exit_code = 5
    status = "refused"
    title = "Unusable response"
    state_unknown = True


class UnreachableError(StepError):
    """The API could not be reached, or kept failing until the deadline."""

    exit_code = 6
    status = "unreachable"
    title = "API not reachable"
    state_unknown = True


class DeadlineError(UnreachableError):
    """There was no time left to send a request."""


class AbortedError(StepError):
    """The test run was aborted: by hand, by another run with the token or a second container of the node."""

    exit_code = 10
    status = "aborted"
    title = "Test run aborted"

    @classmethod
    def of(cls, what: str) -> Self:
        """Return the error for a run of which it is said that it was aborted, with the possible causes."""
        causes = "by hand, by another run with this token, or by a second container of the node"
        return cls(f"{what}: {causes}").hint("let one pipeline at a time use a token")


class SignalError(StepError):
    """The signal with this number arrived. The exit code is 128 plus the number, as in a shell."""

    status = "interrupted"
    title = "Interrupted"
    state_unknown = True

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number

    def __str__(self) -> str:
        return "; ".join([f"interrupted by {signal.Signals(self.args[0]).name}", *self.hints])


# Of every step; a step may have more.
COMMON_ERRORS: Sequence[type[StepError]] = (
    InternalError, InputError, TokenRefusedError, NotFoundError, RefusedError, UnreachableError,
)  # fmt: skip
