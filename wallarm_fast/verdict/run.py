"""One test run whose security tests are waited for: the wait, and the verdict."""

import math
from collections.abc import Mapping

from wallarm_fast.api.client import WallarmClient
from wallarm_fast.api.progress import Progress, Vulnerability
from wallarm_fast.api.retry import retry
from wallarm_fast.clock import Clock, Deadline
from wallarm_fast.errors import StepError
from wallarm_fast.log import RunLogger
from wallarm_fast.text import plural
from wallarm_fast.verdict.errors import (
    InterruptedRunError,
    NotTestedError,
    UnfinishedError,
    VulnerabilitiesError,
)
from wallarm_fast.verdict.results import VerdictResult, is_serious

_FINAL_STATES = {"passed", "failed", "interrupted"}
# All in seconds. The vendor's guide suggests a poll every 15 s, or by the estimate.
_POLL = 15.0
_SHORTEST_POLL = 2.0
_LONGEST_POLL = 60.0
_PROGRESS_INTERVAL = 30.0
_NODE_PATIENCE = 60.0
# The last look comes this long before the deadline, but not before half of the time is over.
_LAST_LOOK = 5.0
_MAX_NAMED = 5


class TestedRun:
    """A test run and what is known of it; or a copy, whose `test_run_id` is empty until it is made.

    `copied_by` are the fields of the call that makes the copy. `result()` is valid at any moment, from any
    thread.
    """

    error: StepError | None = None

    def __init__(
        self,
        client: WallarmClient,
        deadline: Deadline,
        test_run_id: str = "",
        copied_by: Mapping[str, object] | None = None,
    ) -> None:
        self.client = client
        self.deadline = deadline
        self.test_run_id = test_run_id
        self.copied_by = copied_by
        self.test_record_id = str(copied_by["test_record_id"]) if copied_by else None
        self.progress = Progress()

    @property
    def log(self) -> RunLogger:
        """The log, each line with the run in front, or with the record if there is no run yet."""
        if self.test_run_id:
            return RunLogger(__name__, self.test_run_id)
        return RunLogger(__name__, self.test_record_id or "", "test record")

    def refresh(self) -> None:
        """Get the progress, with retries."""
        self.progress = retry(lambda: self.client.get_progress(self.test_run_id), self.deadline, self.log)

    def result(self) -> VerdictResult:
        """Return what is known by now."""
        counts, url = self.progress.counts, self.client.connection.run_url
        return VerdictResult(
            test_run_id=self.test_run_id,
            test_record_id=self.test_record_id or self.progress.test_record_id,
            state=self.progress.state,
            baseline_count=counts["baselines"],
            checked_count=counts["checked"],
            passed_count=counts["passed"],
            failed_count=counts["failed"],
            failed_technically_count=counts["failed_technically"],
            url=url(self.test_run_id) if self.test_run_id else None,
            vulnerabilities=self.progress.vulnerabilities,
            error=self.error,
        )


def wait_until_ended(run: TestedRun) -> None:
    """Poll the run until its security tests have ended; raises UnfinishedError if time is up first."""
    clock: Clock = run.deadline.clock
    end = run.deadline.reserving(_LAST_LOOK)
    active_at = next_line = clock.monotonic()
    while True:
        run.refresh()
        progress, now = run.progress, clock.monotonic()
        if progress.state in _FINAL_STATES:
            return
        if now >= next_line:
            run.log.info("%s", describe(progress))
            next_line = now + _PROGRESS_INTERVAL
        if progress.node_active is not False:
            active_at = max(now, active_at)
        elif now >= active_at + _NODE_PATIENCE:
            run.log.warning("no FAST node is active; a container of the node has to run with this token")
            active_at = math.inf
        left = end.remaining()
        if not left:
            raise UnfinishedError(f"{describe(progress)}; not done in time, the run goes on; {_advice(run)}")
        clock.sleep(min(_pause(progress), left))


def check_verdict(run: TestedRun, min_threat: int) -> None:
    """Raise the error that the end of the run amounts to, if it is not a clean one."""
    progress, found = run.progress, run.progress.vulnerabilities
    if progress.state == "interrupted":
        raise InterruptedRunError(
            "the run was aborted, by hand or because another run was created on the same node; "
            "let one pipeline at a time use a token"
        )
    serious = [item for item in found if is_serious(item, min_threat)]
    if serious or (progress.state == "failed" and not found):
        raise VulnerabilitiesError(_name(serious))
    counts = progress.counts
    tested, technically = (counts["passed"], counts["failed"]), counts["failed_technically"] or 0
    unknown = tested == (None, None) and counts["baselines"] != 0 and not technically
    if not (any(tested) or unknown) or technically >= (counts["baselines"] or math.inf):
        raise NotTestedError(
            f"the run has ended, but nothing was tested ({plural(counts['baselines'] or 0, 'baseline')}, "
            f"{technically} failed technically); check that the record is not empty and that the FAST node "
            "reaches the application"
        )
    if None in tested:
        run.log.warning("the API did not say how many baselines were tested")


def describe(progress: Progress) -> str:
    """Return the progress in words."""
    checked, baselines = (
        "?" if value is None else value
        for value in (progress.counts["checked"], progress.counts["baselines"])
    )
    words = [progress.state or "in an unknown state", f"{checked} of {baselines} baselines checked"]
    words.append(plural(len(progress.vulnerabilities), "vulnerability"))
    if progress.seconds_left is not None:
        words.append(f"about {progress.seconds_left:.0f} s left")
    if progress.recording:
        words.append("recording is still on")
    return ", ".join(words)


def _advice(run: TestedRun) -> str:
    """Say what to do about a run that has not ended in time."""
    if run.progress.recording:
        return "stop the recording first, since a run ends only after that"
    if run.copied_by:
        return f"to wait on, give test_run_id {run.test_run_id} and no copy, since a new copy would abort it"
    return "raise timeout, or run this step again to wait on"


def _pause(progress: Progress) -> float:
    """Return the seconds until the next poll: half of the estimate, which may rise and fall."""
    if progress.seconds_left is None:
        return _POLL
    return min(max(progress.seconds_left / 2, _SHORTEST_POLL), _LONGEST_POLL)


def _name(found: list[Vulnerability]) -> str:
    """Say which vulnerabilities were found."""
    if not found:
        return "the security tests failed, but the API names no vulnerability; look at the run in the portal"
    names = [
        f"{item.type or item.code or 'unknown'} (threat {item.threat or 'unknown'})"
        for item in found[:_MAX_NAMED]
    ]
    more = ["..."] if len(found) > _MAX_NAMED else []
    return f"{plural(len(found), 'vulnerability')} found: {', '.join([*names, *more])}"
