"""Any console: the log goes to stderr, the outputs go to stdout."""

import logging
import queue
import sys
from collections.abc import Mapping
from typing import TextIO

from wallarm_fast.errors import OutputError
from wallarm_fast.outputs.table import StepOutputs
from wallarm_fast.parallel import start_thread
from wallarm_fast.platforms.detection import Platform
from wallarm_fast.platforms.files import format_dotenv
from wallarm_fast.platforms.reporter import STALLED_AFTER, Reporter

_PREFIXES = {logging.WARNING: "warning: ", logging.ERROR: "error: ", logging.DEBUG: "debug: "}


class ConsoleReporter(Reporter):
    """Keeps stdout for the outputs, so that a script can read them."""

    def __init__(self, platform: Platform, paths: Mapping[str, str]) -> None:
        super().__init__(platform, paths)
        self._shown: set[str] = set()

    def stream(self) -> TextIO | None:
        """Return stderr."""
        return sys.stderr

    def format_line(self, level: int, line: str, title: str | None) -> str:
        """Return the line with its level in front."""
        return f"{_PREFIXES.get(level, '')}{line}"

    def publish(self, outputs: StepOutputs) -> None:
        """Write no file: the outputs are printed."""

    def print_outputs(self, outputs: StepOutputs) -> None:
        """Print the variables to stdout, as in a dotenv file, however long they are; each is printed once."""
        variables = {name: value for name, value in outputs.variables.items() if name not in self._shown}
        if not sys.stdout:
            raise OutputError("stdout cannot be written: it is closed")
        outcome: queue.SimpleQueue[str | None] = queue.SimpleQueue()

        def write() -> None:
            try:
                print(format_dotenv(variables), end="", flush=True)
                outcome.put(None)
            except OSError as error:
                outcome.put(error.strerror)

        # In a thread, since a write that hangs would hold up the end of the step.
        if not start_thread(write):
            write()
        try:
            problem = outcome.get(timeout=STALLED_AFTER)
        except queue.Empty:
            problem = "nobody reads it"
        if problem:
            raise OutputError(f"stdout cannot be written: {problem}")
        self._shown |= variables.keys()
