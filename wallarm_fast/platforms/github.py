"""GitHub Actions: workflow commands, `GITHUB_OUTPUT` and the job summary.

Imports two modules of actions-toolkit and not `actions_toolkit.core`, which would import requests.
"""

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from actions_toolkit.command import issue_command
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
        _issue("add-mask", secret.encode(errors="replace").decode())

    def print_line(self, level: int, line: str, title: str) -> None:
        """Print a plain line, or an annotation."""
        if command := _COMMANDS.get(level):
            _issue(command, line, {"title": title} if title else {})
        else:
            print(line, flush=True)

    @contextmanager
    def section(self, title: str) -> Iterator[None]:
        """Fold the lines into a group."""
        _issue("group", sanitize_line(title, self.platform.secrets))
        try:
            yield
        finally:
            _issue("endgroup", "")

    def publish(self, publication: Publication) -> None:
        """Append to the files that the runner provides."""
        if self.platform.github_step_summary:
            try:
                write_file(self.platform.github_step_summary, publication.summary, append=True)
            except OutputError as error:
                _log.warning("no job summary: %s", error)
        if self.platform.github_output:
            lines = (
                prepare_key_value_message(name, value) + "\n" for name, value in publication.outputs.items()
            )
            write_file(self.platform.github_output, "".join(lines), append=True)


def _issue(command: str, message: str, properties: Mapping[str, str] | None = None) -> None:
    with suppress(OSError):
        issue_command(command, properties or {}, message)
        sys.stdout.flush()
