"""The state of one recording, as the API has described it."""

from dataclasses import replace
from functools import partial

from wallarm_fast.api.client import WallarmClient
from wallarm_fast.api.responses import TestRun
from wallarm_fast.api.retry import retry
from wallarm_fast.clock import Deadline
from wallarm_fast.errors import UnusableAnswerError
from wallarm_fast.log import RunLogger


class Recording:
    """The recording of one test run: whether the stop was accepted, and what is known of the run since.

    `stop_call` makes the call that stops it. `taken_as_off` means that the stop was accepted, but no answer
    says whether recording is off.
    """

    def __init__(self, test_run_id: str, client: WallarmClient, deadline: Deadline) -> None:
        self.test_run_id = test_run_id
        self.client = client
        self.deadline = deadline
        self.clock = deadline.clock
        self.log = RunLogger(__name__, test_run_id)
        self.stop_call = partial(client.stop_test_run, test_run_id)
        self.run = TestRun()
        self.accepted_at: float | None = None
        self.taken_as_off = False

    @property
    def accepted(self) -> bool:
        """The API has accepted the stop."""
        return self.accepted_at is not None

    @property
    def off(self) -> bool:
        """The API says that recording is off."""
        return self.run.recording is False

    @property
    def confirmed(self) -> bool:
        """Recording is off, and the API has named the test record."""
        return (self.off or self.taken_as_off) and self.run.test_record_id is not None

    def look(self) -> TestRun:
        """Get the run once."""
        self.run = self.run.updated(self.client.get_test_run(self.test_run_id))
        return self.run

    def refresh(self) -> None:
        """Get the run, with retries."""
        retry(self.look, self.deadline, self.log)

    def stop(self) -> None:
        """Make the stop call once."""
        answer = self.stop_call()
        self.accepted_at = self.clock.monotonic()
        # What was counted before the stop may not be everything.
        self.run = replace(self.run, baseline_count=None, unusable_record_id=None).updated(answer)

    def check_record_id(self) -> None:
        """Raise UnusableAnswerError if the API has named the test record by something that is not an id."""
        if self.run.unusable_record_id:
            raise UnusableAnswerError(
                "the API answered with a test_record_id that is not an id; check api_host"
            )
