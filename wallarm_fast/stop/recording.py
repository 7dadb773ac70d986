"""The state of one recording, as the API has described it."""

from collections.abc import Iterator
from functools import partial

from wallarm_fast.api.client import WallarmClient
from wallarm_fast.api.retry import TransientError, retry
from wallarm_fast.api.test_run import TestRun
from wallarm_fast.errors import StepError, UnusableResponseError
from wallarm_fast.log import RunLogger


class Recording:
    """The recording of one test run: whether the stop was accepted, and what is known of the run since.

    `latest` is the state of the run by all responses, `stop_call` makes the call that stops it. `assumed_off`
    means that the stop was accepted, but no response tells whether recording is off.
    """

    def __init__(self, test_run_id: str, client: WallarmClient) -> None:
        self.test_run_id = test_run_id
        self.client = client
        self.deadline = client.deadline
        self.clock = client.deadline.clock
        self.log = RunLogger(__name__, f"test run {test_run_id}", self.clock)
        self.stop_call = partial(client.stop_test_run, test_run_id)
        self.latest = TestRun()
        self.accepted_at: float | None = None
        self.assumed_off = False

    @property
    def accepted(self) -> bool:
        """The API has accepted the stop."""
        return self.accepted_at is not None

    @property
    def off(self) -> bool:
        """The API says that recording is off."""
        return self.latest.recording is False

    @property
    def off_text(self) -> str:
        """How far it is known that recording is off."""
        return "recording is off" if self.off else "the stop was accepted"

    @property
    def confirmed(self) -> bool:
        """Recording is off, and the test record is known."""
        return (self.off or self.assumed_off) and self.latest.test_record_id is not None

    def fetch(self) -> None:
        """Get the run once."""
        self.latest = self.latest.updated(self.client.get_test_run(self.test_run_id))

    def try_fetch(self) -> TransientError | StepError | None:
        """Get the run once; return what prevents that."""
        try:
            self.fetch()
        except (TransientError, StepError) as problem:
            return problem
        return None

    def fetch_with_retries(self) -> Iterator[float]:
        """Get the run, in parts."""
        return retry(self.fetch, self.deadline, self.log)

    def stop(self) -> None:
        """Make the stop call once."""
        response = self.stop_call()
        self.accepted_at = self.clock.monotonic()
        # What was counted before the stop may not be everything.
        self.latest = self.latest.without_count().updated(response)

    def check_record_id(self) -> None:
        """Raise UnusableResponseError if the test_record_id in a response is not an id."""
        if self.latest.unusable_record_id:
            raise UnusableResponseError("the API returned a test_record_id that is not an id").hint(
                "check api_host"
            )
