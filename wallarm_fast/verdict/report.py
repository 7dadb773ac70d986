"""What the verdict step found out, in words, as outputs, as a summary and as JUnit XML."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from wallarm_fast.api.test_run import MAX_VULNERABILITIES, NOTHING_KNOWN, TestRun, Vulnerability
from wallarm_fast.outputs.report import Report, RunResult
from wallarm_fast.outputs.summary import Link, Outcome, Table
from wallarm_fast.outputs.table import to_json
from wallarm_fast.text import plural, sanitize_line
from wallarm_fast.verdict.errors import VulnerabilitiesError
from wallarm_fast.verdict.judging import count_failing, describe_untested
from wallarm_fast.verdict.settings import OUTPUTS

# The outputs of a job may have about 500,000 characters; the list is in two of them.
_MAX_LISTED = 500


@dataclass(frozen=True, kw_only=True)
class VerdictResult(RunResult):
    """The result for one test run, and what is known of the run.

    `test_run_id` is empty if the copy was not created. `seconds` is what the tests took, or else the wait.
    """

    test_record_id: str | None = None
    latest: TestRun = NOTHING_KNOWN
    min_threat: int = 1
    seconds: float = 0.0

    @property
    def subject(self) -> str:
        """The run in words, or the record if it was not copied."""
        return f"test run {self.test_run_id}" if self.test_run_id else f"test record {self.test_record_id}"

    @cached_property
    def failing_count(self) -> int:
        """The number of vulnerabilities that fail the step."""
        return count_failing(self.latest, self.min_threat)

    def success_text(self) -> str:
        """Return the outcome in words."""
        counts, words = self.latest.counts, ["passed"]
        if counts.passed_count is not None:
            all_passed = counts.baseline_count in (None, counts.passed_count)
            count = plural(counts.passed_count, "baseline")
            part = f"{counts.passed_count} of {counts.baseline_count} baselines passed"
            words.append(describe_untested(counts) or (count if all_passed else part))
        if self.latest.vulnerabilities:
            words.append(f"{plural(self.latest.vulnerability_count, 'vulnerability')} below min_threat")
        return ", ".join(words)


@dataclass(frozen=True, kw_only=True)
class VerdictReport(Report[VerdictResult]):
    """The report of the verdict step."""

    outputs = OUTPUTS
    outranked_errors = (VulnerabilitiesError,)

    @property
    def success(self) -> str:
        """The status if nothing went wrong."""
        return "passed"

    @property
    def vulnerability_count(self) -> int:
        """The number of vulnerabilities in all runs."""
        return sum(result.latest.vulnerability_count for result in self.results)

    @cached_property
    def listed(self) -> Sequence[Sequence[Vulnerability]]:
        """The vulnerabilities of each run that are in outputs and summary."""
        return self._list(_MAX_LISTED)

    def values(self, secrets: Collection[str]) -> Mapping[str, str]:
        """Return the outputs but `status` and `results`."""
        seen = self.results and all(result.latest.state for result in self.results)
        listed = [
            {**_shown(item, secrets), "test_run_id": result.test_run_id} for result, item in self._pairs()
        ]
        return {
            "test_run_id": self.results[0].test_run_id if self.results else "",
            # As long as a run was not seen, none is not a finding.
            "vulnerability_count": str(self.vulnerability_count) if self.vulnerability_count or seen else "",
            "vulnerabilities": to_json(listed),
        }

    def fields(self, number: int, secrets: Collection[str]) -> Mapping[str, object]:
        """Return what the output `results` has of a run."""
        result = self.results[number]
        return {
            "test_record_id": result.test_record_id,
            "state": result.latest.state,
            **vars(result.latest.counts),
            "vulnerabilities": [_shown(item, secrets) for item in self.listed[number]],
        }

    def files(self, secrets: Collection[str]) -> Mapping[str, Callable[[], str]]:
        """Return what makes the JUnit XML."""

        def junit() -> str:
            # The XML library takes time to load.
            from wallarm_fast.verdict.junit import make_junit  # noqa: PLC0415

            # All that fail the step, however many runs there are.
            most = max(MAX_VULNERABILITIES, sum(result.failing_count for result in self.results))
            return make_junit(self, self._list(most), secrets)

        return {"junit_file": junit}

    def heading(self) -> str:
        """Return the verdict."""
        if self.failure:
            return self.failure.title
        return (
            "only vulnerabilities below min_threat"
            if self.vulnerability_count
            else "no vulnerabilities found"
        )

    def tables(self, secrets: Collection[str]) -> Iterator[Table]:
        """Yield a table of the test runs, and one of the vulnerabilities."""
        if not self.results:
            return
        numbers = ("Baselines", "Passed", "Failed", "Failed technically")
        columns = ("Test run", "Test record", *numbers, "Outcome")
        yield Table(columns, map(_row, self.results), numbers=numbers)
        if listed := [*self._pairs()]:
            title = plural(self.vulnerability_count, "vulnerability")
            if left_out := self.vulnerability_count - len(listed):
                title += f", {left_out} of which are left out here and in the outputs"
            rows = (
                (Link(result.test_run_id, result.url), item.id, item.threat, item.type, item.code)
                for result, item in listed
            )
            yield Table(("Test run", "ID", "Threat", "Type", "Code"), rows, title, {"Threat"})

    def _pairs(self) -> Iterator[tuple[VerdictResult, Vulnerability]]:
        """Yield what is listed with the result that it belongs to."""
        for result, items in zip(self.results, self.listed, strict=True):
            for item in items:
                yield result, item

    def _list(self, most: int) -> Sequence[Sequence[Vulnerability]]:
        """Return so many vulnerabilities in all, by run; first those that fail the step."""
        failing = _share(most, [result.failing_count for result in self.results])
        others = _share(
            most - sum(failing),
            [result.latest.vulnerability_count - result.failing_count for result in self.results],
        )
        counts = map(sum, zip(failing, others, strict=True))
        return [
            result.latest.vulnerabilities[:count] for result, count in zip(self.results, counts, strict=True)
        ]


def _row(result: VerdictResult) -> Sequence[Link | Outcome | str | int | None]:
    counts = result.latest.counts
    return (
        Link(result.test_run_id, result.url),
        result.test_record_id,
        counts.baseline_count,
        counts.passed_count,
        counts.failed_count,
        counts.failed_technically_count,
        Outcome(result.error_text or result.success_text(), result.error),
    )


def _shown(found: Vulnerability, secrets: Collection[str]) -> dict[str, object]:
    return {
        name: sanitize_line(value, secrets) if isinstance(value, str) else value
        for name, value in vars(found).items()
    }


def _share(most: int, needs: Sequence[int]) -> Sequence[int]:
    """Return how many each gets of so many: what one does not need is left to the others."""
    shares, left = [0] * len(needs), most
    for position, number in enumerate(sorted(range(len(needs)), key=needs.__getitem__)):
        shares[number] = min(needs[number], left // (len(needs) - position))
        left -= shares[number]
    return shares
