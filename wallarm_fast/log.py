"""Log lines about one test run."""

import logging
from collections.abc import MutableMapping
from typing import Any

from wallarm_fast.clock import Clock, Interval

_RETRY_INTERVAL = 30.0


class RunLogger(logging.LoggerAdapter[logging.Logger]):
    """Begins every message with the test run, or whatever else, that it is about."""

    def __init__(self, name: str, subject: str, clock: Clock) -> None:
        super().__init__(logging.getLogger(name))
        self.subject = subject
        self._retries = Interval(_RETRY_INTERVAL, clock)

    def process(self, msg: object, kwargs: MutableMapping[str, Any]) -> tuple[str, MutableMapping[str, Any]]:
        """Return the message with its subject in front."""
        return f"{self.subject}: {msg}", kwargs

    def retrying(self, failure: object, pause: float) -> None:
        """Log that a request is retried after so many seconds; often only when debugging."""
        level = logging.INFO if self._retries.due() else logging.DEBUG
        self.log(level, "%s; retrying in %.1f s", failure, pause)
