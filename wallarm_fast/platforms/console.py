"""Any console: the log goes to stderr, the outputs go to stdout."""

import logging
import sys

from wallarm_fast.errors import OutputError
from wallarm_fast.platforms.files import format_dotenv
from wallarm_fast.platforms.reporter import Publication, Reporter

_PREFIXES = {logging.WARNING: "warning: ", logging.ERROR: "error: ", logging.DEBUG: "debug: "}


class ConsoleReporter(Reporter):
    """Keeps stdout for the outputs, so that a script can read them."""

    def print_line(self, level: int, line: str, title: str) -> None:
        """Print the line to stderr."""
        print(f"{_PREFIXES.get(level, '')}{line}", file=sys.stderr, flush=True)

    def publish(self, publication: Publication) -> None:
        """Print the variables to stdout, as in a dotenv file, however long they are."""
        try:
            print(format_dotenv(publication.variables), end="", flush=True)
        except OSError as error:
            raise OutputError(f"stdout cannot be written: {error.strerror}") from None
