"""Any console: the log goes to stderr, the outputs go to stdout."""

import logging
import queue
import sys
from typing import TextIO

from wallarm_fast.errors import OutputError
from wallarm_fast.parallel import start_thread
from wallarm_fast.platforms.files import format_dotenv
from wallarm_fast.platforms.reporter import STALLED_AFTER, Publication, Reporter

_PREFIXES = {logging.WARNING: "warning: ", logging.ERROR: "error: ", logging.DEBUG: "debug: "}


class ConsoleReporter(Reporter):
    """Keeps stdout for the outputs, so that a script can read them."""

    def stream(self) -> TextIO | None:
        """Return stderr."""
        return sys.stderr

    def format_line(self, level: int, line: str, title: str | None) -> str:
        """Return the line with its level in front."""
        return f"{_PREFIXES.get(level, '')}{line}"

    def publish(self, publication: Publication) -> None:
        """Write no file: the outputs are printed."""

    def print_outputs(self, publication: Publication) -> None:
        """Print the variables to stdout, as in a dotenv file, however long they are."""
        if not sys.stdout:
            raise OutputError("stdout cannot be written: it is closed")
        outcome: queue.SimpleQueue[str | None] = queue.SimpleQueue()

        def write() -> None:
            try:
                print(format_dotenv(publication.variables), end="", flush=True)
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
