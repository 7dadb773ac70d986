"""What the start step did, in words, as outputs and as a summary."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from wallarm_fast.outputs.report import Report, RunResult
from wallarm_fast.outputs.summary import Link, Outcome, Table
from wallarm_fast.start.settings import OUTPUTS


@dataclass(frozen=True, kw_only=True)
class StartResult(RunResult):
    """The new test run; `test_run_id` is empty as long as there is none."""

    @property
    def subject(self) -> str:
        """The run in words."""
        return f"test run {self.test_run_id}" if self.test_run_id else "new test run"

    def success_text(self) -> str:
        """Return the success in words."""
        return f"recording; {self.url}" if self.url else "recording"


@dataclass(frozen=True, kw_only=True)
class StartReport(Report[StartResult]):
    """The report of the start step."""

    outputs = OUTPUTS

    @property
    def success(self) -> str:
        """The status if nothing went wrong."""
        return "ready"

    def values(self, secrets: Collection[str]) -> Mapping[str, str]:
        """Return the outputs but `status`."""
        first = self.results[0] if self.results else StartResult(test_run_id="")
        return {"test_run_id": first.test_run_id, "url": first.url or ""}

    def heading(self) -> str:
        """Return the outcome."""
        return self.failure.title if self.failure else "recording"

    def tables(self, secrets: Collection[str]) -> Iterator[Table]:
        """Yield a table with the test run."""
        if self.results:
            rows = (
                (
                    Link(result.test_run_id, result.url),
                    Outcome(result.error_text or "recording", result.error),
                )
                for result in self.results
            )
            yield Table(("Test run", "Outcome"), rows)
