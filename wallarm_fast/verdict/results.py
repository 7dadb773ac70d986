"""What the verdict step found out."""

from collections.abc import Sequence
from dataclasses import dataclass

from wallarm_fast.api.progress import Vulnerability
from wallarm_fast.errors import StepError
from wallarm_fast.report import Report
from wallarm_fast.text import plural
from wallarm_fast.verdict.errors import VulnerabilitiesError

# The outputs of a job may have about 500,000 characters; the list is in two of them.
_MAX_LISTED = 500


@dataclass(frozen=True)
class VerdictResult:
    """The result for one test run: what is known about it (None: unknown), and what went wrong.

    `test_run_id` is empty if the copy was not made. The counts are those of the baselines.
    """

    test_run_id: str
    test_record_id: str | None = None
    state: str | None = None
    baseline_count: int | None = None
    checked_count: int | None = None
    passed_count: int | None = None
    failed_count: int | None = None
    failed_technically_count: int | None = None
    url: str | None = None
    vulnerabilities: tuple[Vulnerability, ...] = ()
    error: StepError | None = None

    @property
    def name(self) -> str:
        """The run in words, or the record if it was not copied."""
        return f"test run {self.test_run_id}" if self.test_run_id else f"test record {self.test_record_id}"

    def describe(self) -> str:
        """Return the outcome in words."""
        if self.error:
            return str(self.error)
        words = ["passed"] if self.passed_count is None else ["passed", plural(self.passed_count, "baseline")]
        if self.vulnerabilities:
            words.append(f"{plural(len(self.vulnerabilities), 'vulnerability')} below min_threat")
        return ", ".join(words)


@dataclass(frozen=True)
class VerdictReport(Report[VerdictResult]):
    """The report of the verdict step. `junit_file` is where to write it as JUnit XML, if anywhere."""

    gives_way = (VulnerabilitiesError,)
    min_threat: int = 1
    junit_file: str | None = None

    def listed(self, result: VerdictResult) -> Sequence[Vulnerability]:
        """Return the vulnerabilities of a run that the reports list: its share of 500, the worst."""
        return result.vulnerabilities[: _MAX_LISTED // len(self.results)]

    @property
    def success(self) -> str:
        """The status if nothing went wrong."""
        return "passed"

    def describe(self, result: VerdictResult) -> str:
        """Return a line about a test run."""
        return f"{result.name}: {result.describe()}"


def is_serious(vulnerability: Vulnerability, min_threat: int) -> bool:
    """Tell whether the vulnerability fails the step; one of unknown threat does."""
    return vulnerability.threat is None or vulnerability.threat >= min_threat
