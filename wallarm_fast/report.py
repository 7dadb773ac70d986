"""What the reports of all steps have in common."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Generic, Protocol, Self, TypeVar

from wallarm_fast.errors import SignalError, StepError


class Result(Protocol):
    """What is known about one test run, and what went wrong with it."""

    @property
    def error(self) -> StepError | None:
        """The error, if there is one."""


_R = TypeVar("_R", bound=Result)


@dataclass(frozen=True)
class Report(ABC, Generic[_R]):
    """The report of a step: a result per test run in the order given, and the step's own errors.

    `gives_way` are errors that decide the exit code only if there is no other, since a pipeline may allow
    their exit code.
    """

    results: Sequence[_R] = ()
    errors: Sequence[StepError] = ()
    gives_way: ClassVar[tuple[type[StepError], ...]] = ()

    @property
    def failure(self) -> StepError | None:
        """The error that decides the exit code: a signal, of the first failed run, or of the step itself."""
        errors = [*(result.error for result in self.results if result.error), *self.errors]
        signals = [error for error in errors if isinstance(error, SignalError)]
        others = [error for error in errors if not isinstance(error, self.gives_way)]
        return next(iter([*signals, *others, *errors]), None)

    @property
    def status(self) -> str:
        """The value of the output `status`."""
        return self.failure.status if self.failure else self.success

    @property
    @abstractmethod
    def success(self) -> str:
        """The status if nothing went wrong."""

    @abstractmethod
    def describe(self, result: _R) -> str:
        """Return a line about a test run: its error, or its success in words."""

    def with_error(self, error: StepError) -> Self:
        """Return the report with this error added."""
        return replace(self, errors=(*self.errors, error))

    def outcomes(self) -> Iterator[tuple[str, StepError | None]]:
        """Yield a line for each outcome, with the error that it is about."""
        for result in self.results:
            yield self.describe(result), result.error
        for error in self.errors:
            for message in error.messages():
                yield message, error
