"""A test run whose security tests are waited for, and the wait."""

import math
from collections.abc import Iterator

from wallarm_fast.api.client import WallarmClient
from wallarm_fast.api.creation import Creation
from wallarm_fast.api.retry import retry
from wallarm_fast.api.test_run import TestRun
from wallarm_fast.clock import Interval
from wallarm_fast.errors import DeadlineError, StepError, UnreachableError
from wallarm_fast.log import RunLogger
from wallarm_fast.text import plural
from wallarm_fast.verdict.errors import UnfinishedError
from wallarm_fast.verdict.report import VerdictResult

# All in seconds. The vendor's guide suggests a poll every 15 s, or by the estimate.
_POLL = 15.0
_SHORTEST_POLL = 2.0
_LONGEST_POLL = 60.0
_PROGRESS_INTERVAL = 30.0
_WARN_AFTER = 60.0
_PAUSED = "the run is paused and does not go on by itself; resume it in the portal"
_INACTIVE = "no FAST node is active; a container of the node has to run with this token"
# The last poll comes this long before the deadline, but not before half of the time is over.
_LAST_POLL = 5.0


class TestedRun:
    """A test run and what is known of it; or a copy, whose `test_run_id` is empty until it is created.

    `result()` is valid at any moment, from any thread.
    """

    __test__ = False  # pytest takes the name for a class of tests

    def __init__(self, client: WallarmClient, test_run_id: str = "", copy: Creation | None = None) -> None:
        self.client = client
        self.deadline = client.deadline
        self.clock = client.deadline.clock
        self.copy = copy
        self.test_record_id = str(copy.fields["test_record_id"]) if copy else None
        self.latest = TestRun()
        self.error: StepError | None = None
        self._seen = False
        self.begin(test_run_id)

    def begin(self, test_run_id: str) -> None:
        """Take note of the id of the run; the wait for it begins."""
        subject = f"test run {test_run_id}" if test_run_id else f"test record {self.test_record_id}"
        self.test_run_id = test_run_id
        self.log = RunLogger(__name__, subject, self.clock)
        self._began_at = self._waited_until = self.clock.monotonic()

    def fetch(self) -> None:
        """Get the run once; raises what keeps it from being fetched."""
        get = self.copy.get if self.copy else self.client.get_test_run
        try:
            self.latest = get(self.test_run_id)
            self._seen = True
        finally:
            self._waited_until = self.clock.monotonic()

    def end(self, error: StepError | None) -> None:
        """Take note of what ended the wait. If that is the time, a run that was seen is just not finished.

        A failure after the deadline comes from a process that was paused, and says nothing of the API.
        """
        out_of_time = isinstance(error, UnreachableError) and not self.deadline.remaining()
        if self._seen and (out_of_time or isinstance(error, DeadlineError)):
            error = unfinished(self)
        self.error = error

    def result(self, min_threat: int) -> VerdictResult:
        """Return what is known by now."""
        waited = self._waited_until - self._began_at
        return VerdictResult(
            test_run_id=self.test_run_id,
            test_record_id=self.test_record_id or self.latest.test_record_id,
            latest=self.latest,
            min_threat=min_threat,
            seconds=waited if self.latest.seconds is None else self.latest.seconds,
            url=self.client.connection.run_url(self.test_run_id),
            error=self.error,
        )


class _Watch:
    """Tells of a run that goes on: a line of progress now and then, and a warning if it needs a hand."""

    def __init__(self, run: TestedRun) -> None:
        self._run = run
        self._progress = Interval(_PROGRESS_INTERVAL, run.clock)
        self._since = dict.fromkeys((_PAUSED, _INACTIVE), run.clock.monotonic())

    def note(self) -> None:
        """Take note of the latest state."""
        latest = self._run.latest
        if self._progress.due():
            self._run.log.info("%s", describe(latest))
        self._warn(_PAUSED, if_it_lasts=latest.state == "paused")
        self._warn(_INACTIVE, if_it_lasts=latest.node_active is False)

    def _warn(self, warning: str, *, if_it_lasts: bool) -> None:
        """Warn once of what has been the case for a while."""
        now, since = self._run.clock.monotonic(), self._since[warning]
        if not if_it_lasts:
            self._since[warning] = max(now, since)
        elif now >= since + _WARN_AFTER:
            self._run.log.warning("%s", warning)
            self._since[warning] = math.inf


def wait_until_ended(run: TestedRun) -> Iterator[float]:
    """Poll the run until its security tests have ended; yields the seconds between the polls.

    Raises UnfinishedError if the time is up first, or what keeps the run from being fetched.
    """
    end = run.deadline.reserving(_LAST_POLL)
    watch = _Watch(run)
    while True:
        yield from retry(run.fetch, run.deadline, run.log)
        if run.latest.ended:
            return
        watch.note()
        left = end.remaining()
        if not left:
            raise unfinished(run)
        yield min(_pause(run.latest), left)


def unfinished(run: TestedRun) -> UnfinishedError:
    """Return the error for a run that has not ended in time, with what to do about it."""
    latest = run.latest
    now = "the run is paused" if latest.state == "paused" else "the run continues"
    error = UnfinishedError(f"not finished before timeout ({describe(latest)})").hint(now)
    if latest.recording:
        return error.hint("stop the recording first, since a run ends only after that")
    if latest.node_active is False:
        error = error.hint("no FAST node is active, so start a container of the node with this token")
    if latest.state == "paused":
        error = error.hint("resume it in the portal")
    if run.copy:
        return error.hint(
            f"to keep waiting, run the step with test_run_id {run.test_run_id} and without copy"
        )
    return error.hint("increase timeout, or run this step again to keep waiting")


def describe(run: TestRun) -> str:
    """Return the progress in words."""
    checked, baselines = (
        "?" if value is None else value for value in (run.counts.checked_count, run.counts.baseline_count)
    )
    words = [f"state {run.state or 'unknown'}", f"{checked} of {baselines} baselines checked"]
    words.append(plural(run.vulnerability_count, "vulnerability"))
    if run.seconds_left is not None:
        words.append(f"about {run.seconds_left:.0f} s left")
    if run.recording:
        words.append("recording is still on")
    return ", ".join(words)


def _pause(run: TestRun) -> float:
    """Return the seconds until the next poll: half of the estimate, which may rise and fall."""
    if run.seconds_left is None:
        return _POLL
    return min(max(run.seconds_left / 2, _SHORTEST_POLL), _LONGEST_POLL)
