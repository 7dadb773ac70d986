"""Whether the FAST node records, as far as the API tells."""

from wallarm_fast.api.test_run import TestRun
from wallarm_fast.start.errors import NotReadyError

# If the API does not say when the node is ready, it is assumed to be ready after so many seconds.
_GUESS = 10.0
_START_NODE = "docker run --env WALLARM_API_TOKEN --env WALLARM_API_HOST --publish 8080:8080 wallarm/fast"


class Readiness:
    """Whether the node records, as far as the API tells; `doubt` is why that may be wrong."""

    def __init__(self, created_at: float) -> None:
        self._created_at = created_at
        self._told = False  # a response had ready_for_recording
        self._active_since: float | None = None
        self._active: bool | None = None
        self.doubt = ""

    def note(self, run: TestRun, now: float) -> bool:
        """Take note of a response; return whether the node is ready."""
        self._told |= run.ready_for_recording is not None
        self._active = self._active if run.node_active is None else run.node_active
        if not self._active:
            self._active_since = None
        elif self._active_since is None:
            self._active_since = now
        if self._told:
            return run.ready_for_recording is True
        if self._active is None:
            waited, known = now - self._created_at, "neither ready_for_recording nor node_active"
        elif self._active_since is not None:
            waited, known = now - self._active_since, "no ready_for_recording"
        else:
            return False
        if waited < _GUESS:
            return False
        self.doubt = f"the API returned {known}; the FAST node is assumed to be ready after {_GUESS:g} s"
        return True

    @property
    def missing(self) -> str:
        """What is waited for."""
        if self._active is False:
            return "no container of the FAST node runs with this token (node_active: false)"
        return "the FAST node is not ready to record yet"

    def not_ready(self) -> NotReadyError:
        """Return the error for a node that is not ready in time, with what to do about it."""
        if self._active is False:
            return NotReadyError(self.missing).hint(f"start one: `{_START_NODE}`")
        return NotReadyError(self.missing).hint("increase timeout, or check the log of the node")
