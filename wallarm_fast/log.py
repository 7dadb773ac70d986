"""Log lines about one test run."""

import logging
from collections.abc import MutableMapping
from typing import Any


class RunLogger(logging.LoggerAdapter[logging.Logger]):
    """Begins every message with the test run (or what `kind` says) that it is about."""

    def __init__(self, name: str, id: str, kind: str = "test run") -> None:  # noqa: A002 - an id of that kind
        super().__init__(logging.getLogger(name))
        self._subject = f"{kind} {id}"

    def process(self, msg: object, kwargs: MutableMapping[str, Any]) -> tuple[str, MutableMapping[str, Any]]:
        """Return the message with the test run in front."""
        return f"{self._subject}: {msg}", kwargs
