"""GitLab CI: the log as on any console, with a section that folds; results go to files that jobs hand on."""

import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from stop_recording.errors import BadInput
from stop_recording.reporting.console import ConsoleReporter
from stop_recording.reporting.outputs import write_file
from stop_recording.reporting.text import one_line
from stop_recording.result import Report

_log = logging.getLogger(__name__)


class GitLabReporter(ConsoleReporter):
    """Hands on the dotenv file, which every reporter writes, and links to the runs' pages."""

    @contextmanager
    def section(self, title: str) -> Iterator[None]:
        """Fold the lines into a collapsed section (docs.gitlab.com, "Custom collapsible sections")."""
        self._mark("section_start", "[collapsed=true]", one_line(title, self.platform.secrets))
        try:
            yield
        finally:
            self._mark("section_end", "", "")

    def hand_on(self, outputs: dict[str, str], report: Report) -> None:
        """Write links to the runs' pages, for `artifacts:reports:annotations`, beside the dotenv file."""
        links = [
            {"external_link": {"label": f"Test run {result.test_run_id}", "url": result.url}}
            for result in report.results
            if result.url
        ]
        if links and self.platform.output_file:
            path = Path(self.platform.output_file).with_suffix(".links.json")
            try:
                write_file(str(path), json.dumps({"Wallarm FAST": links}))
            except BadInput as error:
                _log.warning("no links: %s", error)

    def _mark(self, what: str, options: str, title: str) -> None:
        mark = f"\x1b[0K{what}:{int(time.time())}:stop_recording{options}\r\x1b[0K{title}"
        with suppress(OSError):
            print(mark, file=sys.stderr, flush=True)
