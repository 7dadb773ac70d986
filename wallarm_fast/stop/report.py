"""What the stop step found out and did, in words, as outputs and as a summary."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from wallarm_fast.api.test_run import NOTHING_KNOWN, TestRun
from wallarm_fast.outputs.report import Report, RunResult
from wallarm_fast.outputs.summary import Link, Outcome, Table
from wallarm_fast.outputs.table import to_json
from wallarm_fast.stop.errors import TooFewBaselinesError
from wallarm_fast.stop.settings import OUTPUTS

_HEADINGS = {"stopped": "recording stopped", "dry_run": "dry run, nothing changed"}


@dataclass(frozen=True, kw_only=True)
class StopResult(RunResult):
    """The result for one test run, and what is known of the run."""

    latest: TestRun = NOTHING_KNOWN
    already_stopped: bool = False
    dry_run: bool = False

    @property
    def error_text(self) -> str | None:
        """The error in words, if there is one."""
        unknown = self.latest.recording is not False and not self.dry_run
        if self.error and self.error.state_unknown and unknown:
            return f"{self.error}; recording may still be on"
        return super().error_text

    def success_text(self) -> str:
        """Return the success in words."""
        if self.dry_run:
            recording = {True: "on", False: "off", None: "unknown"}[self.latest.recording]
            done = f"found, nothing changed; recording is {recording}"
        else:
            done = "recording was already stopped" if self.already_stopped else "recording stopped"
        known = {
            "test record": self.latest.test_record_id,
            "baselines": self.latest.baseline_count,
            "state": self.latest.state,
        }
        details = (f"{name} {value}" for name, value in known.items() if value is not None)
        return ", ".join([done, *details])

    def outcome(self) -> Outcome:
        """Return the outcome in few words, since the summary has what is known in columns."""
        recording, count = self.latest.recording, self.latest.baseline_count
        if self.error:
            return Outcome(self.error_text or "", self.error)
        if self.dry_run:
            return Outcome({True: "recording", False: "not recording", None: "found"}[recording])
        if self.already_stopped:
            text = "already stopped"
        else:
            text = {True: "recording", False: "recording stopped", None: "stop accepted"}[recording]
        return Outcome(f"{text}, but the record is empty" if count == 0 else text)


@dataclass(frozen=True, kw_only=True)
class StopReport(Report[StopResult]):
    """The report of the stop step."""

    dry_run: bool = False
    outputs = OUTPUTS
    outranked_errors = (TooFewBaselinesError,)

    @property
    def success(self) -> str:
        """The status if nothing went wrong."""
        return "dry_run" if self.dry_run else "stopped"

    @property
    def record_ids(self) -> Sequence[str]:
        """The known test records."""
        return [result.latest.test_record_id for result in self.results if result.latest.test_record_id]

    def values(self, secrets: Collection[str]) -> Mapping[str, str]:
        """Return the outputs but `status` and `results`."""
        first = self.results[0].latest if self.results else NOTHING_KNOWN
        return {
            "test_record_id": first.test_record_id or "",
            "test_record_ids": to_json(self.record_ids),
            "test_run_state": first.state or "",
            "baseline_count": "" if first.baseline_count is None else str(first.baseline_count),
        }

    def fields(self, number: int, secrets: Collection[str]) -> Mapping[str, object]:
        """Return what the output `results` has of a run."""
        result = self.results[number]
        return {
            "test_record_id": result.latest.test_record_id,
            "recording": result.latest.recording,
            "already_stopped": result.already_stopped,
            "state": result.latest.state,
            "baseline_count": result.latest.baseline_count,
        }

    def dotenv(self, values: Mapping[str, str]) -> Mapping[str, str]:
        """Return the values without quotes, which a dotenv report may not have."""
        return {**values, "test_record_ids": ",".join(self.record_ids)}

    def heading(self) -> str:
        """Return the outcome of all runs."""
        if not self.failure:
            return _HEADINGS[self.status]
        if len(self.results) < 2 or self.dry_run:  # noqa: PLR2004 - several
            return self.failure.title
        off = sum(result.latest.recording is False or not result.error for result in self.results)
        return f"{self.failure.title}, {off} of {len(self.results)} stopped"

    def tables(self, secrets: Collection[str]) -> Iterator[Table]:
        """Yield a table with a row per test run."""
        if self.results:
            columns = ("Test run", "Test record", "State", "Baselines", "Outcome")
            rows = (
                (
                    Link(result.test_run_id, result.url),
                    result.latest.test_record_id,
                    result.latest.state,
                    result.latest.baseline_count,
                    result.outcome(),
                )
                for result in self.results
            )
            yield Table(columns, rows, numbers={"Baselines"})

    def epilogue(self) -> Sequence[str]:
        """Say how to test again with the (first) record."""
        if self.status != "stopped" or self.results[0].latest.baseline_count == 0:
            return ()
        record_id = self.results[0].latest.test_record_id
        text = (
            "To repeat the security tests with this record, once those of the test run have ended, "
            f"run the verdict step with `copy: true` and `test_record_id: {record_id}`."
        )
        return (text, "")
