"""What the stop step found out and did."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from wallarm_fast.errors import SignalError, StepError


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
    """The report of the whole step: a result per test run in the order given, or the error that prevented it.

    `base_url` is that of the API.
    """

    results: Sequence[StopResult] = ()
    error: StepError | None = None
    dry_run: bool = False
    base_url: str = ""

    @property
    def failure(self) -> StepError | None:
        """The error that decides the exit code: of the step itself, a signal, or of the first failed run."""
        errors = [result.error for result in self.results if result.error]
        signals = [error for error in errors if isinstance(error, SignalError)]
        return self.error or next(iter(signals or errors), None)

    @property
    def status(self) -> str:
        """The value of the output `status`."""
        if self.failure:
            return self.failure.status
        return "dry_run" if self.dry_run else "stopped"

    def outcomes(self) -> Iterator[tuple[str, str | StepError]]:
        """Yield what each outcome is about, and the outcome: a success in words, or an error."""
        for result in self.results:
            yield f"test run {result.test_run_id}", result.error or result.describe(dry_run=self.dry_run)
        if self.error:
            yield "", self.error
