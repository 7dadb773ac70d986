"""What the stop step found out and did."""

from dataclasses import dataclass

from wallarm_fast.errors import StepError
from wallarm_fast.report import Report
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
class StopReport(Report[StopResult]):
    """The report of the stop step; `base_url` is that of the API."""

    dry_run: bool = False
    base_url: str = ""
    gives_way = (TooFewBaselinesError,)

    @property
    def success(self) -> str:
        """The status if nothing went wrong."""
        return "dry_run" if self.dry_run else "stopped"

    def describe(self, result: StopResult) -> str:
        """Return a line about a test run."""
        outcome = result.message(dry_run=self.dry_run) or result.describe(dry_run=self.dry_run)
        return f"test run {result.test_run_id}: {outcome}"
