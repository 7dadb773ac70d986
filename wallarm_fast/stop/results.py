"""What the stop step found out and did."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

from wallarm_fast.errors import SignalError, StepError
from wallarm_fast.stop.errors import TooFewBaselinesError

# The exit codes of errors that do not say by themselves whether recording is off.
_UNCERTAIN = {3, 5, 6, 130, 143}


@dataclass(frozen=True)
class StopResult:
    """The result for one test run: what is known about it (None: unknown), and what went wrong.

    `url` is the page of the run in the portal, if the portal is known.
    """

    test_run_id: str
    test_record_id: str | None = None
    recording: bool | None = None
    already_stopped: bool = False
    state: str | None = None
    baseline_count: int | None = None
    url: str | None = None
    error: StepError | None = None

    def message(self, *, dry_run: bool) -> str | None:
        """Return the error in words, if there is one."""
        uncertain = self.recording is not False and not dry_run
        if self.error and self.error.exit_code in _UNCERTAIN and uncertain:
            return f"{self.error}; recording may still be on"
        return str(self.error) if self.error else None

    def describe(self, *, dry_run: bool) -> str:
        """Return the success in words."""
        if dry_run:
            recording = {True: "on", False: "off", None: "unknown"}[self.recording]
            done = f"found, nothing changed; recording is {recording}"
        else:
            done = "recording was already stopped" if self.already_stopped else "recording stopped"
        known = {
            "test record": self.test_record_id,
            "baselines": self.baseline_count,
            "state": self.state,
        }
        details = (f"{name} {value}" for name, value in known.items() if value is not None)
        return ", ".join([done, *details])


@dataclass(frozen=True)
class StopReport:
    """The report of the whole step: a result per test run in the order given, and the step's own errors.

    `base_url` is that of the API.
    """

    results: Sequence[StopResult] = ()
    errors: Sequence[StepError] = ()
    dry_run: bool = False
    base_url: str = ""

    @property
    def failure(self) -> StepError | None:
        """The error that decides the exit code: a signal, of the first failed run, or of the step itself.

        Too few baselines give way to any other error, since a pipeline may allow that exit code.
        """
        errors = [*(result.error for result in self.results if result.error), *self.errors]
        signals = [error for error in errors if isinstance(error, SignalError)]
        others = [error for error in errors if not isinstance(error, TooFewBaselinesError)]
        return next(iter([*signals, *others, *errors]), None)

    @property
    def status(self) -> str:
        """The value of the output `status`."""
        if self.failure:
            return self.failure.status
        return "dry_run" if self.dry_run else "stopped"

    def with_error(self, error: StepError) -> Self:
        """Return the report with this error added."""
        return replace(self, errors=(*self.errors, error))

    def outcomes(self) -> Iterator[tuple[str, StepError | None]]:
        """Yield a line for each outcome, with the error that it is about."""
        for result in self.results:
            outcome = result.message(dry_run=self.dry_run) or result.describe(dry_run=self.dry_run)
            yield f"test run {result.test_run_id}: {outcome}", result.error
        for error in self.errors:
            for message in error.messages():
                yield message, error
