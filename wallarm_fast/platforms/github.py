"""GitHub Actions: workflow commands, `GITHUB_OUTPUT`, `GITHUB_ENV` and the job summary.

Imports two modules of actions-toolkit and not `actions_toolkit.core`, which would import requests.
"""

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TextIO

from actions_toolkit.command import Command
from actions_toolkit.file_command import prepare_key_value_message

from wallarm_fast.errors import OutputError
from wallarm_fast.outputs.table import StepOutputs
from wallarm_fast.platforms.files import write_file
from wallarm_fast.platforms.reporter import Reporter
from wallarm_fast.text import sanitize_line

_COMMANDS = {logging.DEBUG: "debug", logging.WARNING: "warning", logging.ERROR: "error"}
_log = logging.getLogger(__name__)


class GitHubReporter(Reporter):
    """Annotates warnings and errors, and masks the token before printing anything else."""

    def mask(self, secret: str) -> None:
        """Make the runner replace the secret in all its logs."""
        # Bytes that are not text come as characters that cannot be printed.
        self._issue("add-mask", secret.encode(errors="replace").decode())

    def stream(self) -> TextIO | None:
        """Return stdout."""
        return sys.stdout

    def format_line(self, level: int, line: str, title: str | None) -> str:
        """Return a plain line, or an annotation."""
        if command := _COMMANDS.get(level):
            return str(Command(command, {"title": f"Wallarm FAST: {title}"} if title else {}, line))
        return line

    @contextmanager
    def section(self, title: str) -> Iterator[None]:
        """Fold the lines into a group."""
        self._issue("group", sanitize_line(title, self.platform.secrets))
        try:
            yield
        finally:
            self._issue("endgroup", "")

    def write_summary(self, outputs: StepOutputs) -> None:
        """Append to the summary of the job."""
        if "GITHUB_STEP_SUMMARY" in self.paths:
            try:
                write_file(self.paths["GITHUB_STEP_SUMMARY"], outputs.summary, append=True)
            except OutputError as error:
                _log.warning("no job summary: %s", error)

    def publish(self, outputs: StepOutputs) -> None:
        """Append to the files of outputs and variables; the runner takes the last value of a name."""
        for variable, values in (("GITHUB_OUTPUT", outputs.values), ("GITHUB_ENV", outputs.environment)):
            if values and variable in self.paths:
                write_file(self.paths[variable], _key_values(values), append=True)

    def _issue(self, command: str, message: str) -> None:
        self.print_line(str(Command(command, {}, message)))


def _key_values(values: Mapping[str, str]) -> str:
    # The library writes the line ends of the machine, and the file has those of Unix everywhere.
    lines = (prepare_key_value_message(name, value) for name, value in values.items())
    return "".join(f"{line}\n" for line in lines).replace("\r\n", "\n")
