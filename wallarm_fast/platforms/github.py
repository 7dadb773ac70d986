"""GitHub Actions: workflow commands, `GITHUB_OUTPUT` and the job summary.

Imports two modules of actions-toolkit and not `actions_toolkit.core`, which would import requests.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from actions_toolkit.command import Command
from actions_toolkit.file_command import prepare_key_value_message

from wallarm_fast.errors import OutputError
from wallarm_fast.platforms.files import write_file
from wallarm_fast.platforms.reporter import Publication, Reporter
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

    def write_summary(self, publication: Publication) -> None:
        """Append to the summary of the job."""
        if self.platform.github_step_summary:
            try:
                write_file(self.platform.github_step_summary, publication.summary, append=True)
            except OutputError as error:
                _log.warning("no job summary: %s", error)

    def publish(self, publication: Publication) -> None:
        """Append to the file of outputs; of an output that is there twice, the runner takes the last."""
        if self.platform.github_output:
            lines = (
                prepare_key_value_message(name, value) + "\n" for name, value in publication.outputs.items()
            )
            write_file(self.platform.github_output, "".join(lines), append=True)

    def _issue(self, command: str, message: str) -> None:
        self.print_line(str(Command(command, {}, message)))
