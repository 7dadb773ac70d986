"""Creating a test run, once: a second one would abort the first on their node."""

from collections.abc import Generator, Mapping

from wallarm_fast.api.client import WallarmClient
from wallarm_fast.api.retry import TransientError, retry
from wallarm_fast.api.test_run import TestRun
from wallarm_fast.errors import NotFoundError, StepError, UnreachableError
from wallarm_fast.log import RunLogger

# How long a run may be unknown to the API after it was created, in seconds.
_NEW_RUN = 30.0


class Creation:
    """A test run that is created with these fields of the API's call, or copied.

    `may_have_created` is whether a run may have been created, whether or not its id is known.
    """

    def __init__(self, client: WallarmClient, fields: Mapping[str, object]) -> None:
        self.fields = fields
        self.may_have_created = False
        self._client = client
        self._new_until = 0.0

    def create(self, log: RunLogger) -> Generator[float, None, TestRun]:
        """Create the run, in parts. Repeats a call that was rejected for now, never one that may have acted.

        Raises UnreachableError if the response was lost, and whatever WallarmClient.create_test_run raises.
        """

        def attempt() -> TestRun:
            self.may_have_created = True
            try:
                return self._client.create_test_run(self.fields)
            except (TransientError, StepError) as failure:
                self.may_have_created = isinstance(failure, TransientError) and failure.may_have_acted
                if self.may_have_created:
                    raise UnreachableError(str(failure)) from None
                raise

        deadline = self._client.deadline
        run = yield from retry(attempt, deadline, log)
        self._new_until = deadline.clock.monotonic() + _NEW_RUN
        return run

    def get(self, test_run_id: str) -> TestRun:
        """Get the run; a 404 is a TransientError while the run is new."""
        try:
            return self._client.get_test_run(test_run_id)
        except NotFoundError as error:
            if self._client.deadline.clock.monotonic() > self._new_until:
                raise
            reason = str(error.args[0])  # without the hint, which is to check the id
            raise TransientError(NotFoundError, reason, patience=_NEW_RUN, hint="try again later") from None
