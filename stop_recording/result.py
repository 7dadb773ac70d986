"""What the step found and did, as data."""

from collections.abc import Sequence
from dataclasses import dataclass

from stop_recording.errors import Interrupted, StopRecordingError


@dataclass(frozen=True)
class StopResult:
    """What became of one test run: what was last learnt of it (None: not said), and what went wrong.

    `url` is the run's page in the portal, where that is known.
    """

    test_run_id: str
    test_record_id: str | None = None
    recording: bool | None = None
    already_stopped: bool = False
    state: str | None = None
    baseline_count: int | None = None
    url: str | None = None
    error: StopRecordingError | None = None


@dataclass(frozen=True)
class Report:
    """The whole step: a result for each run in the order given, or the error that kept it from them.

    `base_url` is that of the API.
    """

    results: Sequence[StopResult] = ()
    error: StopRecordingError | None = None
    dry_run: bool = False
    base_url: str = ""

    @property
    def failure(self) -> StopRecordingError | None:
        """What decides the exit code: the step's own error, a signal, or the first failed run's error."""
        errors = [result.error for result in self.results if result.error]
        interruptions = [error for error in errors if isinstance(error, Interrupted)]
        return self.error or next(iter(interruptions or errors), None)

    @property
    def exit_code(self) -> int:
        """The process's exit code."""
        return self.failure.exit_code if self.failure else 0

    @property
    def status(self) -> str:
        """The value of the output `status`."""
        if self.failure:
            return self.failure.status
        return "dry_run" if self.dry_run else "stopped"
