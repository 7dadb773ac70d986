"""What a step reports: a result per test run, the error that decides, and the outputs made of both."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Generic, Self, TypeVar

from wallarm_fast.errors import SignalError, StepError
from wallarm_fast.outputs.summary import Table, make_summary
from wallarm_fast.outputs.table import Output, StepOutputs, to_json
from wallarm_fast.text import sanitize_line


@dataclass(frozen=True, kw_only=True)
class RunResult(ABC):
    """What is known about one test run, and what went wrong with it.

    `url` is the page of the run in the portal, if the portal is known.
    """

    test_run_id: str
    url: str | None = None
    error: StepError | None = None

    @property
    def subject(self) -> str:
        """The run in words."""
        return f"test run {self.test_run_id}"

    @property
    def error_text(self) -> str | None:
        """The error in words, if there is one."""
        return str(self.error) if self.error else None

    @abstractmethod
    def success_text(self) -> str:
        """Return the success in words."""


_R = TypeVar("_R", bound=RunResult)


@dataclass(frozen=True, kw_only=True)
class Report(ABC, Generic[_R]):
    """The report of a step: a result per test run in the order given, and the step's own errors.

    `outranked_errors` decide the exit code only if there is no other error, since a pipeline may allow their
    exit code.
    """

    results: Sequence[_R] = ()
    errors: Sequence[StepError] = ()
    outputs: ClassVar[Mapping[str, Output]]
    outranked_errors: ClassVar[tuple[type[StepError], ...]] = ()

    @property
    def failure(self) -> StepError | None:
        """The error that decides the exit code: a signal, of the first failed run, or of the step itself."""
        errors = [*(result.error for result in self.results if result.error), *self.errors]
        signals = [error for error in errors if isinstance(error, SignalError)]
        others = [error for error in errors if not isinstance(error, self.outranked_errors)]
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
    def values(self, secrets: Collection[str]) -> Mapping[str, str]:
        """Return the outputs but `status` and `results`; unknown values are empty."""

    def fields(self, number: int, secrets: Collection[str]) -> Mapping[str, object]:
        """Return what the output `results` has of the run with this index, beside what all runs have."""
        return {}

    @abstractmethod
    def heading(self) -> str:
        """Return the outcome as the heading of the summary."""

    @abstractmethod
    def tables(self, secrets: Collection[str]) -> Iterator[Table]:
        """Yield the tables of the summary."""

    def dotenv(self, values: Mapping[str, str]) -> Mapping[str, str]:
        """Return the values that a dotenv file has."""
        return values

    def files(self, secrets: Collection[str]) -> Mapping[str, Callable[[], str]]:
        """Return what makes the texts of files, by the inputs that name these."""
        return {}

    def epilogue(self) -> Sequence[str]:
        """Return lines of Markdown after the tables of the summary."""
        return ()

    def with_error(self, error: StepError) -> Self:
        """Return the report with this error added."""
        return replace(self, errors=(*self.errors, error))

    def make_outputs(self, secrets: Collection[str]) -> StepOutputs:
        """Return every output, without the secrets."""
        found = {**self.values(secrets), "status": self.status}
        if "results" in self.outputs:
            found["results"] = to_json(self._results(secrets))
        values = {name: found[name] for name in self.outputs}
        dotenv = self.dotenv(values)
        return StepOutputs(
            values=values,
            variables={spec.variable: dotenv[name] for name, spec in self.outputs.items() if spec.variable},
            summary=make_summary(self.heading(), self.errors, self.tables(secrets), self.epilogue(), secrets),
            links={f"Test run {result.test_run_id}": result.url for result in self.results if result.url},
            files=self.files(secrets),
        )

    def log_lines(self) -> Iterator[tuple[str, StepError | None]]:
        """Yield a line for each outcome, with the error that it is about."""
        for result in self.results:
            yield f"{result.subject}: {result.error_text or result.success_text()}", result.error
        for error in self.errors:
            for line in error.lines():
                yield line, error

    def _results(self, secrets: Collection[str]) -> list[Mapping[str, object]]:
        return [
            {
                "test_run_id": result.test_run_id,
                **self.fields(number, secrets),
                "url": result.url,
                "error": result.error_text and sanitize_line(result.error_text, secrets),
            }
            for number, result in enumerate(self.results)
        ]
