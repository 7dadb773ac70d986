"""The main flow: create the test run, hand out its id, wait until the node records."""

from collections.abc import Callable, Iterator

from wallarm_fast.api.client import WallarmClient
from wallarm_fast.api.creation import Creation
from wallarm_fast.api.retry import retry
from wallarm_fast.api.test_run import TestRun
from wallarm_fast.clock import Interval
from wallarm_fast.errors import AbortedError, StepError, UnreachableError
from wallarm_fast.log import RunLogger
from wallarm_fast.start.errors import NotReadyError
from wallarm_fast.start.readiness import Readiness
from wallarm_fast.start.report import StartResult

# All in seconds.
_POLL = 2.0
_LATER_POLL = 5.0
_LATER = 30.0
# The last poll comes this long before the deadline, but not before half of the time is over.
_LAST_POLL = 1.0
_PROGRESS_INTERVAL = 15.0


class StartJob:
    """Creates one test run and waits for its node. `result()` is valid at any moment, from any thread.

    `announce` is called with the result as soon as the run is created; an OutputError from it ends the job.
    """

    def __init__(
        self, client: WallarmClient, creation: Creation, announce: Callable[[StartResult], None]
    ) -> None:
        self._client = client
        self._creation = creation
        self._announce = announce
        self._clock = client.deadline.clock
        self._test_run_id = ""
        self._error: StepError | None = NotReadyError("not ready yet")
        self._readiness = Readiness(self._clock.monotonic())
        self._fetched = False

    def run(self) -> Iterator[float]:
        """Do everything; raises the StepError that prevents it."""
        log = RunLogger(__name__, "new test run", self._clock)
        run = yield from self._creation.create(log)
        self._test_run_id = run.id or ""
        log = RunLogger(__name__, f"test run {self._test_run_id}", self._clock)
        log.info("created; waiting until the FAST node is ready")
        self._announce(self.result())
        yield from self._wait(run, log)
        self._error = None

    def abort(self, error: StepError) -> None:
        """Take note of what ended the wait, and of what may be recording."""
        if self._test_run_id:
            if isinstance(error, UnreachableError) and self._fetched:
                error = self._readiness.not_ready().hint(f"the last poll failed: {error}")
            if not isinstance(error, AbortedError):
                error = error.hint("the test run may be recording, so run the stop step")
        elif self._creation.may_have_created:
            error = error.hint("a test run may be recording, look in the portal before you try again")
        self._error = error

    def result(self) -> StartResult:
        """Return what is known by now."""
        url = self._client.connection.run_url(self._test_run_id)
        return StartResult(test_run_id=self._test_run_id, url=url, error=self._error)

    def _wait(self, run: TestRun, log: RunLogger) -> Iterator[float]:
        """Poll the run until its node is ready; yields the seconds between the polls."""
        deadline, created_at = self._client.deadline, self._clock.monotonic()
        end = deadline.reserving(_LAST_POLL)
        self._readiness = readiness = Readiness(created_at)
        progress = Interval(_PROGRESS_INTERVAL, self._clock)
        while True:
            now = self._clock.monotonic()
            if run.ended:
                raise AbortedError.of(f"the test run was aborted (state {run.state})")
            if readiness.note(run, now):
                if readiness.doubt:
                    log.warning("%s", readiness.doubt)
                return
            left = end.remaining()
            if progress.due():
                log.info("%s; %.0f s left", readiness.missing, left)
            if not left:
                raise readiness.not_ready()
            yield min(_POLL if now < created_at + _LATER else _LATER_POLL, left)
            run = yield from retry(lambda: self._creation.get(self._test_run_id), deadline, log)
            self._fetched = True
