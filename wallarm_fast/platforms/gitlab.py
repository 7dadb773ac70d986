"""GitLab CI: the log of a console with a section that folds, and files that become reports of the job."""

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wallarm_fast.errors import OutputError
from wallarm_fast.platforms.console import ConsoleReporter
from wallarm_fast.platforms.files import write_file
from wallarm_fast.platforms.reporter import Publication
from wallarm_fast.text import sanitize_line

_log = logging.getLogger(__name__)


class GitLabReporter(ConsoleReporter):
    """Adds links to the dotenv file, which every reporter writes."""

    @contextmanager
    def section(self, title: str) -> Iterator[None]:
        """Fold the lines into a collapsed section (docs.gitlab.com, "Custom collapsible sections")."""
        self._print_marker("section_start", "[collapsed=true]", sanitize_line(title, self.platform.secrets))
        try:
            yield
        finally:
            self._print_marker("section_end", "", "")

    def publish(self, publication: Publication) -> None:
        """Write the links, for `artifacts:reports:annotations`, next to the dotenv file."""
        links = [{"external_link": {"label": label, "url": url}} for label, url in publication.links.items()]
        if links and self.platform.output_file:
            path = Path(self.platform.output_file).with_suffix(".links.json")
            try:
                write_file(str(path), json.dumps({"Wallarm FAST": links}))
            except OutputError as error:
                _log.warning("no links: %s", error)

    def print_outputs(self, publication: Publication) -> None:
        """Print nothing: the outputs are in the dotenv file."""

    def _print_marker(self, event: str, options: str, title: str) -> None:
        self.print_line(f"\x1b[0K{event}:{int(time.time())}:wallarm_fast{options}\r\x1b[0K{title}")
