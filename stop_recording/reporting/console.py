"""Anywhere that is neither GitHub nor GitLab: the log on stderr, `name=value` lines on stdout."""

import logging
import sys

from stop_recording.errors import BadInput
from stop_recording.reporting.base import Reporter
from stop_recording.reporting.outputs import dotenv
from stop_recording.result import Report

_PREFIXES = {logging.WARNING: "warning: ", logging.ERROR: "error: ", logging.DEBUG: "debug: "}


class ConsoleReporter(Reporter):
    """Keeps stdout for the outputs, so that a script can read them."""

    def show(self, level: int, line: str, title: str) -> None:
        """Print the line to stderr."""
        print(f"{_PREFIXES.get(level, '')}{line}", file=sys.stderr, flush=True)

    def hand_on(self, outputs: dict[str, str], report: Report) -> None:
        """Print the lines of a dotenv file to stdout, however long."""
        try:
            print(dotenv(outputs), end="", flush=True)
        except OSError as error:
            raise BadInput(f"stdout cannot be written: {error.strerror}") from None
