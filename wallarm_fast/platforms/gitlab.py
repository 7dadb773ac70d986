"""GitLab CI: the log of a console with a section, and files that become reports of the job."""

import itertools
import json
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from wallarm_fast.errors import OutputError
from wallarm_fast.outputs.table import StepOutputs
from wallarm_fast.platforms.console import ConsoleReporter
from wallarm_fast.platforms.files import identify_file, write_file
from wallarm_fast.text import sanitize_line

# GitLab refuses an annotations report that is larger, or has more entries.
_MAX_LINKS_BYTES = 80_000
_MAX_LINKS = 1000
_log = logging.getLogger(__name__)


class GitLabReporter(ConsoleReporter):
    """Writes a file of links next to the dotenv file; the outputs are in the latter and are not printed."""

    @contextmanager
    def section(self, title: str) -> Iterator[None]:
        """Put the lines into a section, which is open (docs.gitlab.com, "Custom collapsible sections")."""
        self._print_marker("section_start", sanitize_line(title, self.platform.secrets))
        try:
            yield
        finally:
            self._print_marker("section_end", "")

    def publish(self, outputs: StepOutputs) -> None:
        """Write the links, for `artifacts:reports:annotations`, next to the dotenv file."""
        if not outputs.links or "output_file" not in self.paths:
            return
        path = str(Path(self.paths["output_file"]).with_suffix(".links.json"))
        if identify_file(path) in map(identify_file, self.paths.values()):
            _log.warning("no links: the file %r is also an output file", path)
            return
        try:
            write_file(path, _to_annotations(outputs.links))
        except OutputError as error:
            _log.warning("no links: %s", error)

    def print_outputs(self, outputs: StepOutputs) -> None:
        """Print nothing: the outputs are in the dotenv file."""

    def _print_marker(self, event: str, title: str) -> None:
        self.print_line(f"\x1b[0K{event}:{int(time.time())}:wallarm_fast\r\x1b[0K{title}")


def _to_annotations(links: Mapping[str, str]) -> str:
    """Return as many of the links as GitLab takes."""
    kept, size = [], 100
    for label, url in itertools.islice(links.items(), _MAX_LINKS):
        link = {"external_link": {"label": label, "url": url}}
        size += len(json.dumps(link)) + 2
        if size > _MAX_LINKS_BYTES:
            break
        kept.append(link)
    return json.dumps({"Wallarm FAST": kept})
