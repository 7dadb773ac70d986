"""GitHub Actions: workflow commands, `GITHUB_OUTPUT` and the job summary.

Takes the two modules of actions-toolkit that it needs; `actions_toolkit.core` would import requests.
"""

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from actions_toolkit.command import issue_command
from actions_toolkit.file_command import prepare_key_value_message

from stop_recording.errors import BadInput
from stop_recording.reporting.base import Reporter
from stop_recording.reporting.outputs import write_file
from stop_recording.reporting.summary import summary
from stop_recording.reporting.text import one_line
from stop_recording.result import Report

_COMMANDS = {logging.DEBUG: "debug", logging.WARNING: "warning", logging.ERROR: "error"}
_log = logging.getLogger(__name__)


class GitHubReporter(Reporter):
    """Annotates warnings and errors, and masks the token before anything else is printed."""

    def mask(self, secret: str) -> None:
        """Have the runner replace the secret in all its logs."""
        # Bytes of no encoding come as what cannot be printed.
        _command("add-mask", secret.encode(errors="replace").decode())

    def show(self, level: int, line: str, title: str) -> None:
        """Print a plain line, or an annotation."""
        if command := _COMMANDS.get(level):
            _command(command, line, {"title": title} if title else {})
        else:
            print(line, flush=True)

    @contextmanager
    def section(self, title: str) -> Iterator[None]:
        """Fold the lines into a group."""
        _command("group", one_line(title, self.platform.secrets))
        try:
            yield
        finally:
            _command("endgroup", "")

    def hand_on(self, outputs: dict[str, str], report: Report) -> None:
        """Append to the files that the runner names."""
        if self.platform.github_step_summary:
            try:
                write_file(
                    self.platform.github_step_summary, summary(report, self.platform.secrets), append=True
                )
            except BadInput as error:
                _log.warning("no job summary: %s", error)
        if self.platform.github_output:
            lines = (prepare_key_value_message(name, value) + "\n" for name, value in outputs.items())
            write_file(self.platform.github_output, "".join(lines), append=True)


def _command(name: str, message: str, properties: Mapping[str, str] | None = None) -> None:
    with suppress(OSError):
        issue_command(name, properties or {}, message)
        sys.stdout.flush()
